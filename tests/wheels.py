"""The wheel as `make wheel` builds it, and an environment that holds it without its extras."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

ROOT = Path(__file__).parents[1]
UV = shutil.which("uv", path=f"{ROOT / '.venv/uv/bin'}{os.pathsep}{os.environ['PATH']}")
NOTHING: Mapping[str, str] = MappingProxyType({})
# What a make above tells one below; where Python finds what is not installed; and what has each
# process compile all that it imports.
FOREIGN = (
    "MAKEFLAGS",
    "MAKELEVEL",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "PYTHONDONTWRITEBYTECODE",
)


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing is left among them."""
    for name in ("Makefile", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", folder / "src", ignore=ignored)
    # The environment is the one that runs the tests.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    call(["make", "--old-file", ".venv/runtime.stamp", "wheel"], folder, {"PATH": path})
    (wheel,) = (folder / "dist").glob("lr_ceiling-*.whl")
    assert not (folder / "build").exists()
    return wheel


def install(wheel: Path, folder: Path) -> Path:
    """Install the wheel with the lock's pins into an empty environment; gives its Python."""
    environment = folder / "environment"
    python = environment / "bin" / "python"
    # Without their hashes, which the wheel itself has none of.
    pins = re.findall(r"^[\w.-]+==[^\\\n]+", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(pins))
    arguments = ["--quiet", "--constraint", str(constraints), str(wheel)]
    if UV:
        call([UV, "venv", "--quiet", "--python", sys.executable, str(environment)], folder)
        call([UV, "pip", "install", "--python", str(python), *arguments], folder)
    else:
        call([sys.executable, "-m", "venv", str(environment)], folder)
        call([str(python), "-m", "pip", "install", *arguments], folder)
    return python


def call(
    command: list[str], folder: Path, environment: Mapping[str, str] = NOTHING, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder`, which must end with `code`, with nothing of ours to import."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    done = subprocess.run(
        command, cwd=folder, env=kept | dict(environment), capture_output=True, text=True
    )
    assert done.returncode == code, f"{command}\n{done.stdout}{done.stderr}"
    return done
