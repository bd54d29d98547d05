"""Admission: what a worker tells, what refuses it, and what is only told."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from lr_ceiling.execution.admission import (
    Told,
    Versioned,
    other_arithmetic,
    refusal,
    told_here,
    wanted_here,
)
from lr_ceiling.identity import processor
from lr_ceiling.mnist.version import ENGINE_VERSION
from lr_ceiling.problems.environment import SETTINGS

ENGINE = "lr_ceiling.mnist.version:ENGINE_VERSION"
VERSIONED = Versioned(("keras",), {"engine": ENGINE})
WANTED = Told(
    "the driver", {"Python": "3.11.7", "keras": "3.10"}, {"data": "ab"}, {"processor": "a"}
)
WORKER = replace(WANTED, worker="tcp://one:1")


def test_a_process_tells_versions_data_and_processor() -> None:
    told = told_here("tcp://one:1", VERSIONED, {"data": "ab"})
    assert told.versions["engine"] == str(ENGINE_VERSION)
    assert told.versions["keras"].startswith("3.")
    assert told.versions["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert told.data == {"data": "ab"}
    assert told.arithmetic["processor"] == processor()


def test_what_is_not_there_is_told_as_none() -> None:
    told = told_here("", Versioned(("no-such-library",), {"engine": "no.such:THING"}), {})
    assert told.versions["no-such-library"] == told.versions["engine"] == "none"


def test_a_worker_that_is_as_wanted_is_admitted() -> None:
    assert refusal(WANTED, WORKER) is None
    assert other_arithmetic(WANTED, WORKER) is None


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (
            replace(WORKER, versions={"Python": "3.11.7", "keras": "3.9"}),
            "keras is 3.9, wanted 3.10",
        ),
        (replace(WORKER, versions={"Python": "3.11.7"}), "keras is none, wanted 3.10"),
        (
            replace(WORKER, versions={"Python": "3.12.1", "keras": "3.9"}),
            "Python is 3.12.1, wanted 3.11.7; keras is 3.9, wanted 3.10",
        ),
        (replace(WORKER, data={"data": "cd"}), "data is cd, wanted ab"),
        (replace(WORKER, failure="it can't be made ready"), "it can't be made ready"),
    ],
)
def test_another_is_refused_in_one_line(told: Told, why: str) -> None:
    assert refusal(WANTED, told) == f"worker tcp://one:1 is refused: {why}"


def test_another_processor_is_no_reason_to_refuse_but_told() -> None:
    told = replace(WORKER, arithmetic={"processor": "b"})
    assert refusal(WANTED, told) is None
    said = "worker tcp://one:1 computes other last digits: processor is b, here a"
    assert other_arithmetic(WANTED, told) == said


def test_threads_that_only_one_tells_say_nothing_and_switches_do() -> None:
    silent = replace(WORKER, arithmetic={"processor": "a", "threads": "8", "float type": "float16"})
    assert other_arithmetic(WANTED, silent) is None
    wanted = replace(WANTED, arithmetic={"processor": "a", "threads": "1"})
    assert other_arithmetic(wanted, silent) == (
        "worker tcp://one:1 computes other last digits: threads is 8, here 1"
    )
    switched = replace(WORKER, arithmetic={"processor": "a", "TF_ENABLE_ONEDNN_OPTS": "0"})
    assert other_arithmetic(WANTED, switched) == (
        "worker tcp://one:1 computes other last digits: TF_ENABLE_ONEDNN_OPTS is 0, here none"
    )


def test_switches_are_those_of_the_environment_and_threads_of_others_are_none() -> None:
    code = (
        "import threadpoolctl\n"
        "from lr_ceiling.execution.admission import *\n"
        "print(sorted(told_here('', Versioned(), {}).arithmetic))"
    )
    set_there = {"ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"}
    others = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=others | set_there,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "['ONEDNN_MAX_CPU_ISA', 'processor']\n"


def test_one_thread_of_tensorflow_is_wanted_where_runs_have_it() -> None:
    environment = {"TF_ENABLE_ONEDNN_OPTS": "1", "HOME": "/"}
    wanted = wanted_here(Versioned(), {}, environment, one_thread=True)
    assert wanted.arithmetic == {
        "processor": processor(),
        "TF_ENABLE_ONEDNN_OPTS": "1",
        "float type": "float32",
        "threads": "1",
    }
    plain = wanted_here(Versioned(), {}, {}, one_thread=False)
    assert plain.arithmetic == {"processor": processor()}
