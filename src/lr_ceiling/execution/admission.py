"""Admission of remote workers: a worker describes itself, and the driver accepts or refuses it."""

import os
import platform
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pkgutil import resolve_name
from typing import Any

from lr_ceiling.identity import processor

OURS = "lr-ceiling"
# Libraries that every run uses, besides those of its problem.
LIBRARIES = (OURS, "cloudpickle", "numpy")
# Prefixes of variables that choose kernels. TensorFlow reports its numbers of threads itself, and
# Dask sets thread variables for libraries that compute no run.
SWITCHES = (
    *("DNNL_", "ITEX_", "KMP_", "MKL_", "NPY_", "ONEDNN_", "_DNNL_", "_ONEDNN_"),
    *("TF_CUDNN_", "TF_DETERMINISTIC_", "TF_DISABLE_", "TF_ENABLE_", "TF_USE_", "TF_XLA_", "XLA_"),
)
# threadpoolctl and scikit-learn set these when they are imported. They choose no kernel.
NO_SWITCHES = ("KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK")
PROCESSOR, FLOAT, THREADS = "processor", "float type", "threads"


@dataclass(frozen=True)
class Told:
    """A process's description of itself before its first run.

    `versions` and `data` (SHA-256 by name) must equal the driver's. If `arithmetic` differs, the
    last digits of a run differ. `failure` says why the process can't execute runs at all.
    """

    worker: str
    versions: Mapping[str, str]
    data: Mapping[str, str] = field(default_factory=dict)
    arithmetic: Mapping[str, str] = field(default_factory=dict)
    failure: str | None = None


@dataclass(frozen=True)
class Versioned:
    """The libraries and `numbers` that must have the same version everywhere.

    `numbers` are names of the form `package.module:ATTRIBUTE`, such as an engine's version.
    """

    libraries: tuple[str, ...] = ()
    numbers: Mapping[str, str] = field(default_factory=dict)


def told_here(worker: str, versioned: Versioned, data: Mapping[str, str]) -> Told:
    """The description of this process."""
    found = {"Python": platform.python_version()}
    found |= {name: _version(name) for name in (*LIBRARIES, *versioned.libraries)}
    found |= {name: _number(place) for name, place in versioned.numbers.items()}
    return Told(worker, found, data, _arithmetic())


def wanted_here(
    versioned: Versioned, data: Mapping[str, str], environment: Mapping[str, str], one_thread: bool
) -> Told:
    """The description that workers must give to compute the same as processes of this machine.

    `environment` is the initial environment of these processes. `one_thread` says that TensorFlow
    uses one thread in them, and Keras its default float type; other float types are sent with the
    problem.
    """
    told = told_here("the driver", versioned, data)
    arithmetic = {PROCESSOR: processor(), **_switches(environment)}
    if one_thread:
        arithmetic |= {FLOAT: "float32", THREADS: "1"}
    return Told(told.worker, told.versions, data, arithmetic)


def refusal(wanted: Told, told: Told) -> str | None:
    """Why a worker may not execute runs, in one line; None if it may."""
    if told.failure is not None:
        return f"worker {told.worker} is refused: {told.failure}"
    differing = _differing(wanted.versions, told.versions, "wanted")
    differing += _differing(wanted.data, told.data, "wanted")
    return f"worker {told.worker} is refused: {'; '.join(differing)}" if differing else None


def other_arithmetic(wanted: Told, told: Told) -> str | None:
    """How a worker's arithmetic differs from that of the driver's machine; None if it doesn't.

    A float type or thread count that only one of the two reports is ignored.
    """
    silent = {FLOAT, THREADS} - (wanted.arithmetic.keys() & told.arithmetic.keys())
    here, there = (
        {name: value for name, value in one.arithmetic.items() if name not in silent}
        for one in (wanted, told)
    )
    differing = _differing(here, there, "here")
    if not differing:
        return None
    return f"worker {told.worker} computes other last digits: {'; '.join(differing)}"


def _differing(wanted: Mapping[str, str], found: Mapping[str, str], by: str) -> list[str]:
    return [
        f"{name} is {found.get(name, 'none')}, {by} {wanted.get(name, 'none')}"
        for name in dict.fromkeys((*wanted, *found))
        if wanted.get(name) != found.get(name)
    ]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def _number(place: str) -> str:
    try:
        return str(resolve_name(place))
    # Another version of this package may lack it.
    except (ImportError, AttributeError, ValueError):
        return "none"


def _arithmetic() -> dict[str, str]:
    found = {PROCESSOR: processor(), **_switches(os.environ)}
    keras, tensorflow = sys.modules.get("keras"), sys.modules.get("tensorflow")
    if keras is not None and hasattr(keras, "config"):
        found[FLOAT] = str(keras.config.floatx())
    if tensorflow is not None and hasattr(tensorflow, "config"):
        found[THREADS] = _threads(tensorflow.config.threading)
    return found


def _switches(environment: Mapping[str, str]) -> dict[str, str]:
    return {
        name: environment[name]
        for name in sorted(environment)
        if name.startswith(SWITCHES) and name not in NO_SWITCHES and not name.endswith("_THREADS")
    }


def _threads(threading: Any) -> str:
    counts: Iterable[Callable[[], int]] = (
        threading.get_intra_op_parallelism_threads,
        threading.get_inter_op_parallelism_threads,
    )
    return " and ".join(dict.fromkeys(str(count()) for count in counts))
