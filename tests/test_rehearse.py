"""The workflows' structure, and that a rehearsal runs what a workflow says.

The workflows themselves are rehearsed by `make rehearse`, which takes minutes.
"""

import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import rehearse
from conftest import ROOT
from lr_ceiling.live.gate import Check, Decision
from lr_ceiling.live.outcome import Outcome, summary
from rehearse import Rehearsal, Run, equivalents, used

GITHUB = ROOT / ".github"
WORKFLOWS = {
    path.stem: YAML(typ="safe").load(path.read_text())
    for path in sorted((GITHUB / "workflows").glob("*.yml"))
}
ACTIONS = {
    path.parent.name: YAML(typ="safe").load(path.read_text())
    for path in sorted((GITHUB / "actions").glob("*/action.yml"))
}
JOBS = [(workflow, job) for workflow in WORKFLOWS for job in WORKFLOWS[workflow]["jobs"]]
TINY = """
name: tiny
on:
  workflow_dispatch:
    inputs:
      form: {type: choice, options: [full, quick], default: full}
permissions: {}
jobs:
  first:
    runs-on: ubuntu-24.04
    outputs:
      told: ${{ steps.tell.outputs.told }}
    env:
      FORM: ${{ inputs.form || 'full' }}
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
        with: {persist-credentials: false}
      - id: tell
        run: |
          echo "told=$FORM" >> "$GITHUB_OUTPUT"
          echo "LATER=$(cat here.txt)" >> "$GITHUB_ENV"
          mkdir "$RUNNER_TEMP/kept"
          echo "$FORM" > "$RUNNER_TEMP/kept/form.txt"
      - uses: actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f
        with: {name: kept, path: "${{ runner.temp }}/kept"}
      - if: failure()
        run: echo "not this one"
      - run: test "$FORM" = full
      - if: failure() && env.LATER == 'in git'
        run: |
          echo "$LATER" > body.md
          gh issue create --label tiny --title Failed --body-file body.md
  second:
    needs: first
    if: ${{ !cancelled() && needs.first.outputs.told == 'quick' }}
    runs-on: ubuntu-24.04
    steps:
      - run: |
          test ! -e here.txt
          number=$(gh issue list --label tiny --state open --json number --jq '.[0].number')
          echo again > again.md
          gh issue comment "$number" --body-file again.md
"""
STATE = """
name: state
on:
  workflow_dispatch:
    inputs:
      fresh: {type: boolean, default: false}
      server: {type: boolean, default: false}
permissions: {}
jobs:
  only:
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1
        with: {persist-credentials: false}
      - run: |
          mkdir -p .venv/bin state/search
          ln -s "$(command -v dvc)" .venv/bin/dvc
          dvc init --no-scm --quiet
      - id: restore
        uses: ./.github/actions/restore
        with:
          artifact: state
          fresh: ${{ inputs.fresh }}
          server: ${{ inputs.server }}
          token: none
      - env:
          LED: ${{ steps.restore.outputs.home }}
        run: |
          ls state/search
          mkdir -p mlruns
          echo "run $GITHUB_RUN_ID" >> mlruns/runs
          cmp "$LED/mlruns/runs" mlruns/runs
          touch "state/search/of-$GITHUB_RUN_ID"
      - uses: actions/cache/save@27d5ce7f107fe9357f9df03efb73ab90386fccae
        with:
          path: |
            .dvc/cache
            state/runs
            state/search
          key: retrain-${{ github.ref_name }}-${{ github.run_id }}-${{ github.run_attempt }}
      - uses: ./.github/actions/keep
        with: {artifact: state}
"""
# In the place of a retraining, which takes minutes: `make rehearse` has the real one. It comes to
# what outcome.json in the repository says, and changes what a retraining changes.
RETRAIN = """#!/bin/sh
set -e
test "$1" = retrain
echo "$@" > asked.txt
test -e outcome.json
mkdir -p state mlruns
cp outcome.json outcome.md state
mv state/outcome.json state/retrain.json
mv state/outcome.md state/retrain.md
grep -q '"decision": null' outcome.json && exit 1
test "$2" = --quick || echo "seeds: $4" > params.yaml
echo "$@" > model
.venv/bin/dvc add --quiet model
"""
MAKEFILE = """.venv/development.stamp:
\tmkdir -p .venv/bin
\tln -s "$$(command -v dvc)" .venv/bin/dvc
\tcp lr-ceiling .venv/bin
lint test tables:
\ttest ! -e broken-$@
push:
\t.venv/bin/dvc push --remote store
"""


