"""The same pipeline on small budgets, in a folder of its own: `python tests/smoke.py FOLDER`.

Real MNIST, real stages; only the params that make it long are smaller. What an earlier smoke run
left in the folder is removed, but for MNIST itself.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lr_ceiling.problems.environment import SETTINGS

ROOT = Path(__file__).parents[1]
PIPELINE = (
    *("dvc.yaml", "params.yaml", "requirements.txt", ".dvcignore", "src"),
    "reports/audit.json",
    "reports/claims.json",
    "reports/verification.json",
)
# Left by this in the folders that it makes; no other folder is removed.
MARK = ".smoke"
# What a person may have set: toy runs have no business on a server, or in a project, of theirs. And
# what the tests pin in their own process: the commands must do this themselves.
OUTSIDE = (
    "MLFLOW_TRACKING_URI",
    "DVC_ROOT",
    "LR_CEILING_TRACKING",
    "LR_CEILING_AHEAD",
    "LR_CEILING_SCHEDULER",
    *SETTINGS,
)
SMALL: dict[str, dict[str, Any]] = {
    "grid": {"learning_rates": [0.01]},
    "training": {"epochs": 2, "steps_per_epoch": 30},
    "train": {"seeds": [0, 1]},
    "search": {"seed": 0, "budget_runs": {"default": 2}, "confirmations": 2},
    "usable": {"runs": 1},
}


def lay_out(folder: Path) -> None:
    """Make `folder` a project of its own, with small budgets."""
    if folder.exists() and not (folder / MARK).exists():
        raise SystemExit(f"error: {folder} is there and was not made by this: name another folder")
    mnist = folder / "data" / "mnist.npz"
    kept = mnist.read_bytes() if mnist.exists() else b""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    if kept:
        (folder / "mnist.npz").write_bytes(kept)
    for name in PIPELINE:
        source = ROOT / name
        (folder / name).parent.mkdir(exist_ok=True)
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    change_params(folder, SMALL)
    run(folder, "dvc", "init", "--no-scm", "--quiet")
    run(folder, "dvc", "config", "core.analytics", "false")


def change_params(folder: Path, sections: dict[str, dict[str, Any]]) -> None:
    """Overwrite some of the params in `folder`."""
    yaml = YAML()
    path = folder / "params.yaml"
    params = yaml.load(path.read_text())
    for section, values in sections.items():
        params[section].update(values)
    with path.open("w") as file:
        yaml.dump(params, file)


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run a command in `folder` and give what it printed; its errors end this one too."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if name not in OUTSIDE},
            **local_source(folder),
            **environment,
            "PATH": search_path(),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if result.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{result.stdout}")
    return result.stdout


def search_path() -> str:
    """This environment's commands first, activated or not."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def local_source(folder: Path) -> dict[str, str]:
    """Take MNIST from this checkout, or from an earlier smoke run, where it is there already."""
    for path in (ROOT / "data" / "mnist.npz", folder / "mnist.npz"):
        if path.exists():
            return {"LR_CEILING_SOURCE": str(path.absolute())}
    return {}


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    lay_out(folder)
    print(run(folder, "dvc", "repro"))
    print(run(folder, "lr-ceiling", "log"))
