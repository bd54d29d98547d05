"""Run a workflow of .github/workflows here: `python tests/rehearse.py WORKFLOW FOLDER [WHAT]`.

act runs the workflow file itself, each job in a fresh clone in FOLDER, on this machine and without
Docker. The actions that talk to GitHub are replaced by those in tests/rehearsal, `gh` by gh.py
there. WHAT is `once` (the workflow as it is, on the project as it is), `weeks` (two quick weeks,
the second from what the first left), `full` (the full form, on the schedule) or `all` (also a
rollback, a worse model, damaged data and a crash). All but `once` rehearse a project with one cell
and runs of 60 steps.
"""

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from smoke import ROOT, change_params, local_source

ACTIONS = ROOT / "tests" / "rehearsal"
RUNNER = "ubuntu-24.04"
REPOSITORY = "rehearsal/lr-ceiling"
# What a machine may need to reach its package registries, and where its MNIST lies.
PASSED_ON = ("PIP_", "UV_", "SSL_", "npm_config_", "LR_CEILING_SOURCE")
USES = re.compile(r"^\s*(?:- )?uses: (?P<action>[^\s./][^\s@]*)@(?P<commit>[0-9a-f]{40})", re.M)
SMALL: dict[str, dict[str, Any]] = {
    "grid": {"variants": ["baseline"], "activations": ["relu"], "learning_rates": [0.003]},
    "training": {"epochs": 1, "steps_per_epoch": 60},
    "train": {"seeds": [0]},
    "search": {"budget_runs": {"default": 1}},
    # Runs of 60 steps differ by some points from seed to seed.
    "promote": {"floor": 0.2, "margin": 0.2},
}
# Searches of two runs bound no ceiling: this is what longer ones would have found.
LONGER_SEARCH = """\
import json
from pathlib import Path

path = Path("reports/ceilings.json")
ceilings = json.loads(path.read_text())
for arm in ceilings["arms"]:
    arm["lr90"] = {"estimate": 0.02, "ci95": [0.015, 0.03]}
    for found in (arm["usable"], arm["pooled"]["usable"]):
        found |= {"estimate": 0.01, "ci95": [0.008, 0.015]}
path.write_text(json.dumps(ceilings))
"""
CRASH = '        __import__("os")._exit(137)\n'
NAMING = '        self._set("champion", version.number)\n        self._client.delete_registered'


@dataclass
class Run:
    """One run of a workflow: its number, whether it succeeded, and all that it printed."""

    number: int
    succeeded: bool
    log: str