def outcome(name: str, moved: bool = False) -> Outcome:
    passed = Check(name="floor", passed=name == "promoted", detail="its accuracy is known")
    decision = Decision(
        decision="promoted" if name == "promoted" else "refused",
        reason=passed.detail,
        checks=(passed,),
        challenger=None,
        champion=None,
        paired=None,
        margin=0.005,
        floor=0.97,
        gate_images=5000,
        live=1,
        decided="2026-11-23T03:47:00+00:00",
    )
    return Outcome.model_validate(
        {
            "outcome": name,
            "reason": "as it was told",
            "week": "2026-W48",
            "quick": False,
            "train_seeds": (5, 6),
            "search_seed": 7,
            "ceiling_moved": moved,
            "ceilings": (),
            "decision": decision if name in ("promoted", "refused") else None,
            "commit": None,
            "started": "2026-11-23T03:17:00+00:00",
            "ended": "2026-11-23T03:47:00+00:00",
        }
    )


@pytest.fixture
def retraining_project(tmp_path: Path) -> Rehearsal:
    """A repository with the project's workflows and no project."""
    project = tmp_path / "project"
    shutil.copytree(GITHUB, project / ".github")
    (project / "lr-ceiling").write_text(RETRAIN)
    (project / "lr-ceiling").chmod(0o755)
    (project / "Makefile").write_text(MAKEFILE)
    (project / ".gitignore").write_text("/.venv\n/state\n/mlruns\n/asked.txt\n")
    for name in ("params.yaml", "dvc.lock", "reports/metrics.json", "docs/figures/trials.png"):
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("{}\n")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    dvc = Path(sys.executable).with_name("dvc")
    subprocess.run([dvc, "init", "--quiet"], cwd=project, check=True)
    with (project / ".dvc" / "config").open("a") as config:
        config.write(f"['remote \"store\"']\n    url = {tmp_path / 'store'}\n")
    made = Rehearsal(tmp_path / "github")
    commit(project)
    made.begin(project)
    (made.folder / "bin" / "dvc").symlink_to(dvc)
    return made


def commit(project: Path) -> None:
    name = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for command in (("add", "."), (*name, "commit", "--quiet", "-m", "Begin")):
        subprocess.run(["git", *command], cwd=project, check=True)


def come_to(rehearsal: Rehearsal, result: Outcome | None, **inputs: str) -> Run:
    """Run the workflow `retrain`, which comes to `result`, or dies before it has one."""
    for suffix, text in (
        (".json", result.model_dump_json(indent=2) if result else ""),
        (".md", summary(result) if result else ""),
    ):
        path = (rehearsal.clone / "outcome").with_suffix(suffix)
        path.write_text(text) if text else path.unlink()
    rehearsal.commit("Come to something else")
    return rehearsal.run("retrain", inputs)


def bodies(rehearsal: Rehearsal) -> list[str]:
    """The texts of the one issue."""
    issues = rehearsal.kept("issues")
    assert len(issues) <= 1
    return issues[0]["bodies"] if issues else []


