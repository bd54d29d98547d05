"""find_ceiling as people from outside use it: any problem, any executor, any interruption."""

import json
import math
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from decimal import Decimal
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from lr_ceiling import Ceiling, Outcome, Problem, find_ceiling
from lr_ceiling.errors import (
    LrCeilingError,
    ParamsError,
    ProblemError,
    ResultsError,
    StudyError,
    WorkerError,
)
from lr_ceiling.execution.executor import CONTEXT
from lr_ceiling.search.ceiling import ceiling_of

EDGE = 0.03
Runs = Callable[[float, int], Any]


def trains(rate: float, seed: int) -> bool:
    return rate < EDGE


def search(problem: Any, **arguments: Any) -> Ceiling:
    """A small search in threads of this process, unless it is told otherwise."""
    small = {"budget": 4, "confirmations": 2, "progress": False}
    asked = {"low": 1e-3, "high": 1.0} | small | arguments
    if "executor" in asked or "workers" in asked:
        return find_ceiling(problem, **asked)
    with ThreadPoolExecutor(1) as threads:
        return find_ceiling(problem, executor=threads, **asked)


def tried(ceiling: Ceiling) -> list[tuple[float, int, bool]]:
    return [(run.learning_rate, run.seed, run.outcome.stable) for run in ceiling.runs]


@cache
def plain() -> Ceiling:
    """What all searches of the same say."""
    return search(trains)


def message(error: pytest.ExceptionInfo[LrCeilingError]) -> str:
    """What the error says, which is one line."""
    said = str(error.value)
    assert "\n" not in said
    return said


class Instance:
    """What holds its settings itself."""

    def __init__(self, edge: float) -> None:
        self.edge = edge

    def __call__(self, rate: float, seed: int) -> bool:
        return rate < self.edge


def closure(edge: float) -> Runs:
    def run(rate: float, seed: int) -> bool:
        return rate < edge

    return run


def with_edge(edge: float, rate: float, seed: int) -> bool:
    return rate < edge


@pytest.mark.parametrize(
    ("problem", "judged"),
    [
        (lambda rate, seed: rate < EDGE, {}),
        (closure(EDGE), {}),
        (partial(with_edge, EDGE), {}),
        (Instance(EDGE), {}),
        (lambda rate, seed: np.bool_(rate < EDGE), {}),
        (lambda rate, seed: 1 - rate, {"target": 1 - EDGE}),
        (lambda rate, seed: np.float32(rate < EDGE), {"target": 1}),
        (lambda rate, seed: np.array([rate]), {"target": EDGE, "mode": "min"}),
        (lambda rate, seed: Decimal(rate), {"target": EDGE, "mode": "min"}),
        (lambda rate, seed: Outcome(stable=rate < EDGE, score=0.5), {}),
        (
            lambda rate, seed: Outcome(
                stable=np.bool_(rate < EDGE),  # type: ignore[arg-type]
                score=np.float32("nan"),  # type: ignore[arg-type]
                cost=np.float64(1),
                called="failure" if rate >= EDGE else None,
            ),
            {},
        ),
    ],
)
def test_whatever_says_the_same_has_the_same_ceiling(
    problem: Runs, judged: dict[str, Any], tmp_path: Path
) -> None:
    # Bools have no score that could be lost.
    judged = judged | {"usable": False}
    kept = search(problem, storage=tmp_path / "journal", **judged)
    assert tried(kept) == tried(plain())
    assert kept.lr90 == plain().lr90
    # From the journal, without a run.
    again = search(lambda rate, seed: 1 / 0, storage=tmp_path / "journal", **judged)
    assert again.to_json() == kept.to_json()
    assert again.runs == kept.runs


def test_the_edge_lies_in_the_interval() -> None:
    ceiling = search(trains, budget=15)
    low, high = ceiling.lr90.ci95
    assert low is not None
    assert high is not None
    assert low < EDGE < high
    assert math.log10(high / low) < 0.4
    assert ceiling.exists > 0.9