@dataclass
class Rehearsal:
    """GitHub in a folder: the repository, its branch main, and what runs leave."""

    folder: Path
    runs: list[Run] = field(default_factory=list)

    @property
    def clone(self) -> Path:
        """A person's clone."""
        return self.folder / "clone"

    def begin(self, project: Path = ROOT) -> None:
        """Make the origin of the commit that is checked out in `project`."""
        for name in ("bin", "logs"):
            (self.folder / name).mkdir(parents=True)
        # As a branch of its own: `project` may be a worktree of any.
        git = ("git", "--git-dir", str(self._origin))
        call(self.folder, "git", "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
        call(self.folder, *git, "fetch", "--quiet", str(project), "HEAD:refs/heads/main")
        # git takes nothing from a shallow clone, and says so only by that.
        fetched = subprocess.run([*git, "show-ref", "--quiet", "refs/heads/main"], cwd=self.folder)
        if fetched.returncode:
            raise SystemExit(f"error: {project} is a shallow clone: `git fetch --unshallow` there")
        call(self.folder, "git", "clone", "--quiet", str(self._origin), str(self.clone))
        gh = self.folder / "bin" / "gh"
        gh.write_text(f'#!/bin/sh\nexec {sys.executable} {ACTIONS / "gh.py"} "$@"\n')
        gh.chmod(0o755)

    def commit(self, message: str) -> None:
        """Commit what changed in the clone, if anything did, and push it."""
        name = ("-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost")
        call(self.clone, "git", "add", "--all")
        call(self.clone, "git", *name, "commit", "--quiet", "--allow-empty", "--message", message)
        call(self.clone, "git", "push", "--quiet", "origin", "main")

    def run(
        self,
        workflow: str,
        inputs: Mapping[str, str] | None = None,
        event: str = "workflow_dispatch",
        source: Path | None = None,
    ) -> Run:
        """Run a workflow; `source` is where MNIST comes from instead."""
        number = len(self.runs) + 10
        print(f"== run {number}: {workflow} {dict(inputs or {})}", flush=True)
        command = [
            str(Path(sys.executable).with_name("act")), event,
            "--workflows", f".github/workflows/{workflow}.yml",
            "--platform", f"{RUNNER}=-self-hosted",
            "--action-cache-path", str(self.folder / "runner"),
            # Jobs side by side crash act 0.2.89 (concurrent map writes).
            "--concurrent-jobs", "1",
            "--no-cache-server", "--no-skip-checkout",
            "--secret", "GITHUB_TOKEN=none",
        ]  # fmt: skip
        for key, value in self.environment(number, source).items():
            command += ["--env", f"{key}={value}"]
        for key, value in (inputs or {}).items():
            command += ["--input", f"{key}={value}"]
        for uses, folder in equivalents(self.clone / ".github").items():
            command += ["--local-repository", f"{uses}={folder}"]
        lines = []
        with subprocess.Popen(
            command,
            cwd=self.clone,
            env=clean_environment(self.folder / "bin"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdout
            for line in process.stdout:
                lines.append(line)
                if "⭐ Run Main" in line or "❌" in line or "🏁" in line or "::notice" in line:
                    print(line, end="", flush=True)
        run = Run(number, process.returncode == 0, "".join(lines))
        (self.folder / "logs" / f"{number}.log").write_text(run.log)
        self.runs.append(run)
        return run

    def artifact(self, run: Run, name: str) -> Path:
        """What a run kept under a name; the folder isn't there if it kept nothing."""
        return self.folder / "artifacts" / str(run.number) / name

    def aliases(self, run: Run, name: str) -> dict[str, int]:
        """The model registry's aliases in the state that a run kept."""
        database = self.folder / "kept.db"
        with tarfile.open(self.artifact(run, name) / "state.tar") as state:
            member = state.extractfile("mlruns/mlflow.db")
            assert member
            database.write_bytes(member.read())
        with closing(sqlite3.connect(database)) as connection:
            rows = connection.execute("select alias, version from registered_model_aliases")
            return {alias: int(version) for alias, version in rows}

    def kept(self, kind: str) -> list[dict[str, Any]]:
        """The `issues` or `pulls` as gh.py keeps them, by number."""
        return [json.loads(path.read_text()) for path in sorted((self.folder / kind).glob("*"))]

    @property
    def _origin(self) -> Path:
        return self.folder / "origin.git"

    def environment(self, number: int, source: Path | None) -> dict[str, str]:
        """What a runner's steps find in their environment beside what act gives them."""
        machine = {key: value for key, value in os.environ.items() if key.startswith(PASSED_ON)}
        chosen = {"LR_CEILING_SOURCE": str(source)} if source else {}
        return {
            **machine,
            **local_source(self.folder),
            **chosen,
            "REHEARSAL": str(self.folder),
            "GITHUB_RUN_ID": str(number),
            "GITHUB_REPOSITORY": REPOSITORY,
        }


def call(folder: Path, *command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True)


def clean_environment(first: Path) -> dict[str, str]:
    """This process's, without this checkout's .venv; uv and the folder `first` are on the path."""
    own = {str(ROOT / ".venv" / "bin"), str(Path(sys.executable).parent)}
    path = [part for part in os.environ["PATH"].split(os.pathsep) if part not in own]
    # A rehearsal may itself run on GitHub.
    dropped = ("GITHUB_", "RUNNER_", "ACTIONS_", "MAKE", "MFLAGS", "MLFLOW_", "DVC_", "VIRTUAL_ENV")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return kept | {"PATH": os.pathsep.join([str(first), str(ROOT / ".venv/uv/bin"), *path])}


def equivalents(github: Path) -> dict[str, Path]:
    """For each action that the workflows use, `owner/name@commit`, the folder in its place."""
    found = {}
    for action, commit in used(github):
        owner, name, *inner = action.split("/")
        folder = ACTIONS / name
        if not (folder.joinpath(*inner) / "action.yml").exists():
            raise SystemExit(f"error: nothing stands in for {action}: add it to {ACTIONS}")
        found[f"{owner}/{name}@{commit}"] = folder
    return found


def used(github: Path) -> Iterator[tuple[str, str]]:
    """The actions of others that the files below a folder use, with their commits."""
    for path in sorted(github.rglob("*.yml")):
        for match in USES.finditer(path.read_text()):
            yield match["action"], match["commit"]


def make_small(project: Path) -> None:
    """Make a clone's project one of a minute: one cell, short runs, the tests of what changes."""
    change_params(project, SMALL)
    (project / "tests" / "longer_search.py").write_text(LONGER_SEARCH)
    yaml = YAML()
    pipeline = yaml.load((project / "dvc.yaml").read_text())
    pipeline["stages"]["report"]["cmd"] += " && python tests/longer_search.py"
    with (project / "dvc.yaml").open("w") as file:
        yaml.dump(pipeline, file)
    # DVC leaves cells and arms in the lock that are in the grid no more.
    lock = yaml.load((project / "dvc.lock").read_text())
    for stage in [name for name in lock["stages"] if "@" in name]:
        del lock["stages"][stage]
    with (project / "dvc.lock").open("w") as file:
        yaml.dump(lock, file)
    # Those that read what a retraining rewrites, and do not hold it against the whole project's.
    read = ("test_lock", "live/test_seeds", "live/test_retraining", "test_structure")
    tests = " ".join(f"tests/{name}.py" for name in read)
    everything = "pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder"
    replace(project / "Makefile", everything, f"pytest {tests}")


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that must be there."""
    text = path.read_text()
    if old not in text:
        raise SystemExit(f"error: {path} has no {old!r} any more: change tests/rehearse.py")
    path.write_text(text.replace(old, new))


def expect(holds: bool, what: str) -> None:
    """Say what was seen to hold, or end."""
    if not holds:
        raise SystemExit(f"error: it does not hold that {what}")
    print(f"   holds: {what}", flush=True)


def quick(week: str) -> dict[str, str]:
    """The inputs of a quick retraining."""
    return {"form": "quick", "week": week}


def rehearse_weeks(rehearsal: Rehearsal) -> None:
    """Two quick weeks; the champion and the previous one are then versions 2 and 1."""
    first = rehearsal.run("retrain", quick("2026-W48"))
    expect(first.succeeded, "the first week succeeds, with nothing to begin with")
    expect("this is the first" in first.log, "it says that it is the first")
    expect(rehearsal.aliases(first, "state-quick") == {"champion": 1}, "its model goes live")
    second = rehearsal.run("retrain", quick("2026-W49"))
    expect(second.succeeded, "the second week succeeds")
    expect(f"the state of run {first.number}" in second.log, "it begins with the first one's state")
    expect("against version 1" in second.log, "its model is held against the first one's")
    live = {"champion": 2, "previous": 1}
    expect(rehearsal.aliases(second, "state-quick") == live, "its model goes live in turn")
    expect(not rehearsal.kept("issues"), "no issue is opened")
    expect(not rehearsal.kept("pulls"), "no pull request either: quick results are put back")


def rehearse_rollback(rehearsal: Rehearsal) -> None:
    """A rollback makes version 1 live again."""
    run = rehearsal.run("rollback", {"form": "quick"})
    expect(run.succeeded, "the rollback succeeds")
    back = {"champion": 1, "previous": 2}
    expect(rehearsal.aliases(run, "state-quick") == back, "the first week's model is live again")


def rehearse_worse(rehearsal: Rehearsal) -> None:
    """A model trained for one step is refused."""
    params = (rehearsal.clone / "params.yaml").read_text()
    change_params(rehearsal.clone, {"training": {"steps_per_epoch": 1}})
    rehearsal.commit("Train for one step")
    run = rehearsal.run("retrain", quick("2026-W50"))
    expect(run.succeeded, "a refusal is no failure of the run")
    expect(rehearsal.aliases(run, "state-quick")["champion"] == 1, "the champion stays")
    report = (rehearsal.artifact(run, "report") / "retrain.md").read_text()
    expect("2026-W50: refused" in report, "the report tells of the refusal")
    expect(not rehearsal.kept("issues"), "no issue does, since the run was a quick one")
    (rehearsal.clone / "params.yaml").write_text(params)
    rehearsal.commit("Train as before")


def rehearse_damaged(rehearsal: Rehearsal) -> None:
    """Data that is not MNIST stops a retraining before any training."""
    damaged = rehearsal.folder / "damaged.npz"
    # `local_source` has named the whole one.
    whole = Path(rehearsal.environment(0, None).get("LR_CEILING_SOURCE", "missing"))
    damaged.write_bytes(whole.read_bytes()[:-1000] if whole.exists() else b"damaged")
    run = rehearsal.run("retrain", quick("2026-W51"), source=damaged)
    expect(not run.succeeded, "damaged data fails the run")
    expect("Running stage 'train" not in run.log, "nothing is trained")
    expect(not rehearsal.artifact(run, "state-quick").exists(), "it keeps no state")
    (issue,) = rehearsal.kept("issues")
    expect("data unavailable" in issue["bodies"][-1], "an issue tells of the data")


def rehearse_crash(rehearsal: Rehearsal) -> None:
    """A process that dies between the gate's verdict and the alias leaves the old champion."""
    registry = rehearsal.clone / "src" / "lr_ceiling" / "live" / "registry.py"
    code = registry.read_text()
    replace(registry, NAMING, CRASH + NAMING)
    rehearsal.commit("Crash before the alias")
    run = rehearsal.run("retrain", quick("2026-W52"))
    expect(not run.succeeded, "the crash fails the run")
    expect(not rehearsal.artifact(run, "state-quick").exists(), "it keeps no state")
    (issue,) = rehearsal.kept("issues")
    expect("ended early" in issue["bodies"][-1], "the same issue tells of the crash")
    registry.write_text(code)
    rehearsal.commit("Don't crash")
    after = rehearsal.run("retrain", quick("2026-W53"))
    expect(after.succeeded, "the week after succeeds")
    expect("against version 1" in after.log, "the old champion was live until then")


def rehearse_full(rehearsal: Rehearsal) -> None:
    """A full week on the schedule, whose results go into a pull request."""
    run = rehearsal.run("retrain", event="schedule")
    expect(run.succeeded, "the full form succeeds on the schedule")
    expect(rehearsal.aliases(run, "state") == {"champion": 1}, "its registry is one of its own")
    (pull,) = rehearsal.kept("pulls")
    expect(pull["base"] == "main", "a pull request is opened against main")
    diff = ("diff", "--name-only", f"main...{pull['head']}")
    changed = subprocess.run(
        ["git", *diff], cwd=rehearsal.folder / "origin.git", check=True, stdout=subprocess.PIPE
    ).stdout.decode()
    results = {"params.yaml", "dvc.lock", "reports/ceilings.json"}
    expect(results <= set(changed.split()), "it has the results")


STORY = (
    *(rehearse_weeks, rehearse_rollback, rehearse_worse, rehearse_damaged),
    *(rehearse_crash, rehearse_full),
)


def main(workflow: str, folder: Path, what: str = "weeks") -> None:
    """Rehearse; what an earlier rehearsal left in the folder is removed."""
    if folder.exists() and not (folder / "origin.git").exists():
        raise SystemExit(f"error: {folder} is there and was not made by this: name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    rehearsal = Rehearsal(folder.absolute())
    rehearsal.begin()
    if what == "once" or workflow != "retrain":
        event = "push" if workflow == "ci" else "workflow_dispatch"
        expect(rehearsal.run(workflow, event=event).succeeded, f"{workflow} succeeds")
        return
    make_small(rehearsal.clone)
    rehearsal.commit("Make it small")
    for act in {"weeks": STORY[:1], "full": STORY[-1:], "all": STORY}[what]:
        act(rehearsal)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
