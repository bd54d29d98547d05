"""The driver: the same trials for any order of endings, any interruption, any damage of a kill."""

import contextlib
import errno
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import TrialState

from lr_ceiling.errors import ResultsError, StudyError
from lr_ceiling.execution.driver import LEARNING_RATE, Driver, opened, replays, sampler_of
from lr_ceiling.execution.journal import beside, held, load_study
from lr_ceiling.execution.runner import Ended, Report, Task, work
from lr_ceiling.identity import derived_seed
from lr_ceiling.search import acquisition
from lr_ceiling.search.posterior import Call, Observation
from lr_ceiling.search.sampler import INDEX, PART, finished_trials
from lr_ceiling.search.schedule import PARTS, Aim, Part

EDGE = 0.1
# What a failed run costs, in full runs.
FAILED = 0.1
# The budget of a shorter study, and after how many of its trials at most its driver dies.
SHORTER, MOST_ENDED = 5, 7
Results = list[dict[str, Any]]


class KilledError(Exception):
    """The driver is gone."""


@dataclass(frozen=True)
class Oracle:
    """A run of a network whose ceiling is known."""

    learning_rate: float
    seed: int

    def __call__(self, report: Report) -> dict[str, Any]:
        luck = random.Random(self.seed).uniform(0.5, 2)
        stable = self.learning_rate < EDGE * luck
        return {"rate": self.learning_rate, "seed": self.seed, "stable": stable}


class OracleTrials:
    """The trials of its study."""

    horizon = 1

    def __init__(self, lag: int = 4, budget: float = 8, low: float = 1e-4) -> None:
        self.aim = Aim("test", low, 10, interval_decades=0.05, budget=budget, lag=lag)

    def task(self, index: int, learning_rate: float, part: Part) -> Oracle:
        return Oracle(learning_rate, derived_seed("test", index))

    def is_of(self, result: dict[str, Any], task: Oracle) -> bool:
        return (result["rate"], result["seed"]) == (task.learning_rate, task.seed)

    def observe(self, result: dict[str, Any]) -> Observation:
        from math import log10

        stable = result["stable"]
        cost = 1.0 if stable else FAILED
        called: Call | None = None if stable else "failure"
        return Observation(log10(result["rate"]), stable, called, not stable, cost)

    def dump(self, result: dict[str, Any]) -> str:
        return json.dumps(result)

    def load(self, text: str) -> Any:
        result = json.loads(text)
        if set(result) != {"rate", "seed", "stable"}:
            raise ValueError(text)
        return result

    def shown(self, result: dict[str, Any]) -> dict[str, int]:
        return {"seed": result["seed"]}

    def made_by(self) -> dict[str, float]:
        return {"lag": self.aim.lag, "high": self.aim.high}


class DisorderedRunner:
    """Ends tasks in a random order; dies as a driver does after `lives` results."""

    def __init__(self, seed: int = 0, lives: int = 10**9, places: int = 4) -> None:
        self._random = random.Random(seed)
        self._lives = lives
        self._places = places
        self._tasks: list[Task] = []

    @property
    def free(self) -> int:
        return self._places - len(self._tasks)

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    def submit(self, task: Task, group: str = "") -> None:
        self._tasks.append(task)

    def completed(self) -> Ended:
        if not self._lives:
            raise KilledError
        self._lives -= 1
        task = self._tasks.pop(self._random.randrange(len(self._tasks)))
        return Ended(task, task(lambda steps: None), 0.0, 0.0)


@contextmanager
def left_in(journal: Path, sampler: BaseSampler | None = None) -> Iterator[Study]:
    """The study that a driver left in a journal."""
    with held(journal):
        yield load_study(journal, journal.stem, sampler or RandomSampler())


def run_study(
    journal: Path,
    runner: DisorderedRunner,
    trials: OracleTrials | None = None,
    on_ended: Callable[[int, Ended], None] = lambda index, ended: None,
) -> Results:
    trials = trials or OracleTrials()
    with opened(journal, trials, on_ended) as driver:
        work(runner, {"study": driver}, {})  # type: ignore[arg-type]
        assert driver.ended
        return driver.in_order


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Results:
    journal = tmp_path_factory.mktemp("study") / "study.journal"
    return run_study(journal, DisorderedRunner(places=1))


