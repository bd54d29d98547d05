"""The study of an arm: what its key holds, which trials run on, what is said of its runs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from conftest import small_run, small_spec
from lr_ceiling.evidence.records import Confirmed, Study, read_study
from lr_ceiling.evidence.study import (
    ArmTrials,
    as_saved,
    journal_of,
    lag_of,
    observation,
    write_study,
)
from lr_ceiling.mnist.results import RunResult, read_runs
from lr_ceiling.problems.judge import Label
from lr_ceiling.search.posterior import NO_CALLS, Calls, Observation, Tally
from lr_ceiling.search.schedule import AUDITED, Part, Question

# As in params.yaml, for the baseline.
QUESTION = Question(seed=0, lag=4, interval_decades=0.3, budget=15.0, low=1e-4, high=1.0)
TEMPLATE = small_spec("0" * 16, ended_by=("dead",))


def trials(question: Question = QUESTION, calls: Calls = NO_CALLS) -> ArmTrials:
    return ArmTrials(TEMPLATE, question, calls, Path("splits.npz"))


def test_a_larger_budget_goes_on_with_the_same_study() -> None:
    larger = trials(replace(QUESTION, budget=99.0))
    assert larger.aim.key == trials().aim.key
    assert larger.aim.budget == 99


@pytest.mark.parametrize("change", [{"lag": 2}, {"interval_decades": 0.1}, {"high": 2.0}])
def test_what_decides_the_trials_is_in_the_key(change: dict[str, float]) -> None:
    other = trials(replace(QUESTION, **change))  # type: ignore[arg-type]
    assert other.aim.key != trials().aim.key
    assert trials(calls=Calls(failures=Tally(59, 1))).aim.key != trials().aim.key


def test_each_trial_has_a_seed_of_its_own_and_one_of_each_eight_runs_on() -> None:
    study = trials()
    specs = [study.spec(index, 0.01, "edge") for index in range(400)]
    assert len({spec.seed for spec in specs}) == len(specs)
    assert {spec.ended_by for spec in specs} == {(), ("dead",)}
    run_on = [index for index, spec in enumerate(specs) if not spec.ended_by]
    assert [index // AUDITED for index in run_on] == list(range(len(specs) // AUDITED))
    assert len({index % AUDITED for index in run_on}) == AUDITED
    assert specs == [study.spec(index, 0.01, "edge") for index in range(400)]


def test_a_task_is_the_trial_on_the_studys_data_and_its_result_is_known_by_its_spec() -> None:
    study = trials()
    task = study.task(3, 0.01, "edge")
    assert (task.spec, task.splits) == (study.spec(3, 0.01, "edge"), Path("splits.npz"))
    run = small_run().model_copy(update={"spec": task.spec})
    assert study.is_of(run, task)
    assert not study.is_of(run, study.task(4, 0.01, "edge"))
    assert study.load(study.dump(run)) == run


def test_a_journal_is_named_by_arm_and_by_what_makes_the_trials(tmp_path: Path) -> None:
    paths = {
        journal_of(tmp_path, "baseline-relu", trials()),
        journal_of(tmp_path, "baseline-relu", trials(replace(QUESTION, budget=99.0))),
        journal_of(tmp_path, "baseline-relu", trials(replace(QUESTION, lag=2))),
    }
    assert len(paths) == 2
    assert all(path.match("baseline-relu-*.journal") for path in paths)


def test_a_run_that_diverged_is_no_early_call() -> None:
    """A loss that is no number is a fact: nothing was predicted, and nothing can be wrong."""
    ended = observation(small_run(label="diverged", called="diverged", called_at=5, steps=5))
    assert (ended.stable, ended.called, ended.ended) == (False, None, False)
    at_the_end = observation(small_run(label="diverged", called="diverged", called_at=20))
    assert (at_the_end.called, at_the_end.ended) == (None, False)
    dead = observation(small_run(label="dead", called="dead", called_at=5, steps=5))
    assert (dead.called, dead.ended) == ("failure", True)
    let_on = observation(small_run(label="dead", called="dead", called_at=5))
    assert (let_on.called, let_on.ended) == ("failure", False)


def test_a_study_counts_the_calls_that_predicted(tmp_path: Path) -> None:
    study = trials()
    courses = [("dead", 5), ("dead", 20), ("diverged", 5), ("diverged", 20)]
    runs = [
        small_run(label=label, called=label, called_at=5, steps=steps).model_copy(
            update={"spec": study.spec(index, 0.1, "edge")}
        )
        for index, (label, steps) in enumerate(courses)
    ]
    found = write_study(tmp_path, replace(study.aim, budget=3), runs, ["edge"] * len(runs))
    made = found.early_decisions
    assert (made.made, made.audited, made.wrong) == (1, 1, 0)


def test_a_study_is_written_whole(tmp_path: Path) -> None:
    study = trials()
    runs = [
        small_run(label=label).model_copy(update={"spec": study.spec(index, rate, "edge")})
        for index, (rate, label) in enumerate([(0.01, "stable"), (0.1, "dead"), (0.02, "slow")])
    ]
    found = write_study(tmp_path, replace(study.aim, budget=3), runs, ["edge"] * len(runs))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"runs.json", "trials.csv", "posterior.json", "study.json"}
    assert read_study(tmp_path / "study.json") == found
    assert list(read_runs(tmp_path / "runs.json")) == runs
    assert (found.trials, found.highest_stable) == (3, 0.01)
    assert found.labels == {"dead": 1, "slow": 1, "stable": 1}
    assert (tmp_path / "trials.csv").read_text().count("\n") == 4


def test_a_trial_that_looks_for_usable_is_not_ended_by_success() -> None:
    """The score at a run's end is what such a trial is for."""
    both = TEMPLATE.model_copy(update={"ended_by": ("dead", "stable")})
    study = ArmTrials(both, QUESTION, NO_CALLS, Path("splits.npz"))
    may_end: dict[Part, tuple[str, ...]] = {
        "edge": ("dead", "stable"),
        "confirm": ("dead", "stable"),
        "usable": ("dead",),
    }
    for part, ended_by in may_end.items():
        found = {study.spec(index, 0.01, part).ended_by for index in range(50)}
        assert found == {(), ended_by}
    assert study.spec(3, 0.01, "edge").seed == study.spec(3, 0.01, "usable").seed