SCRIPT = """
import sys
from lr_ceiling import find_ceiling

edge = 0.03
print("began", flush=True)

def train(learning_rate, seed):
    return learning_rate < edge

small = {"budget": 4, "confirmations": 2, "workers": 2, "progress": False}
print(find_ceiling(train, low=1e-3, high=1, **small).to_json())
"""


def run_script(text: str, folder: Path, *arguments: str) -> str:
    path = folder / "script.py"
    path.write_text(text)
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


def test_a_script_needs_no_guard_and_says_the_same_as_any_other(tmp_path: Path) -> None:
    shown = run_script(SCRIPT, tmp_path)
    assert shown.count("began") == 1
    assert json.loads(shown.removeprefix("began\n")) == json.loads(plain().to_json())


def not_a_number(rate: float, seed: int) -> float:
    return 1.0 if rate < EDGE else math.nan


def infinite(rate: float, seed: int) -> float:
    return 1.0 if rate < EDGE else math.inf


def divides_by_zero(rate: float, seed: int) -> float:
    return 1.0 if rate < EDGE else 1 / 0


def overflows(rate: float, seed: int) -> float:
    return 1.0 if rate < EDGE else math.exp(1e6)


def too_large(rate: float, seed: int) -> float:
    return 1 if rate < EDGE else 10**400


def singular(rate: float, seed: int) -> float:
    return 1.0 if rate < EDGE else float(np.linalg.inv(np.zeros((2, 2)))[0, 0])


@pytest.mark.parametrize("mode", ["max", "min"])
@pytest.mark.parametrize(
    "problem", [not_a_number, infinite, divides_by_zero, overflows, too_large, singular]
)
def test_what_is_not_finite_is_a_failed_run(problem: Runs, mode: str) -> None:
    # Bools have no score that could be lost.
    ceiling = search(problem, target=1, mode=mode, usable=False)
    assert tried(ceiling) == tried(plain())
    assert {run.outcome.label for run in ceiling.runs} == {"stable", "diverged"}


def broken(rate: float, seed: int) -> bool:
    if rate < EDGE:
        raise ValueError("no data\nhere")
    return False


def exits(rate: float, seed: int) -> bool:
    sys.exit("enough")


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_another_exception_is_told_with_rate_and_seed(executor: str) -> None:
    places: dict[str, Any] = {"workers": 1} if executor == "processes" else {}
    with pytest.raises(ProblemError) as error:
        search(broken, **places)
    assert re.fullmatch(
        r"the run at learning rate \S+ with seed \d+ raised ValueError: no data here",
        message(error),
    )
    with pytest.raises(ProblemError, match=r"with seed \d+ raised SystemExit: enough$"):
        search(exits, **places)


def test_what_ended_before_an_exception_is_kept_and_the_search_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    with pytest.raises(ProblemError) as error:
        search(broken, storage=journal)
    told = re.search(r"; (\d) finished runs? kept in (.*)$", message(error))
    assert told
    assert told[2] == str(journal)
    ceiling = search(trains, storage=journal)
    assert tried(ceiling) == tried(plain())
    assert len(ceiling.runs) > int(told[1]) > 0


@pytest.mark.parametrize(
    ("returned", "said"),
    [
        (0.5, r"the problem returned the score 0\.5: give target=, the score of a stable run"),
        (None, r"the problem returned None \(NoneType\): return a bool, a score, or an Outcome"),
        ("0.5", r"the problem returned '0\.5' \(str\)"),
        ([0.5, 0.6], r"the problem returned \[0\.5, 0\.6\] \(list\)"),
        (1j, r"the problem returned 1j \(complex\)"),
    ],
)
def test_what_can_not_be_judged_is_told(returned: object, said: str) -> None:
    with pytest.raises(ProblemError, match=said) as error:
        search(lambda rate, seed: returned)
    assert re.search(r"\(the run at learning rate \S+ with seed \d+\)$", message(error))


