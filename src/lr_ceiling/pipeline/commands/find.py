"""`lr-ceiling find`: the ceiling of a problem in a Python file or module."""

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import cloudpickle

from lr_ceiling.errors import LrCeilingError, ParamsError, one_line_errors
from lr_ceiling.execution.files import write_text
from lr_ceiling.execution.remote import Cluster
from lr_ceiling.find import find_ceiling
from lr_ceiling.problems.problem import Problem

# The name of a problem's file as a module.
NAME = "__problem__"


@click.command()
@click.argument("problem", metavar="FILE.py:NAME|MODULE:NAME")
@click.option("--low", type=float, required=True, help="the ceiling is expected above it")
@click.option("--high", type=float, required=True, help="the ceiling is expected below it")
@click.option("--target", type=float, help="the score from which on a run is stable")
@click.option("--mode", type=click.Choice(["max", "min"]), default="max", show_default=True)
@click.option("--budget", type=float, default=15, show_default=True, help="full runs at most")
@click.option("--interval", type=float, default=0.3, show_default=True, help="decades, to end at")
@click.option(
    "--confirmations", type=int, default=12, show_default=True, help="fresh seeds at most"
)
@click.option(
    "--usable", type=int, default=6, show_default=True, help="runs below the edge at most"
)
@click.option("--loss", type=float, help="of the score that counts as none lost; 0.01 for max")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--lag", type=int, default=4, show_default=True, help="runs under way at most")
@click.option("--workers", type=int, help="runs at once; one a core by default")
@click.option("--scheduler", help="a Dask scheduler whose workers run it: tcp://host:8786")
@click.option("--strict", is_flag=True, help="refuse workers that compute other last digits")
@click.option("--time-out", type=float, help="seconds, after which another worker tries a run too")
@click.option("--storage", type=click.Path(path_type=Path), help="a journal to go on from")
@click.option("--json", "output", type=click.Path(path_type=Path), help="write the answer there")
@click.option("--quiet", is_flag=True, help="show no progress")
@one_line_errors
def main(
    problem: str,
    output: Path | None,
    quiet: bool,
    scheduler: str | None,
    strict: bool,
    time_out: float | None,
    **question: Any,
) -> None:
    """Measure up to which learning rate a problem trains, and up to which no accuracy is lost.

    The problem is a KerasProblem, or a function of a learning rate and a seed that returns whether
    the run was stable, or a score.
    """
    cluster = cluster_at(scheduler, strict, time_out)
    found = load_problem(problem)
    ceiling = find_ceiling(found, progress=not quiet, executor=cluster, **question)
    click.echo(ceiling)
    if output is not None:
        write_text(output, ceiling.to_json() + "\n")


def cluster_at(address: str | None, strict: bool, time_out: float | None) -> Cluster | None:
    """The cluster of a scheduler. Raises ParamsError for options that need one, and no number."""
    if address is None:
        if strict or time_out is not None:
            name = "--strict" if strict else "--time-out"
            raise ParamsError(f"{name} is for workers elsewhere: name their --scheduler")
        return None
    if time_out is not None and not time_out > 0:
        raise ParamsError(f"--time-out is {time_out:g}: it must be above 0 seconds")
    # Late, since it takes .5 s to import, and an extra.
    from lr_ceiling.execution.cluster import DaskCluster

    return DaskCluster(address, strict=strict, time_out=time_out)


def load_problem(named: str) -> Any:
    """What `FILE.py:NAME` or `MODULE:NAME` names. Raises ParamsError if there is no such thing."""
    place, _, name = named.rpartition(":")
    if not place or not name:
        raise ParamsError(f"{named!r} names no problem: write FILE.py:NAME or MODULE:NAME")
    module = _module(place)
    try:
        return getattr(module, name)
    except AttributeError:
        raise ParamsError(f"{place} has no {name!r}: it has {_offered(module)}") from None


def _module(place: str) -> ModuleType:
    try:
        if not place.endswith(".py"):
            sys.path.insert(0, str(Path.cwd()))
            return importlib.import_module(place)
        path = Path(place)
        if not path.is_file():
            raise ParamsError(f"{place} is no file")
        return _executed(path)
    except LrCeilingError:
        raise
    # Whatever a user's file raises.
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise ParamsError(f"{place} can't be imported: {type(error).__name__}: {reason}") from error


def _executed(path: Path) -> ModuleType:
    # As Python does for a script: it may import its neighbours.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses, and whatever else asks for the module of a class, look for it there.
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    # Nobody else can import it.
    cloudpickle.register_pickle_by_value(module)
    return module


def _offered(module: ModuleType) -> str:
    """What of a module's own may be a problem."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, type)
        and (isinstance(value, Problem) or getattr(value, "__module__", "") == module.__name__)
    ]
    return ", ".join(sorted(own)) or "no function and no problem of its own"