def test_a_score_is_told_where_no_call_of_success_could_end_the_run() -> None:
    """Those that a call didn't end are others than those that it did."""
    assert observation(small_run(validation_accuracy=0.95)).score == 0.95
    assert observation(small_run(validation_accuracy=0.5, reestimated_accuracy=0.97)).score == 0.97
    assert observation(small_run(ended_by=("dead",))).score == 0.95
    assert observation(small_run(ended_by=("dead", "stable"))).score is None
    assert observation(small_run(called_stable_at=8, steps=8, ended_by=("stable",))).score is None
    assert observation(small_run(label="slow", validation_accuracy=0.8)).score is None
    ended = observation(small_run(called_stable_at=8, steps=8, ended_by=("stable",)))
    assert ended == Observation(
        ended.u, stable=True, called="success", ended=True, cost=0.4, score=None
    )


def test_as_saved_a_whole_run_is_what_its_own_averages_reach() -> None:
    sound = small_run(validation_accuracy=0.6, reestimated_accuracy=0.96)
    assert (observation(sound).stable, observation(sound).score) == (True, 0.96)
    assert (as_saved(sound).stable, as_saved(sound).score) == (False, None)
    kept = small_run(validation_accuracy=0.92, reestimated_accuracy=0.96)
    assert (as_saved(kept).stable, as_saved(kept).score) == (True, 0.92)
    unknown = small_run(validation_accuracy=0.92, ended_by=("stable",))
    assert (as_saved(unknown).stable, as_saved(unknown).score) == (True, None)
    # The averages may even be the better ones.
    missed = small_run(label="slow", validation_accuracy=0.91, reestimated_accuracy=0.89)
    assert (observation(missed).stable, as_saved(missed).stable) == (False, True)


def test_as_saved_a_run_that_was_ended_or_diverged_is_what_it_was_called() -> None:
    for run in (
        small_run(label="dead", called="dead", called_at=8, steps=8, validation_accuracy=0.95),
        small_run(called_stable_at=8, steps=8, validation_accuracy=0.3),
        small_run(label="diverged", called="diverged", called_at=20, validation_accuracy=0.95),
    ):
        assert as_saved(run) == observation(run)


def test_the_lag_is_what_the_averages_cost_sound_weights() -> None:
    def run(saved: float, **changes: object) -> RunResult:
        return small_run(validation_accuracy=saved, reestimated_accuracy=0.96, **changes)

    sound = [run(0.95), run(0.94), run(0.5), run(0.9)]
    others = [run(0.1, label="slow"), run(0.1, called_stable_at=8, steps=8)]
    lag = lag_of([*sound, *others])
    assert lag is not None
    assert (lag.n, lag.median, lag.most) == (4, 0.04, 0.46)
    low, high = stats.binomtest(3, 4).proportion_ci(0.95)
    assert lag.keeps_up.estimate == 0.75
    assert lag.keeps_up.ci95 == pytest.approx((low, high), abs=1e-4)
    assert lag_of(others) is None