class Bare(Problem):
    """A problem whose runs give what a function's may."""

    def __init__(self, returned: Callable[[float], Any]) -> None:
        self.returned = returned

    def run(self, learning_rate: float, seed: int, report: Callable[[int], None]) -> Any:
        return self.returned(learning_rate)


def test_a_problem_of_ones_own_may_give_a_bool_and_is_told_of_what_it_may_not() -> None:
    assert tried(search(Bare(lambda rate: rate < EDGE))) == tried(plain())
    with pytest.raises(ProblemError, match=r"the problem returned None .*: return a bool"):
        search(Bare(lambda rate: None))


def test_a_run_costs_something() -> None:
    with pytest.raises(ProblemError, match=r"raised ValueError: cost is 0: it must be above 0"):
        search(lambda rate, seed: Outcome(stable=True, cost=0))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"low": 0}, "low is 0 and high is 1: they must be 1e-300 <= low < high"),
        ({"low": 1}, "low is 1 and high is 1"),
        ({"low": 2, "high": 1}, "low is 2 and high is 1"),
        ({"high": math.inf}, "high is inf: it must be a finite number"),
        ({"high": 1e308}, "high is 1e+308: they must be"),
        ({"low": "0.1"}, "low is '0.1': it must be a finite number"),
        ({"low": None}, "low is None"),
        ({"budget": 0.5}, "budget is 0.5: it must be at least 1 full run"),
        ({"budget": math.nan}, "budget is nan"),
        ({"interval": 0}, "interval is 0: it must be above 0 decades"),
        ({"interval": math.nan}, "interval is nan"),
        ({"lag": 0}, "lag is 0: it must be at least 1"),
        ({"lag": 1.5}, "lag is 1.5: it must be a whole number"),
        ({"seed": 1.5}, "seed is 1.5: it must be a whole number"),
        ({"seed": "a"}, "seed is 'a': it must be a whole number"),
        ({"workers": 0}, "workers is 0: it must be at least 1"),
        ({"confirmations": -1}, "confirmations is -1: it must be at least 0"),
        ({"usable": -1}, "usable is -1: it must be at least 0"),
        ({"usable": 1.5}, "usable is 1.5: it must be a whole number"),
        ({"loss": 0}, "loss is 0: it must be above 0, in units of the score"),
        ({"loss": -0.01}, "loss is -0.01: it must be above 0, in units of the score"),
        ({"loss": -0.01, "mode": "min"}, "loss is -0.01: it must be above 0"),
        ({"loss": math.nan}, "loss is nan: it must be a finite number"),
        ({"loss": 0, "usable": False}, "loss is 0: it must be above 0"),
        ({"executor": 4}, "executor is a int: give a concurrent.futures.Executor"),
        ({"target": math.nan}, "target is nan: it must be a finite number"),
        ({"target": "high"}, "target is 'high'"),
        ({"mode": "auto"}, "mode is 'auto': it must be 'max' or 'min'"),
        ({"problem": 3}, "the problem is a int: give a KerasProblem, or a function"),
        ({"problem": Instance}, "the problem is a class Instance: give a KerasProblem"),
        ({"problem": Problem(), "target": 1}, "target is 1: this problem has a target of its own"),
        ({"problem": Problem(), "mode": "min"}, "mode is 'min': this problem has a mode"),
    ],
)
def test_an_impossible_argument_is_one_line(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ParamsError, match=re.escape(said)) as error:
        search(**({"problem": trains} | arguments))
    message(error)


def test_numbers_are_the_same_whatever_their_kind() -> None:
    kinds: dict[str, Any] = {"low": np.float64(1e-3), "high": 1, "budget": 4.0, "lag": np.int64(4)}
    assert tried(search(trains, **kinds)) == tried(plain())


def test_a_seed_decides_the_runs() -> None:
    assert tried(search(trains, seed=1)) != tried(plain())