def test_the_budget_is_kept_and_used(undisturbed: Results) -> None:
    spent = sum(1.0 if result["stable"] else FAILED for result in undisturbed)
    assert 7 < spent <= 8
    assert {result["stable"] for result in undisturbed} == {True, False}


@pytest.fixture(scope="module")
def shorter(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Of a study whose budget is smaller: as many trials as it takes, at half the time."""
    journal = tmp_path_factory.mktemp("study") / "study.journal"
    found = run_study(journal, DisorderedRunner(places=1), OracleTrials(budget=SHORTER))
    assert len(found) > MOST_ENDED
    return found


@settings(max_examples=8, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    places=st.integers(1, 4),
    deaths=st.lists(st.integers(0, MOST_ENDED), max_size=4),
)
def test_the_trials_are_the_same_however_they_come_about(
    seed: int,
    places: int,
    deaths: list[int],
    shorter: Results,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    trials = OracleTrials(budget=SHORTER)
    journal = tmp_path_factory.mktemp("study") / "study.journal"
    for lives in deaths:
        try:
            run_study(journal, DisorderedRunner(seed, lives, places), trials)
        except KilledError:
            continue
    assert run_study(journal, DisorderedRunner(seed, places=places), trials) == shorter
    with left_in(journal) as study:
        done = [t.user_attrs[INDEX] for t in study.get_trials(states=[TrialState.COMPLETE])]
        assert sorted(done) == list(range(len(shorter)))
        assert not study.get_trials(states=[TrialState.RUNNING, TrialState.WAITING])


def test_a_larger_budget_goes_on_where_the_smaller_ended(
    undisturbed: Results, tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    small = run_study(journal, DisorderedRunner(), OracleTrials(budget=4))
    ran: list[int] = []
    large = run_study(journal, DisorderedRunner(), on_ended=lambda index, _: ran.append(index))
    assert large == undisturbed
    assert large[: len(small)] == small
    assert sorted(ran) == list(range(len(small), len(large)))
    assert run_study(journal, DisorderedRunner(), OracleTrials(budget=4)) == small


def test_two_studies_share_a_runner(undisturbed: Results, tmp_path: Path) -> None:
    trials, others = OracleTrials(), OracleTrials(budget=4)
    with (
        opened(tmp_path / "a.journal", trials) as first,
        opened(tmp_path / "b.journal", others) as second,
    ):
        work(DisorderedRunner(places=2), {"a": first, "b": second}, {})  # type: ignore[arg-type]
        assert first.in_order == undisturbed
        assert second.in_order == undisturbed[: len(second.in_order)]


class ThreeParts(OracleTrials):
    """Trials whose scores fall with the learning rate; those of each part have seeds of their own.

    What a part's trials are is so seen in their results.
    """

    def __init__(self) -> None:
        super().__init__()
        self.aim = replace(
            self.aim, interval_decades=0.5, confirmations=3, usable_runs=2, usable_loss=0.01
        )

    def task(self, index: int, learning_rate: float, part: Part) -> Oracle:
        return Oracle(learning_rate, derived_seed("test", index, part))

    def observe(self, result: dict[str, Any]) -> Observation:
        seen = super().observe(result)
        return seen._replace(score=0.98 - 0.02 * (seen.u + 4) ** 2) if seen.stable else seen


def test_the_parts_of_a_study_are_the_same_after_any_interruption(tmp_path: Path) -> None:
    def parts_of(journal: Path, lives: int, seed: int) -> tuple[Results, list[Part]]:
        with opened(journal, ThreeParts()) as driver:
            work(DisorderedRunner(seed, lives), {"study": driver}, {})  # type: ignore[arg-type]
            return driver.in_order, driver.parts

    whole, parts = parts_of(tmp_path / "whole.journal", 10**9, 0)
    assert parts == sorted(parts, key=PARTS.index)
    assert set(parts) == set(PARTS)
    assert [result["seed"] for result in whole] == [
        derived_seed("test", index, part) for index, part in enumerate(parts)
    ]
    # A few results a life, and at last one that finds all there.
    journal = tmp_path / "study.journal"
    for life in range(1 + len(whole) // 6):
        with contextlib.suppress(KilledError):
            parts_of(journal, 6, life)
    assert parts_of(journal, 0, 0) == (whole, parts)
    with left_in(journal, sampler_of(ThreeParts().aim)) as study:
        told = {trial.user_attrs[INDEX]: trial.user_attrs[PART]
                for trial in study.get_trials(states=[TrialState.COMPLETE])}  # fmt: skip
        assert [told[index] for index in range(len(whole))] == parts
        assert replays(study, ThreeParts())


def cut_the_last_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes()[:-20])


def add_half_a_line(journal: Path) -> None:
    journal.write_bytes(journal.read_bytes() + b'{"op_code": 5, "wor')


def leave_optunas_lock(journal: Path) -> None:
    Path(f"{journal}.lock").symlink_to(journal)


@pytest.mark.parametrize("damage", [cut_the_last_line, add_half_a_line, leave_optunas_lock])
def test_what_a_kill_leaves_is_mended(
    damage: Callable[[Path], None], undisturbed: Results, tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    with pytest.raises(KilledError):
        run_study(journal, DisorderedRunner(lives=5))
    damage(journal)
    assert run_study(journal, DisorderedRunner()) == undisturbed


def test_a_kill_between_any_two_lines_changes_nothing(tmp_path: Path) -> None:
    trials = OracleTrials(budget=3)
    whole = tmp_path / "whole" / "study.journal"
    undisturbed = run_study(whole, DisorderedRunner(), trials)
    lines = whole.read_bytes().splitlines(keepends=True)
    # What is written of one trial.
    (_, begin, end, *_) = (i for i, line in enumerate(lines) if b'"state":1' in line)
    for count in range(begin + 1, end + 1):
        journal = tmp_path / str(count) / "study.journal"
        journal.parent.mkdir()
        journal.write_bytes(b"".join(lines[:count]))
        assert run_study(journal, DisorderedRunner(), trials) == undisturbed
        with left_in(journal) as study:
            assert [trial.user_attrs[INDEX] for trial in finished_trials(study, LEARNING_RATE)] == [
                *range(len(undisturbed))
            ]


def failing(path: Path, *_: object) -> None:
    raise OSError(errno.EIO, "Input/output error", path)


def test_a_former_journal_that_can_not_be_removed_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = run_study(tmp_path / "other.journal", DisorderedRunner())

    journal, unlink = tmp_path / "study.journal", Path.unlink

    def unlink_others(path: Path, missing_ok: bool = False) -> None:
        if path == beside(journal, "former"):
            failing(path)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", unlink_others)
    assert run_study(journal, DisorderedRunner()) == expected


def test_failed_attempts_are_told_fail_and_not_sampled_from(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    with pytest.raises(KilledError):
        run_study(journal, DisorderedRunner(lives=0))
    with left_in(journal) as study:
        assert {trial.state for trial in study.trials} == {TrialState.FAIL}


def test_a_journal_of_other_trials_is_begun_anew_and_what_is_the_same_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "study.journal"
    with monkeypatch.context() as patch:
        # A sampler of other code, which chooses other places after a while.
        patch.setattr(acquisition, "SENTINELS", 3)
        before = run_study(journal, DisorderedRunner())
    trials = OracleTrials()
    with left_in(journal, sampler_of(trials.aim)) as study:
        assert not replays(study, trials)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        with pytest.raises(ResultsError, match=r"can't be renamed \(Input/output error\)"):
            run_study(journal, DisorderedRunner())
    # Opened and killed at once: nothing of the former journal is lost.
    for _ in range(2):
        with opened(journal, trials):
            assert beside(journal, "former").exists()
    ran: list[int] = []
    after = run_study(journal, DisorderedRunner(), on_ended=lambda index, _: ran.append(index))
    assert not beside(journal, "former").exists()
    assert after == run_study(tmp_path / "fresh.journal", DisorderedRunner())
    assert after != before
    same = {index for index, result in enumerate(before) if after[index : index + 1] == [result]}
    assert same
    assert set(ran) == set(range(len(after))) - same
    with left_in(journal, sampler_of(trials.aim)) as study:
        assert study.study_name == "study"
        assert replays(study, trials)


@pytest.mark.parametrize(
    ("before", "now"), [('{\\"rate\\"', '{\\"speed\\"'), ("[-", "[-1")], ids=["result", "told"]
)
def test_a_trial_that_cannot_be_read_or_was_told_otherwise_is_not_continued(
    before: str, now: str, undisturbed: Results, tmp_path: Path
) -> None:
    journal = tmp_path / "study.journal"
    with pytest.raises(KilledError):
        run_study(journal, DisorderedRunner(lives=5))
    content = journal.read_text()
    assert before in content
    journal.write_text(content.replace(before, now, 1))
    assert run_study(journal, DisorderedRunner()) == undisturbed


def test_a_damaged_journal_is_told_in_one_line(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    run_study(journal, DisorderedRunner())
    first, _, rest = journal.read_text().partition("\n")
    journal.write_text(first + "\nnot JSON\n" + rest)
    with pytest.raises(ResultsError, match=r"study\.journal is damaged \(.*\): remove it and run"):
        run_study(journal, DisorderedRunner())


def test_replaying_costs_little_beside_a_run(tmp_path: Path) -> None:
    trials = OracleTrials()
    run_study(tmp_path / "study.journal", DisorderedRunner())
    with opened(tmp_path / "study.journal", trials) as driver:
        assert isinstance(driver, Driver)
        assert driver.next() is None
        assert driver.ended


def test_a_journal_of_something_else_is_refused_with_what_differs(tmp_path: Path) -> None:
    journal = tmp_path / "study.journal"
    before = run_study(journal, DisorderedRunner())
    wrong = r"study\.journal holds another search: lag is 2, there 4\. Name another file, or remove"
    with pytest.raises(StudyError, match=wrong):
        run_study(journal, DisorderedRunner(), OracleTrials(lag=2))
    assert run_study(journal, DisorderedRunner(lives=0)) == before


class MoreMadeBy(OracleTrials):
    """Trials that something more determines."""

    def made_by(self) -> dict[str, float]:
        return super().made_by() | {"depth": 3}


def test_what_only_one_of_two_searches_has_is_told_as_none(tmp_path: Path) -> None:
    journal, other = tmp_path / "study.journal", tmp_path / "other.journal"
    for path, begun, asked, wrong in (
        (journal, OracleTrials(), MoreMadeBy(), "depth is 3, there none"),
        (other, MoreMadeBy(), OracleTrials(), "depth is none, there 3"),
    ):
        with opened(path, begun):
            pass
        with (
            pytest.raises(StudyError, match=rf"another search: {wrong}\. Name"),
            opened(path, asked),
        ):
            pass


def test_without_a_journal_the_study_is_kept_in_memory(undisturbed: Results) -> None:
    trials = OracleTrials()
    ran: list[int] = []
    with opened(None, trials, on_ended=lambda index, _: ran.append(index)) as driver:
        work(DisorderedRunner(), {"study": driver}, {})  # type: ignore[arg-type]
        assert driver.in_order == undisturbed
        shown = [trial.user_attrs["seed"] for trial in driver.study.trials]
        told = {trial.user_attrs[INDEX]: trial.value for trial in driver.study.trials}
    assert sorted(shown) == sorted(result["seed"] for result in undisturbed)
    assert sorted(ran) == list(range(len(undisturbed)))
    # Optuna's value, which is maximised: the highest stable learning rate.
    assert [told[index] for index in sorted(ran)] == pytest.approx(
        [result["rate"] if result["stable"] else 0.0 for result in undisturbed]
    )