def written(tmp_path: Path, rows: Sequence[tuple[Part, float, Label, int]]) -> Study:
    """A study of these runs: part, learning rate, label, and steps of 20."""
    study = trials()
    runs = [
        small_run(
            label=label,
            called=None if label in ("stable", "slow") else label,
            called_at=5 if label == "dead" else None,
            steps=steps,
            called_stable_at=steps if label == "stable" and steps < 20 else None,
        ).model_copy(update={"spec": study.spec(index, rate, part)})
        for index, (part, rate, label, steps) in enumerate(rows)
    ]
    return write_study(tmp_path, study.aim, runs, [part for part, *_ in rows])


ROWS: list[tuple[Part, float, Label, int]] = [
    ("edge", 0.01, "stable", 8),
    ("edge", 0.1, "dead", 5),
    ("confirm", 0.004, "stable", 20),
    ("confirm", 0.004, "slow", 20),
    ("confirm", 0.003, "stable", 8),
    ("usable", 0.002, "stable", 20),
]


def test_what_was_spent_is_told_by_part_and_sums_up(tmp_path: Path) -> None:
    found = written(tmp_path, ROWS)
    spent = found.spent
    assert (spent.edge, spent.confirm, spent.usable) == (0.65, 2.4, 1.0)
    assert spent.edge + spent.confirm + spent.usable == pytest.approx(found.full_run_equivalents)
    lines = (tmp_path / "trials.csv").read_text().splitlines()
    assert lines[0].startswith("index,part,learning_rate,")
    assert [line.split(",")[1] for line in lines[1:]] == [part for part, *_ in ROWS]


def test_confirming_seeds_are_counted_where_there_are_any(tmp_path: Path) -> None:
    found = written(tmp_path, ROWS)
    assert found.confirmed == Confirmed(learning_rate=0.004, lowest=0.003, seeds=3, stable=2)
    assert written(tmp_path, ROWS[:2]).confirmed is None


def test_a_run_that_was_called_a_success_and_diverged_is_a_wrong_call(tmp_path: Path) -> None:
    run = small_run(label="diverged", called="diverged", called_at=15, called_stable_at=8, steps=15)
    seen = observation(run)
    assert (seen.stable, seen.called, seen.ended) == (False, "success", False)
    study = trials()
    first = run.model_copy(update={"spec": study.spec(0, 0.1, "edge")})
    found = write_study(tmp_path, replace(study.aim, budget=3), [first], ["edge"])
    assert (found.early_successes.made, found.early_successes.wrong) == (0, 1)


def test_calls_of_success_are_counted_beside_those_of_failure(tmp_path: Path) -> None:
    found = written(tmp_path, ROWS)
    failures, successes = found.early_decisions, found.early_successes
    assert (failures.made, failures.audited, failures.wrong) == (1, 0, 0)
    assert (successes.made, successes.audited, successes.wrong) == (2, 0, 0)
    study = trials()
    wrong = small_run(label="slow", called_stable_at=8).model_copy(
        update={"spec": study.spec(0, 0.01, "edge")}
    )
    one = write_study(tmp_path, study.aim, [wrong], ["edge"]).early_successes
    assert (one.made, one.audited, one.wrong) == (0, 1, 1)


def test_what_ended_the_search_for_the_edge_is_not_moved_by_what_came_after(
    tmp_path: Path,
) -> None:
    edges: list[tuple[Part, float, Label, int]] = [
        *(("edge", rate, "stable", 20) for rate in np.geomspace(0.002, 0.01, 30)),
        *(("edge", rate, "dead", 5) for rate in np.geomspace(0.0105, 0.05, 30)),
    ]
    after: list[tuple[Part, float, Label, int]] = [("confirm", 0.006, "slow", 20)] * 8
    alone, whole = written(tmp_path, edges), written(tmp_path, [*edges, *after])
    assert alone.stopped == whole.stopped == "interval"
    assert alone.lr90 != whole.lr90


def test_only_batch_norm_has_another_answer_as_saved(tmp_path: Path) -> None:
    assert written(tmp_path, ROWS).as_saved is None
    template = small_spec("0" * 16, variant="batchnorm")
    study = ArmTrials(template, QUESTION, NO_CALLS, Path("splits.npz"))
    runs = [
        small_run(validation_accuracy=saved, reestimated_accuracy=0.96).model_copy(
            update={"spec": study.spec(index, rate, "edge")}
        )
        for index, (rate, saved) in enumerate([(0.01, 0.95), (0.02, 0.3), (0.03, 0.2)])
    ]
    found = write_study(tmp_path, study.aim, runs, ["edge"] * 3)
    assert found.as_saved is not None
    assert found.as_saved.lag is not None
    assert (found.as_saved.lag.n, found.as_saved.lag.most) == (3, 0.76)
    assert found.as_saved.lr90 != found.lr90
    assert read_study(tmp_path / "study.json") == found