def slow_after(journal: Path, count: int) -> str:
    """A script whose search gets slow once so many runs have ended."""
    return f"""
import sys, time
from pathlib import Path
from lr_ceiling import find_ceiling

def train(learning_rate, seed):
    if Path({str(journal)!r}).read_text().count('"state":1') >= {count}:
        time.sleep(60)
    return learning_rate < {EDGE}

find_ceiling(train, low=1e-3, high=1, budget=8, workers=2, storage={str(journal)!r}, progress=False)
"""


def test_a_search_that_is_killed_goes_on(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    (tmp_path / "script.py").write_text(slow_after(journal, 3))
    killed = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    try:
        end = time.monotonic() + 60
        while not (journal.exists() and journal.read_text().count('"state":1') >= 3):
            assert killed.poll() is None
            assert time.monotonic() < end
            time.sleep(0.02)
    finally:
        killed.kill()
        killed.wait()
    # As a kill in the middle of a line leaves it.
    with journal.open("a") as file:
        file.write('{"op_co')
    ceiling = search(trains, budget=8, storage=journal)
    undisturbed = search(trains, budget=8)
    assert ceiling.to_json() == undisturbed.to_json()
    assert tried(ceiling) == tried(undisturbed)


class Versioned:
    """A function with a version and a setting of its own."""

    libraries = ("numpy",)

    def __init__(self, version: str) -> None:
        self.version = version

    def __call__(self, rate: float, seed: int) -> bool:
        return rate < EDGE


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"low": 1e-2}, r"low is 0\.01, there 0\.001"),
        ({"high": 10}, r"high is 10\.0, there 1\.0"),
        ({"seed": 1}, r"seed is 1, there 0"),
        ({"lag": 2}, r"lag is 2, there 4"),
        ({"interval": 0.2}, r"interval is 0\.2, there 0\.3"),
        ({"target": 0.8}, r"target is 0\.8, there none"),
        ({"problem": Versioned("2")}, r"the problem's version is 2, there 1"),
    ],
)
def test_the_storage_of_another_search_is_refused(
    changed: dict[str, Any], said: str, tmp_path: Path
) -> None:
    journal = tmp_path / "search.journal"
    search(Versioned("1"), budget=2, storage=journal)
    before = journal.read_bytes()
    with pytest.raises(StudyError, match=rf"search\.journal holds another search: {said}") as error:
        search(**({"problem": Versioned("1"), "budget": 2, "storage": journal} | changed))
    message(error)
    assert journal.read_bytes() == before


def test_another_target_is_another_search(tmp_path: Path) -> None:
    score: Runs = lambda rate, seed: 1 - rate  # noqa: E731
    search(score, target=0.9, budget=2, storage=tmp_path / "journal")
    with pytest.raises(StudyError, match=r"target is 0\.8, there 0\.9\. Name another file"):
        search(score, target=0.8, budget=2, storage=tmp_path / "journal")
    with pytest.raises(StudyError, match="mode is min, there max"):
        search(score, target=0.9, mode="min", budget=2, storage=tmp_path / "journal")


def test_a_larger_budget_goes_on_and_a_smaller_one_has_what_it_had(tmp_path: Path) -> None:
    journal = tmp_path / "search.journal"
    small = search(trains, budget=3, storage=journal)
    large = search(trains, budget=6, storage=journal)
    edges = small.parts.count("edge")
    assert 3 <= edges < large.parts.count("edge")
    assert tried(large)[:edges] == tried(small)[:edges]
    assert tried(large) == tried(search(trains, budget=6))
    again = search(trains, budget=3, storage=journal)
    assert again.to_json() == small.to_json()
    assert again.trials.equals(small.trials)


def test_a_larger_budget_runs_no_trial_again_that_looked_for_the_edge(tmp_path: Path) -> None:
    small = search(trains, budget=3, storage=tmp_path / "journal")
    edges = small.parts.count("edge")
    known = {(rate, seed) for rate, seed, _ in tried(small)[:edges]}

    def trains_anew(rate: float, seed: int) -> bool:
        if (rate, seed) in known:
            raise ValueError("this one is known")
        return rate < EDGE

    large = search(trains_anew, budget=6, storage=tmp_path / "journal")
    assert tried(large) == tried(search(trains, budget=6))


