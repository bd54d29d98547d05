"""`lr-ceiling pull`: fetches the results that dvc.lock names, instead of computing them."""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lr_ceiling.errors import PipelineError, one_line_errors
from lr_ceiling.pipeline.integrity.outputs import is_sound

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

# DVC and its parts log failures with tracebacks; this command tells them in one line.
LOGGERS = ("dvc", "dvc_data", "dvc_objects")
# A message names so many files at most.
SHOWN = 3
# Hexadecimal digits of an MD5. The name of a folder's object has a suffix.
MD5 = 32
INSTEAD = "`make repro` computes the results instead"


@click.command()
@click.option("--force", is_flag=True, help="Overwrite results that were changed here.")
@one_line_errors
def main(force: bool) -> None:
    """Fetch all results that dvc.lock names from DVC's default remote, without training.

    Each object is checked against its digest. Results that are here already are not fetched again.
    """
    # Imported here because dvc takes 1 s to import.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with Repo() as repo:
            remote = _remote(repo)
            outputs = len(_cached(repo))
            fetched = _fetch(repo, remote)
            repo.checkout(force=force)
    # DVC passes on errors of the cache's folder, and of a kind of remote that is not installed.
    except (DvcException, PipelineError, OSError, ImportError) as error:
        # Imported here because it imports MLflow. A remote's address may hold a password.
        from lr_ceiling.tracking.credentials import hide

        raise PipelineError(hide(" ".join(str(error).split()))) from None
    click.echo(f"{fetched} objects fetched; all {outputs} outputs of dvc.lock are here")


def _remote(repo: "Repo") -> str:
    name: str | None = repo.config["core"].get("remote")
    if name is None:
        raise PipelineError(
            "no remote is set: `dvc remote add --default results <address>` sets one; " + INSTEAD
        )
    if name not in repo.config["remote"]:
        raise PipelineError(
            f"the remote {name} has no address: `dvc remote add {name} <address>` gives it one"
        )
    return name


def _fetch(repo: "Repo", remote: str) -> int:
    """Fetch into DVC's cache what it lacks. Raises PipelineError if it still lacks something."""
    from dvc.exceptions import DownloadError, DvcException

    # DVC trusts each object that is there and read-only, so the damaged ones must go.
    for digest in _lacking(repo):
        _object(repo, digest).unlink(missing_ok=True)
    unforeseen = None
    try:
        # With `verify` DVC compares digests, and removes objects that differ from the cache.
        fetched: int = repo.fetch(config={"remote": {remote: {"verify": True}}})
    except DownloadError:
        # Some objects came and others did not. The check below finds the others.
        fetched = 0
    except (DvcException, OSError, ImportError):
        raise
    # A folder's list that is torn on the remote: what DVC's parts raise depends on its content.
    except Exception as error:
        fetched, unforeseen = 0, error
    lacking = _lacking(repo)
    if lacking:
        raise PipelineError(f"{_fault(repo, remote, lacking)}; {INSTEAD}")
    if unforeseen:
        raise unforeseen
    return fetched


def _cached(repo: "Repo") -> list["Output"]:
    """The outputs that are in DVC's cache; git holds the others. Raises PipelineError."""
    cached = [out for out in repo.index.outs if out.use_cache]
    unknown = [str(out) for out in cached if not out.hash_info.value]
    if unknown:
        raise PipelineError(f"dvc.lock doesn't have {_named(unknown)}: `dvc repro` makes it")
    return cached


def _lacking(repo: "Repo") -> dict[str, str]:
    """The objects that DVC's cache lacks, or has damaged: the digest of each, and what it is for.

    The files of a folder are known only if the cache has the list of them.
    """
    lacking = {}
    for out in _cached(repo):
        digest = out.hash_info.value
        if not is_sound(_object(repo, digest)):
            lacking[digest] = str(out)
        elif out.hash_info.isdir:
            for key, _, info in out.get_obj():
                if not is_sound(_object(repo, info.value)):
                    lacking[info.value] = "/".join((str(out), *key))
    return lacking


def _object(repo: "Repo", digest: str) -> Path:
    return Path(repo.cache.local.oid_to_path(digest))


def _fault(repo: "Repo", remote: str, lacking: Mapping[str, str]) -> str:
    """Say why objects did not come."""
    objects = repo.cloud.get_remote_odb(remote)
    address = repo.config["remote"][remote]["url"]
    missing, damaged = [], []
    try:
        for digest, path in lacking.items():
            # To DVC a remote that does not answer is an empty one; this request tells them apart.
            try:
                content = objects.fs.cat_file(objects.oid_to_path(digest))
            except FileNotFoundError:
                missing.append(path)
                continue
            if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest[:MD5]:
                damaged.append(path)
    # Each kind of remote raises errors of its own.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return f"the remote {address} can't be read: {reason}"
    faults = [f"has damaged copies of {_named(damaged)}"] if damaged else []
    faults += [f"lacks {_named(missing)}"] if missing else []
    if not faults:
        return (
            f"{_named(list(lacking.values()))} did not come, but the remote {address} has sound "
            "copies: try again, and if it fails again, look whether the disk is full"
        )
    return f"the remote {address} {' and '.join(faults)}"


def _named(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else ""
    return ", ".join(paths[:SHOWN]) + more


if __name__ == "__main__":
    main()
