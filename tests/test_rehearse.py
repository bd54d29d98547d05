"""The workflows' structure, and that a rehearsal runs what a workflow says.

The workflows themselves are rehearsed by `make rehearse`, which takes minutes.
"""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import rehearse
from conftest import ROOT
from rehearse import Rehearsal, equivalents, used

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


@pytest.fixture
def rehearsal(tmp_path: Path) -> Rehearsal:
    """A repository with the workflow above."""
    project = tmp_path / "project"
    (project / ".github" / "workflows").mkdir(parents=True)
    (project / ".github" / "workflows" / "tiny.yml").write_text(TINY)
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