def test_more_confirmations_go_on_where_fewer_ended(tmp_path: Path) -> None:
    fewer = search(trains, confirmations=1, storage=tmp_path / "journal")
    more = search(trains, confirmations=3, storage=tmp_path / "journal")
    assert tried(more)[: len(fewer.runs)] == tried(fewer)
    assert more.parts.count("confirm") == 3


@pytest.mark.parametrize("content", [b"rate,stable\n0.1,1", b"\x00\x01\n\x02", b"{}\n[]\n"])
def test_a_file_that_is_no_journal_is_left_as_it_is(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_bytes(content)
    with pytest.raises(ResultsError, match=r"results\.csv is no journal of a search: name"):
        search(trains, storage=path)
    assert path.read_bytes() == content


def test_a_storage_may_get_another_name(tmp_path: Path) -> None:
    kept = search(trains, storage=tmp_path / "search.journal")
    (tmp_path / "search.journal").rename(tmp_path / "kept.2026")
    again = search(lambda rate, seed: 1 / 0, storage=tmp_path / "kept.2026")
    assert again.to_json() == kept.to_json()


def test_another_programs_study_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "mine.journal"
    storage = JournalStorage(JournalFileBackend(str(path)))
    for name in ("mine", "other"):
        study = optuna.create_study(study_name=name, storage=storage, direction="maximize")
        study.ask().suggest_float("dropout", 0, 1)
    before = path.read_bytes()
    with pytest.raises(
        StudyError, match=r"mine\.journal holds a study of another program \(mine\)"
    ):
        search(trains, storage=path)
    assert path.read_bytes() == before
    assert {one.name for one in tmp_path.iterdir()} == {"mine.journal", "mine.journal.driver"}


def test_a_storage_that_can_not_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsError, match=r"file/journal can't be written \(.*\): name") as error:
        search(trains, storage=tmp_path / "file" / "journal")
    message(error)
    with pytest.raises(ResultsError, match=r" is a folder: name a file in it"):
        search(trains, storage=tmp_path)


def test_two_searches_may_share_a_folder_and_a_stem(tmp_path: Path) -> None:
    class Nested(Problem):
        def run(self, learning_rate: float, seed: int, report: Callable[[int], None]) -> Outcome:
            # While the outer one has its journal open.
            inner = search(trains, budget=1, confirmations=0, storage=tmp_path / "net.0.2")
            return Outcome(stable=learning_rate < EDGE, score=len(inner.runs))

    outer = search(Nested(), storage=tmp_path / "net.0.1", usable=False)
    assert tried(outer) == tried(plain())
    assert {run.outcome.score for run in outer.runs} == {1}


def test_where_the_runs_execute_decides_nothing() -> None:
    wanted = tried(search(trains, budget=8))
    assert tried(search(trains, budget=8, workers=1)) == wanted
    assert tried(search(trains, budget=8, workers=2)) == wanted
    pools: list[Executor] = [ThreadPoolExecutor(3), ProcessPoolExecutor(2, CONTEXT)]
    for pool in pools:
        with pool:
            assert tried(search(trains, budget=8, executor=pool)) == wanted
            # It stays open.
            assert pool.submit(abs, -1).result() == 1


def test_an_executor_stays_open_after_an_error() -> None:
    with ThreadPoolExecutor(2) as pool:
        with pytest.raises(ProblemError):
            search(broken, executor=pool)
        assert pool.submit(abs, -1).result() == 1


def test_an_executor_that_was_shut_down_is_one_line() -> None:
    pool = ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(WorkerError, match="the given executor takes no more tasks") as error:
        search(trains, executor=pool)
    message(error)


def test_a_problem_that_can_not_be_sent_is_one_line() -> None:
    lock = threading.Lock()
    with pytest.raises(ProblemError) as error:
        search(lambda rate, seed: lock.locked(), workers=1)
    assert re.fullmatch(
        r"the problem can't be sent to other processes \(TypeError: .*lock.*\): open files, locks "
        "and connections inside `run`, not before",
        message(error),
    )