def test_a_retraining_tells_those_who_must_know(retraining_project: Rehearsal) -> None:
    rehearsal = retraining_project
    good = come_to(rehearsal, outcome("promoted"), seeds="3")
    assert good.succeeded
    (pull,) = rehearsal.kept("pulls")
    assert pull["title"] == "Retraining of 2026-W48: promoted"
    assert pull["bodies"][0].startswith("# Retraining of week 2026-W48: promoted\n")
    show = ["git", "show", f"{pull['head']}:params.yaml"]
    shown = subprocess.check_output(show, cwd=rehearsal.folder / "origin.git", text=True)
    assert shown == "seeds: 3\n"
    assert bodies(rehearsal) == []
    assert (rehearsal.artifact(good, "state") / "state.tar").exists()

    # Its results are where others can pull them.
    assert stored(rehearsal) == ["retrain --full --seeds 3\n"]

    quick = come_to(rehearsal, outcome("promoted"), form="quick")
    assert quick.succeeded
    assert stored(rehearsal) == ["retrain --full --seeds 3\n"]
    assert len(rehearsal.kept("pulls")[0]["bodies"]) == 1
    assert rehearsal.artifact(quick, "state-quick").exists()
    assert not rehearsal.artifact(quick, "state").exists()

    assert come_to(rehearsal, outcome("refused", moved=True), form="quick").succeeded
    assert bodies(rehearsal) == []

    moved = come_to(rehearsal, outcome("promoted", moved=True), seeds="4")
    assert moved.succeeded
    assert f"the state of run {good.number}" in moved.log
    assert len(bodies(rehearsal)) == 1
    assert len(rehearsal.kept("pulls")) == 1
    assert len(rehearsal.kept("pulls")[0]["bodies"]) == 2

    assert come_to(rehearsal, outcome("refused"), seeds="5").succeeded
    assert "2026-W48: refused" in bodies(rehearsal)[1]

    failed = come_to(rehearsal, outcome("validation failed"), seeds="6")
    assert not failed.succeeded
    assert "2026-W48: validation failed" in bodies(rehearsal)[2]
    assert "The run ended in failure" in bodies(rehearsal)[2]
    assert not rehearsal.artifact(failed, "state").exists()

    died = come_to(rehearsal, None, seeds="7")
    assert not died.succeeded
    assert "Retraining: ended early" in bodies(rehearsal)[3]
    assert len(rehearsal.kept("pulls")[0]["bodies"]) == 3

    (rehearsal.clone / "broken-test").touch()
    broken = come_to(rehearsal, outcome("promoted"), seeds="8")
    assert not broken.succeeded
    assert len(rehearsal.kept("pulls")[0]["bodies"]) == 3
    assert not rehearsal.artifact(broken, "state").exists()
    assert len(bodies(rehearsal)) == 5


def stored(rehearsal: Rehearsal) -> list[str]:
    """The results in the object store."""
    files = (rehearsal.folder.parent / "store" / "files").rglob("*")
    return [path.read_text() for path in files if path.is_file()]


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """A repository with the workflows above and the project's own actions."""
    project = tmp_path / "project"
    (project / ".github" / "workflows").mkdir(parents=True)
    (project / ".github" / "workflows" / "tiny.yml").write_text(TINY)
    (project / ".github" / "workflows" / "state.yml").write_text(STATE)
    shutil.copytree(GITHUB / "actions", project / ".github" / "actions")
    (project / "here.txt").write_text("in git\n")
    subprocess.run(["git", "init", "--quiet"], cwd=project, check=True)
    commit(project)
    made = Rehearsal(tmp_path / "github")
    made.begin(project)
    return made


def test_a_run_goes_on_where_its_conditions_say(rehearsal: Rehearsal) -> None:
    good = rehearsal.run("tiny", {"form": "full"})
    assert good.succeeded
    assert (rehearsal.artifact(good, "kept") / "form.txt").read_text() == "full\n"
    assert rehearsal.kept("issues") == []
    bad = rehearsal.run("tiny", {"form": "quick"})
    assert not bad.succeeded
    assert (rehearsal.artifact(bad, "kept") / "form.txt").read_text() == "quick\n"
    (issue,) = rehearsal.kept("issues")
    assert (issue["title"], issue["bodies"]) == ("Failed", ["in git\n", "again\n"])
    assert "not this one" not in good.log + bad.log.replace('echo "not this one"', "")


def runs_in_the_state(rehearsal: Rehearsal, run: Run) -> list[str]:
    with tarfile.open(rehearsal.artifact(run, "state") / "state.tar") as state:
        member = state.extractfile("mlruns/runs")
        assert member
        return member.read().decode().splitlines()


