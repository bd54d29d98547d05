"""`lr-ceiling find`: the ceiling of a problem in a Python file or module."""

import importlib
import importlib.util
import signal
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

# The module name under which a problem's file is imported.
NAME = "__problem__"


@click.command()
@click.argument("problem", metavar="FILE.py:NAME|MODULE:NAME")
@click.option("--low", type=float, required=True, help="the ceiling is expected above it")
@click.option("--high", type=float, required=True, help="the ceiling is expected below it")
@click.option("--target", type=float, help="the score that a stable run must reach")
@click.option(
    "--mode",
    type=click.Choice(["max", "min"]),
    default="max",
    show_default=True,
    help="whether higher or lower scores are better",
)
@click.option("--budget", type=float, default=15, show_default=True, help="maximum full runs")
@click.option(
    "--interval",
    type=float,
    default=0.3,
    show_default=True,
    help="stop at this width of lr90's interval, in decades",
)
@click.option(
    "--confirmations",
    type=int,
    default=12,
    show_default=True,
    help="maximum runs that confirm lr90",
)
@click.option(
    "--usable",
    type=int,
    default=6,
    show_default=True,
    help="maximum runs that search for the usable rate; 0: none",
)
@click.option("--loss", type=float, help="allowed loss of score; default: 0.01 for mode max")
@click.option("--seed", type=int, default=0, show_default=True, help="chooses the runs' seeds")
@click.option("--lag", type=int, default=4, show_default=True, help="maximum runs in progress")
@click.option("--workers", type=int, help="runs at once; default: one per core")
@click.option("--scheduler", help="address of a Dask scheduler for the runs: tcp://host:8786")
@click.option("--strict", is_flag=True, help="refuse workers with another kind of processor")
@click.option("--time-out", type=float, help="seconds until a second worker gets the same run")
@click.option(
    "--storage", type=click.Path(path_type=Path), help="journal of the trials, to continue later"
)
@click.option("--json", "output", type=click.Path(path_type=Path), help="file for the answer")
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
    """Measure the highest learning rates at which a problem trains and loses no accuracy.

    The problem is a KerasProblem, or a function of a learning rate and a seed. The function returns
    whether the run was stable, or a score.
    """
    cluster = cluster_at(scheduler, strict, time_out)
    # A stopped service ends its workers, like after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    found = load_problem(problem)
    ceiling = find_ceiling(found, progress=not quiet, executor=cluster, **question)
    click.echo(ceiling)
    if output is not None:
        write_text(output, ceiling.to_json() + "\n")


def cluster_at(address: str | None, strict: bool, time_out: float | None) -> Cluster | None:
    """The cluster of a scheduler. Raises ParamsError for cluster options without a scheduler."""
    if address is None:
        if strict or time_out is not None:
            name = "--strict" if strict else "--time-out"
            raise ParamsError(f"{name} is for a cluster: give its --scheduler")
        return None
    if time_out is not None and not time_out > 0:
        raise ParamsError(f"--time-out is {time_out:g}: it must be above 0 seconds")
    # Imported here because the import takes .5 s and needs an extra.
    from lr_ceiling.execution.cluster import DaskCluster

    return DaskCluster(address, strict=strict, time_out=time_out)


def load_problem(named: str) -> Any:
    """The object named by `FILE.py:NAME` or `MODULE:NAME`. Raises ParamsError if it is missing."""
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
    # Any error of a user's file.
    except (Exception, SystemExit) as error:
        reason = " ".join(str(error).split()) or "no reason given"
        raise ParamsError(f"{place} can't be imported: {type(error).__name__}: {reason}") from error


def _executed(path: Path) -> ModuleType:
    # Like Python for a script, so that the file may import its neighbours.
    sys.path.insert(0, str(path.parent.resolve()))
    spec = importlib.util.spec_from_file_location(NAME, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses and others look up the module of a class here.
    sys.modules[NAME] = module
    spec.loader.exec_module(module)
    # Other processes can't import it.
    cloudpickle.register_pickle_by_value(module)
    return module


def _offered(module: ModuleType) -> str:
    """The names in a module that may be a problem."""
    own = [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and not isinstance(value, type)
        and (isinstance(value, Problem) or getattr(value, "__module__", "") == module.__name__)
    ]
    return ", ".join(sorted(own)) or "no function and no problem of its own"