class Fragile:
    """What can't be opened where it is sent."""

    def __call__(self, rate: float, seed: int) -> bool:
        return True

    def __reduce__(self) -> tuple[Any, ...]:
        return __import__, ("no_such_module",)


def test_a_problem_that_can_not_be_opened_is_one_line() -> None:
    with pytest.raises(ProblemError, match=r"No module named 'no_such_module'\): it must") as error:
        search(Fragile(), workers=1)
    assert message(error).startswith("a worker can't open the problem (ModuleNotFoundError: ")


def test_a_library_that_is_not_installed_is_named() -> None:
    problem = Versioned("1")
    problem.libraries = ("no-such-package",)
    with pytest.raises(ProblemError, match=r"libraries name no-such-package: no such package"):
        search(problem)


# What is known.


def descends(sharpness: float) -> Runs:
    """Gradient descent on sum(curvature * w**2) / 2, which is stable up to 2 / sharpness."""

    def run(rate: float, seed: int) -> bool:
        generator = np.random.default_rng(seed)
        curvature = sharpness * np.append(generator.uniform(0, 1, 9), 1)
        start = weights = generator.normal(size=10)
        for _ in range(500):
            weights = weights - rate * curvature * weights
        return bool(abs(weights[-1]) < abs(start[-1]))

    return run


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("sharpness", [0.02, 0.7, 30.0, 4e3])
def test_gradient_descent_on_a_quadratic(sharpness: float) -> None:
    ceiling = search(descends(sharpness), low=1e-4, high=1e2, budget=15)
    assert_holds(ceiling, 2 / sharpness)


def learns_linear_map(depth: int, largest: float) -> Runs:
    """Gradient descent on a deep linear network that is to become a map of known singular values.

    The flattest minimum has sharpness depth * largest**(2 - 2 / depth) (Mulayoff & Michaeli 2020),
    so no descent ends in any minimum above 2 / that; from a balanced start near it, it does below.
    """

    def run(rate: float, seed: int) -> bool:
        generator = np.random.default_rng(seed)
        singular = np.array([largest, 0.5 * largest, 0.2 * largest])
        turns = [np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(depth + 1)]
        target = turns[depth] @ np.diag(singular) @ turns[0].T
        root = np.diag(singular ** (1 / depth))
        layers = [turns[i + 1] @ root @ turns[i].T for i in range(depth)]
        layers = [layer + generator.normal(size=(3, 3)) * 1e-3 * largest for layer in layers]
        start = np.linalg.norm(product(layers) - target)
        for _ in range(400):
            error = product(layers) - target
            layers = [
                layer - rate * product(layers[i + 1 :]).T @ error @ product(layers[:i]).T
                for i, layer in enumerate(layers)
            ]
        return bool(np.linalg.norm(product(layers) - target) < start)

    return run


