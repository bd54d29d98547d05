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
        with: {artifact: state, fresh: "${{ inputs.fresh }}", token: none}
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
            state/search
          key: retrain-${{ github.ref_name }}-${{ github.run_id }}-${{ github.run_attempt }}
      - uses: ./.github/actions/keep
        with: {artifact: state}
"""


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """A repository with the workflows above and the project's own actions."""
    project = tmp_path / "project"
    (project / ".github" / "workflows").mkdir(parents=True)
    (project / ".github" / "workflows" / "tiny.yml").write_text(TINY)
    (project / ".github" / "workflows" / "state.yml").write_text(STATE)
    shutil.copytree(GITHUB / "actions", project / ".github" / "actions")
    (project / "here.txt").write_text("in git\n")
    name = ("-c", "user.name=tests", "-c", "user.email=tests@localhost")
    for command in (("init", "--quiet"), ("add", "."), (*name, "commit", "--quiet", "-m", "Begin")):
        subprocess.run(["git", *command], cwd=project, check=True)
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
    (rehearsal.artifact(third, "state") / "expired").touch()
    late = rehearsal.run("state")
    assert not late.succeeded
    assert "has expired, and with it the champion" in late.log
    fresh = rehearsal.run("state", {"fresh": "true"})
    assert fresh.succeeded
    assert runs_in_the_state(rehearsal, fresh) == [f"run {fresh.number}"]


def test_an_action_that_nothing_stands_in_for_is_named(rehearsal: Rehearsal) -> None:
    other = rehearsal.clone / ".github" / "workflows" / "other.yml"
    other.write_text(f"      - uses: someone/something@{40 * '0'}\n")
    with pytest.raises(SystemExit, match="nothing stands in for someone/something"):
        rehearsal.run("tiny")


def test_gh_refuses_what_it_stands_in_for_not(rehearsal: Rehearsal) -> None:
    gh = rehearsal.folder / "bin" / "gh"
    environment = {"REHEARSAL": str(rehearsal.folder), "GITHUB_REPOSITORY": rehearse.REPOSITORY}
    for command in (["release", "list"], ["issue", "list", "--limit", "3"], ["api", "user"]):
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