def test_the_state_goes_from_run_to_run(rehearsal: Rehearsal) -> None:
    # The workflow above links to this environment's dvc instead of making one.
    dvc = Path(sys.executable).with_name("dvc")
    (rehearsal.folder / "bin" / "dvc").symlink_to(dvc)
    first, second = rehearsal.run("state"), rehearsal.run("state")
    assert first.succeeded
    assert "this is the first" in first.log
    assert second.succeeded
    assert f"the state of run {first.number}" in second.log
    assert f"of-{first.number}" in second.log
    kept = [f"run {first.number}", f"run {second.number}"]
    assert runs_in_the_state(rehearsal, second) == kept
    # A fork's newer artifact is nobody's state.
    forged = rehearsal.folder / "artifacts" / "50" / "state"
    forged.mkdir(parents=True)
    (forged / "fork").touch()
    third = rehearsal.run("state")
    assert third.succeeded
    assert runs_in_the_state(rehearsal, third) == [*kept, f"run {third.number}"]
    # A second attempt of the same run has kept another one under the same name.
    again = rehearsal.folder / "artifacts" / f"{third.number}-2" / "state"
    shutil.copytree(rehearsal.artifact(second, "state"), again)
    fourth = rehearsal.run("state")
    assert fourth.succeeded
    assert runs_in_the_state(rehearsal, fourth) == [*kept, f"run {fourth.number}"]
    (rehearsal.artifact(fourth, "state") / "expired").touch()
    late = rehearsal.run("state")
    assert not late.succeeded
    assert "has expired, and with it the champion" in late.log
    fresh = rehearsal.run("state", {"fresh": "true"})
    assert fresh.succeeded
    assert runs_in_the_state(rehearsal, fresh) == [f"run {fresh.number}"]
    (rehearsal.artifact(fresh, "state") / "expired").touch()
    elsewhere = rehearsal.run("state", {"server": "true"})
    assert elsewhere.succeeded
    assert "the champion is on the server" in elsewhere.log
    assert runs_in_the_state(rehearsal, elsewhere) == [f"run {elsewhere.number}"]


def test_a_shallow_clone_is_named(rehearsal: Rehearsal, tmp_path: Path) -> None:
    rehearsal.commit("Have a history")
    origin = (rehearsal.folder / "origin.git").as_uri()
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "--quiet", "--depth=1", origin, shallow], check=True)
    with pytest.raises(SystemExit, match="shallow is a shallow clone: `git fetch --unshallow`"):
        Rehearsal(tmp_path / "other").begin(shallow)


def test_an_action_that_nothing_stands_in_for_is_named(rehearsal: Rehearsal) -> None:
    other = rehearsal.clone / ".github" / "workflows" / "other.yml"
    other.write_text(f"      - uses: someone/something@{40 * '0'}\n")
    with pytest.raises(SystemExit, match="nothing stands in for someone/something"):
        rehearsal.run("tiny")


def test_gh_refuses_what_it_stands_in_for_not(rehearsal: Rehearsal) -> None:
    gh = rehearsal.folder / "bin" / "gh"
    environment = {"REHEARSAL": str(rehearsal.folder), "GITHUB_REPOSITORY": rehearse.REPOSITORY}
    for command in (
        *(["release", "list"], ["issue", "list", "--limit", "3"], ["pr", "edit", "1"]),
        *(["api", "user"], ["api", "--method", "DELETE", f"repos/{rehearse.REPOSITORY}/pulls/1"]),
    ):
        result = subprocess.run([gh, *command], env=environment, capture_output=True)
        assert result.returncode, command


def test_the_workflows_use_only_what_is_pinned_and_stood_in_for() -> None:
    lines = [
        line
        for path in GITHUB.rglob("*.yml")
        for line in path.read_text().splitlines()
        if re.search(r"^\s*(- )?uses:", line)
    ]
    pinned = [line for line in lines if re.search(r"@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line)]
    local = [line for line in lines if "uses: ./.github/actions/" in line]
    assert sorted(pinned + local) == sorted(lines)
    assert len(list(used(GITHUB))) == len(pinned)
    assert equivalents(GITHUB)


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_a_workflow_gives_no_permission_to_all_jobs(workflow: str) -> None:
    assert WORKFLOWS[workflow]["permissions"] == {}
    assert "group" in WORKFLOWS[workflow]["concurrency"]


@pytest.mark.parametrize(("workflow", "job"), JOBS)
def test_a_job_ends_and_may_write_only_where_it_runs_no_code_of_ours(
    workflow: str, job: str
) -> None:
    found = WORKFLOWS[workflow]["jobs"][job]
    assert 0 < found["timeout-minutes"] <= 150
    if "write" in found["permissions"].values():
        ran = str(found["steps"])
        assert "make " not in ran
        assert ".venv" not in ran


def steps() -> Iterator[Any]:
    for workflow, job in JOBS:
        yield from WORKFLOWS[workflow]["jobs"][job]["steps"]
    for action in ACTIONS.values():
        yield from action["runs"]["steps"]


def test_no_expression_reaches_a_shell_line() -> None:
    lines = [step["run"] for step in steps() if "run" in step]
    assert lines
    assert [line for line in lines if "${{" in line] == []
