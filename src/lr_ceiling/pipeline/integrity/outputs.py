"""Compares the stages' outputs and DVC's cache with the digests in dvc.lock."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lr_ceiling.pipeline.integrity.part import Part

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")
FOLDER = ".dir"
# What DVC leaves in its cache when it is killed in the middle of a download.
HALF_WRITTEN = ".tmp"


class _Output(NamedTuple):
    stage: str
    path: Path
    md5: str


def check_outputs() -> Part:
    """Check that each file and folder of a stage has the digest in dvc.lock."""
    part = Part("outputs")
    try:
        outputs = list(_outputs(YAML(typ="safe", pure=True).load(LOCK.read_text("utf-8"))))
    except FileNotFoundError:
        part.blame(f"{LOCK} is missing", f"`git restore {LOCK}`, or `dvc repro` makes it")
        return part
    except (OSError, ValueError, YAMLError, KeyError, TypeError, AttributeError):
        part.blame(f"{LOCK} is damaged", f"`git restore {LOCK}`")
        return part
    part.seen = len(outputs)
    kept_by_git, made = _divided(outputs)
    if made and not any(output.path.exists() for output in made):
        if _kept():
            part.blame(f"no output of {LOCK} is here", "`dvc checkout` puts them back")
        else:
            part.notes.append("no output is here yet: `make repro` makes them")
        made = []
    for output in (*kept_by_git, *made):
        _check(output, part)
    return part


def check_cache() -> Part:
    """Check that each object of DVC's cache has the digest in its name."""
    part = Part("cache")
    for path in _kept():
        part.seen += 1
        if not is_sound(path):
            part.blame(
                f"{path} is damaged",
                f"`rm -f {path} && dvc repro` makes it again, or `dvc commit --force` from data/",
            )
    left = len(list(CACHE.glob(f"??/*{HALF_WRITTEN}")))
    if left:
        part.notes.append(
            f"{left} half-written files in {CACHE}: `find {CACHE} -name '*{HALF_WRITTEN}' -delete` "
            "removes them when no `dvc` is at work"
        )
    return part


def is_sound(path: Path) -> bool:
    """Whether an object of DVC's cache is there and has the digest in its name."""
    return _md5(path) == path.parent.name + path.name.removesuffix(FOLDER)


def _kept() -> list[Path]:
    """The objects of DVC's cache."""
    return sorted(path for path in CACHE.glob("??/*") if path.suffix != HALF_WRITTEN)


def _outputs(lock: Mapping[str, Any]) -> Iterator[_Output]:
    for stage, entry in lock["stages"].items():
        for out in entry.get("outs", ()):
            output = _Output(stage, Path(out["path"]), out["md5"])
            if not output.path.parts or not isinstance(output.md5, str):
                raise ValueError(f"{out} names no output")
            yield output


def _divided(outputs: Sequence[_Output]) -> tuple[list[_Output], list[_Output]]:
    """Those that are committed, and those that a run of the pipeline brings here."""
    return (
        [output for output in outputs if _is_committed(output.path)],
        [output for output in outputs if not _is_committed(output.path)],
    )


def _is_committed(path: Path) -> bool:
    return path.parts[0] == "reports" and path.suffix == ".json"


def _check(output: _Output, part: Part) -> None:
    if not output.path.exists():
        part.blame(f"{output.path} is missing", _mending(output))
        return
    listed = _listed(output.path) if output.path.is_dir() else None
    found = _folder_digest(listed) if listed is not None else _md5(output.path)
    if found == output.md5:
        return
    wrong = _differing(listed, output) if listed is not None else []
    named = ", ".join(str(output.path / name) for name in wrong) or str(output.path)
    part.blame(f"{named} is not what {output.stage} made", _mending(output))


def _mending(output: _Output) -> str:
    if _is_cached(output.md5):
        return f"`dvc checkout --force {output.path}` puts it back"
    if _is_committed(output.path):
        return f"`git restore {output.path}`, or `dvc repro {output.stage}` makes it"
    # DVC puts a damaged object into data/ again, even if the stage has made the output anew.
    damaged = [str(path) for path in _objects(output.md5) if path.exists() and not is_sound(path)]
    first = f"rm -f {' '.join(damaged)} && " if damaged else ""
    return f"`{first}dvc repro {output.stage}` makes it"


def _is_cached(md5: str) -> bool:
    """Whether the cache holds the whole output."""
    return all(is_sound(path) for path in _objects(md5))


def _objects(md5: str) -> list[Path]:
    """The objects of an output in DVC's cache; of a folder also its files, if they are known."""
    path = _object(md5)
    if not md5.endswith(FOLDER) or not is_sound(path):
        return [path]
    return [path, *(_object(entry["md5"]) for entry in json.loads(path.read_bytes()))]


def _object(md5: str) -> Path:
    return CACHE / md5[:2] / md5[2:]


def _md5(path: Path) -> str | None:
    """The MD5 of a file, by which DVC names it; None if it can't be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest()
    except OSError:
        return None


def _listed(folder: Path) -> dict[str, str | None]:
    """The MD5 of each file in a folder, by its relative path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _md5(path) for path in files}


def _folder_digest(listed: Mapping[str, str | None]) -> str:
    # The same as in https://github.com/iterative/dvc-data, hashfile/tree.py.
    entries = [{"md5": listed[name], "relpath": name} for name in sorted(listed)]
    text = json.dumps(entries, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest() + FOLDER


def _differing(listed: Mapping[str, str | None], output: _Output) -> list[str]:
    """The changed files of a folder; empty if the original digests are unknown."""
    path = _object(output.md5)
    # A folder may stand in the place of a file, which has no list.
    if not output.md5.endswith(FOLDER) or not is_sound(path):
        return []
    made = {entry["relpath"]: entry["md5"] for entry in json.loads(path.read_bytes())}
    return sorted(name for name in made.keys() | listed if made.get(name) != listed.get(name))