def product(layers: list[np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    whole = np.eye(3)
    for layer in layers:
        whole = layer @ whole
    return whole


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("depth", "largest"), [(2, 1.3), (3, 2.0), (4, 0.5)])
def test_gradient_descent_on_a_deep_linear_network(depth: int, largest: float) -> None:
    ceiling = search(learns_linear_map(depth, largest), low=1e-3, high=1e2, budget=15)
    assert_holds(ceiling, 2 / (depth * largest ** (2 - 2 / depth)))


def assert_holds(ceiling: Ceiling, truth: float) -> None:
    """An edge that is a step is lr50 and lr90 in one.

    The narrowest transition that the posterior knows puts lr90 0.025 decades below lr50, so by so
    much, 6%, it may miss a step from below.
    """
    for estimate, below in ((ceiling.lr50, 0.0), (ceiling.lr90, 0.025)):
        low, high = estimate.ci95
        assert low is not None
        assert high is not None
        assert low < truth < high * 10**below
        assert math.log10(high / low) < 0.5


def final_loss(rate: float, seed: int) -> float:
    """Twenty hundredths up to 0.003, a hundredth more for each tenth of a decade from there on."""
    luck = np.random.default_rng(seed).uniform(-0.1, 0.1)
    if rate >= EDGE * 10**luck:
        return 9.0
    return float(0.2 + 0.1 * max(math.log10(rate / 0.003), 0) + 0.004 * luck)


def gain(rate: float, seed: int) -> float:
    return -final_loss(rate, seed)


LOSSES: dict[str, Any] = {
    "low": 1e-4, "budget": 8, "target": 1, "mode": "min", "loss": 0.02, "usable": 8,
}  # fmt: skip


@cache
def losses() -> Ceiling:
    return search(final_loss, **LOSSES)


def test_the_usable_rate_of_a_loss_is_where_more_than_that_is_lost() -> None:
    found = losses()
    assert found.parts[-1] == "usable"
    usable = found.usable
    low, high = usable.ci95
    assert usable.reason is None
    assert low is not None
    assert high is not None
    assert low < 0.003 * 10**0.2 < high < EDGE
    assert usable.best_score.estimate == pytest.approx(0.2, abs=0.01)
    best_low, best_high = usable.best_score.ci95
    assert best_low is not None
    assert best_high is not None
    assert 0.15 < best_low < best_high < 0.25
    assert usable.loss == 0.02
    told = json.loads(found.to_json())["usable"]
    assert told["estimate"] == usable.estimate
    assert told["best"]["score"] == usable.best_score.estimate
    assert f"no accuracy lost up to {usable.in_words(digits=3)}" in str(found)


def test_a_loss_is_a_gain_turned_round() -> None:
    turned = search(gain, **LOSSES | {"target": -1, "mode": "max"})
    assert tried(turned) == tried(losses())
    assert turned.usable == losses().usable.negated()
    assert turned.usable.best_score != losses().usable.best_score


def test_a_study_of_losses_is_read_as_such() -> None:
    again = ceiling_of(losses().study)
    assert again.lr90 == losses().lr90
    assert again.usable == losses().usable


def test_bools_tell_no_usable_rate_and_it_says_why() -> None:
    found = plain()
    assert "usable" not in found.parts
    assert (found.usable.estimate, found.usable.ci95) == (None, (None, None))
    assert found.usable.reason == "of the runs that trained none tells a score: 5 are needed"
    assert json.loads(found.to_json())["usable"]["reason"] == found.usable.reason


@pytest.mark.parametrize(
    "arguments",
    [{"loss": None}, {"usable": False}, {"usable": 0}],
    ids=["no loss of a loss", "not asked", "no runs"],
)
def test_no_run_looks_for_what_is_not_asked(arguments: dict[str, Any]) -> None:
    found = search(final_loss, **LOSSES | arguments)
    assert "usable" not in found.parts
    assert found.usable.estimate is None
    assert found.usable.reason is not None
    # The rest is the same.
    edges = losses().parts.count("edge") + losses().parts.count("confirm")
    assert tried(found) == tried(losses())[:edges]


def test_accuracy_may_lose_a_point_where_nothing_else_is_said() -> None:
    def accuracy(rate: float, seed: int) -> float:
        return 0.98 - 0.1 * final_loss(rate, seed)

    found = search(accuracy, low=1e-4, budget=8, target=0.9)
    assert found.usable.loss == 0.01
    assert 1 <= found.parts.count("usable") <= 6
    assert found.usable.best_score.estimate == pytest.approx(0.96, abs=0.005)


def test_so_many_seeds_confirm_and_no_more() -> None:
    def lapses(rate: float, seed: int) -> bool:
        return rate < EDGE and seed % 7 > 0

    for confirmations in (0, 3):
        found = search(lapses, budget=8, confirmations=confirmations)
        assert found.parts.count("confirm") == confirmations
    rates = {run.learning_rate for run, part in zip(found.runs, found.parts, strict=True)
             if part == "confirm"}  # fmt: skip
    assert len(rates) == 1
