"""The judge, on scripted and recorded curves: what it must call, when, and what never."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import record
from lr_ceiling.mnist.training import CHUNK_STEPS, PROBE_STEPS
from lr_ceiling.problems.judge import Judge, Label

Steps = list[tuple[float, float]]

CHANCE: Steps = [(2.303, 0.11)]
LEARNING: Steps = [(0.2, 0.95)]
HORIZON = 5625


def judged(steps: Steps, gradient: float | None = None) -> Judge:
    """A judge that saw `steps`, and every 250 steps the largest gradient where it wanted it."""
    judge = Judge(0.9, HORIZON)
    for start in range(0, len(steps), 250):
        losses, accuracies = zip(*steps[start : start + 250], strict=True)
        judge.observe(losses, accuracies)
        if gradient is not None and judge.wants_gradient:
            judge.probe(gradient)
    return judge


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_a_non_finite_loss_has_diverged_at_once(loss: float) -> None:
    judge = judged(CHANCE * 2 + [(loss, 0.1)] + CHANCE * 10)
    assert (judge.called, judge.called_at) == ("diverged", 3)
    assert judge.label(accuracy=0.99) == "diverged"


def test_before_the_first_step_the_accuracy_is_0_and_a_gradient_is_wanted() -> None:
    judge = Judge(0.9, HORIZON)
    assert judge.smoothed_accuracy == 0
    assert judge.wants_gradient


def test_divergence_takes_the_place_of_an_earlier_call() -> None:
    judge = judged(CHANCE * 1000 + [(math.nan, 0.1)], gradient=0.0)
    assert (judge.called, judge.called_at) == ("diverged", 1001)


def test_the_first_loss_that_is_not_finite_is_the_one_that_counts() -> None:
    assert judged(CHANCE * 2 + [(math.nan, 0.1), (math.inf, 0.1)]).called_at == 3


def test_every_loss_has_its_accuracy() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Judge(0.9, HORIZON).observe([2.3, 2.3], [0.1])


def test_non_finite_weights_have_diverged() -> None:
    judge = Judge(0.9, HORIZON)
    judge.observe([2.3], [0.1], finite_weights=False)
    assert (judge.called, judge.called_at) == ("diverged", 1)


def test_a_spike_that_recovers_is_not_called() -> None:
    judge = judged(LEARNING * 500 + [(1e5, 0.1)] * 150 + LEARNING * 500)
    assert judge.called is None
    assert judge.label(0.95) == "stable"


def test_a_huge_loss_at_chance_has_exploded_after_200_steps() -> None:
    judge = judged([(1e4, 0.1)] * 300)
    assert (judge.called, judge.called_at) == ("exploded", 200)


def test_a_large_loss_of_a_network_that_classifies_is_not_called() -> None:
    # Batch norm with relu at learning rate 100 learns at a loss of 8 to 14.
    judge = judged([(10.0, 0.93)] * 2000 + [(2e3, 0.93)] * 500)
    assert judge.called is None
    assert judge.label(0.93) == "stable"


@pytest.mark.parametrize("escape", [1500, 4900])
def test_a_plateau_at_ln_10_is_not_called(escape: int) -> None:
    judge = judged(CHANCE * escape + LEARNING * 700, gradient=1e-6)
    assert judge.called is None
    assert judge.label(0.92) == "stable"
    assert judge.label(0.88) == "slow"


def test_vanished_gradients_at_two_probes_are_dead() -> None:
    judge = judged(CHANCE * 1000, gradient=1e-12)
    assert (judge.called, judge.called_at) == ("dead", 500)
    assert judge.label(0.1135) == "dead"


def test_one_quiet_probe_is_not_dead() -> None:
    judge = Judge(0.9, HORIZON)
    for gradient in (1e-12, 1e-3, 1e-12, 1e-3):
        judge.observe([2.3] * 250, [0.1] * 250)
        judge.probe(gradient)
    assert judge.called is None


def test_two_quiet_probes_too_close_are_not_dead() -> None:
    judge = Judge(0.9, HORIZON)
    for _ in range(2):
        judge.observe([2.3] * 100, [0.1] * 100)
        judge.probe(0.0)
    assert judge.called is None


def test_a_gradient_that_is_no_number_is_not_dead() -> None:
    judge = Judge(0.9, HORIZON)
    for _ in range(3):
        judge.observe([2.3] * 250, [0.1] * 250)
        judge.probe(math.nan)
    assert judge.called is None


def test_no_gradient_is_wanted_of_a_network_that_classifies() -> None:
    assert not judged(LEARNING * 200).wants_gradient
    assert judged(CHANCE * 200).wants_gradient


def test_a_late_crash_is_lost_after_500_steps() -> None:
    judge = judged(LEARNING * 3000 + CHANCE * 1000)
    assert judge.called == "lost"
    # The 100-step mean falls below .2 some 90 steps after the crash.
    assert 3500 < judge.called_at <= 3600  # type: ignore[operator]


def test_what_has_learned_is_lost_500_steps_after_it_guesses() -> None:
    # The mean over the last 100 steps is below .2 once fewer than 20 of them are right.
    steps = [(0.2, 1.0)] * 1000 + [(9.0, 0.0)] * 579
    assert judged(steps).called is None
    judge = judged([*steps, (9.0, 0.0)])
    assert (judge.called, judge.called_at) == ("lost", 1580)


def test_a_run_that_just_reaches_the_target_is_stable() -> None:
    assert judged(LEARNING).label(0.9) == "stable"
    assert judged(LEARNING).label(math.nextafter(0.9, 0)) == "slow"


def test_a_crash_that_heals_is_not_lost() -> None:
    assert judged(LEARNING * 1000 + CHANCE * 400 + LEARNING * 300).called is None


def test_slow_decay_is_slow() -> None:
    decay = [(2.0, 0.89 - 0.5 * i / 5625) for i in range(5625)]
    judge = judged(decay)
    assert judge.called is None
    assert judge.label(0.4) == "slow"


def test_a_misjudged_run_that_reaches_the_target_is_stable() -> None:
    judge = judged(CHANCE * 1000 + LEARNING * 1000, gradient=0.0)
    assert judge.called == "dead"
    assert judge.label(0.95) == "stable"


def test_a_run_that_was_ended_is_what_it_was_called() -> None:
    judge = judged(CHANCE * 1000, gradient=0.0)
    assert judge.label(0.95, ended_early=True) == "dead"
    assert judge.label(0.95) == "stable"


def test_a_network_that_classified_between_two_quiet_probes_is_not_dead() -> None:
    judge = Judge(0.9, HORIZON)
    for accuracies in ([0.1] * 250, [0.9] * 1500, [0.1] * 250):
        judge.observe([1.0] * len(accuracies), accuracies)
        if judge.wants_gradient:
            judge.probe(0.0)
    assert judge.called is None


def test_steps_to_95_is_the_first_full_window() -> None:
    assert judged([(0.1, 1.0)] * 300).steps_to_95 == 100
    # 95 of the last 100 steps are right once 95 have been.
    assert judged(CHANCE * 500 + [(0.1, 1.0)] * 300).steps_to_95 == 595
    assert judged(CHANCE * 500).steps_to_95 is None


@pytest.mark.parametrize(
    ("name", "called", "called_at", "label", "steps_to_95"),
    [
        ("relu-edge", None, None, "stable", None),
        ("relu-dead", "dead", 500, "dead", None),
        ("sigmoid-late-escape", None, None, "stable", 2212),
        ("sigmoid-plateau", None, None, "slow", None),
        ("sigmoid-exploded", "exploded", 201, "exploded", None),
        ("batchnorm-relu-large", None, None, "stable", 2164),
        ("batchnorm-sigmoid-slow", None, None, "slow", None),
    ],
)
def test_real_runs_are_called_what_they_were(
    name: str, called: str | None, called_at: int | None, label: str, steps_to_95: int | None
) -> None:
    run = np.load(record.FOLDER / f"{name}.npz")
    probes = dict(run["probes"].tolist())
    judge = Judge(0.9, HORIZON)
    for start in range(0, len(run["losses"]), CHUNK_STEPS):
        chunk = slice(start, start + CHUNK_STEPS)
        judge.observe(run["losses"][chunk].tolist(), (run["hits"][chunk] / 32).tolist())
        step = start + CHUNK_STEPS
        if step % PROBE_STEPS == 0:
            assert judge.wants_gradient == (step in probes)
        if step in probes:
            judge.probe(probes[step])
    assert len(run["losses"]) == 5625
    assert (judge.called, judge.called_at) == (called, called_at)
    assert (judge.label(float(run["accuracy"])), judge.steps_to_95) == (label, steps_to_95)


def test_a_recorded_plateau_lasts_before_it_ends_and_a_large_loss_may_go_with_skill() -> None:
    escaped = np.load(record.FOLDER / "sigmoid-late-escape.npz")["losses"]
    assert np.median(escaped[250:1000]) == pytest.approx(math.log(10), abs=0.1)
    large = np.load(record.FOLDER / "batchnorm-relu-large.npz")
    assert large["losses"].max() > 1e3
    assert large["hits"][-100:].mean() / 32 > 0.9


curves = st.lists(
    st.tuples(
        st.floats(allow_nan=True, allow_infinity=True, width=32),
        st.integers(0, 32).map(lambda right: right / 32),
    ),
    min_size=1,
    max_size=60,
).flatmap(
    lambda steps: st.integers(1, 40).map(lambda times: [s for s in steps for _ in range(times)])
)


@given(steps=curves, cut=st.integers(1, 500), accuracy=st.floats(0, 1))
def test_chunks_do_not_matter_and_labels_are_exhaustive(
    steps: Steps, cut: int, accuracy: float
) -> None:
    whole, parts = Judge(0.9, HORIZON), Judge(0.9, HORIZON)
    losses, accuracies = zip(*steps, strict=True)
    whole.observe(losses, accuracies)
    for start in range(0, len(steps), cut):
        parts.observe(losses[start : start + cut], accuracies[start : start + cut])
    assert (whole.called, whole.called_at) == (parts.called, parts.called_at)
    assert whole.steps_to_95 == parts.steps_to_95
    assert whole.called_stable_at == parts.called_stable_at
    label = whole.label(accuracy)
    assert (label == "stable") == (accuracy >= 0.9 and whole.called != "diverged")
    assert label in ("stable", "slow") or label == whole.called


SHORT = 1000
ABOVE: Steps = [(0.2, 30 / 32)]
BELOW: Steps = [(0.2, 29 / 32)]


def short(steps: Steps, horizon: int = SHORT) -> Judge:
    judge = Judge(0.9, horizon)
    losses, accuracies = zip(*steps, strict=True)
    judge.observe(losses, accuracies)
    return judge


@pytest.mark.parametrize(("horizon", "step"), [(1000, 400), (5625, 2250), (251, 101), (50, 100)])
def test_success_is_called_at_two_fifths_of_the_horizon_and_only_there(
    horizon: int, step: int
) -> None:
    """Three points above the target, over 100 steps; never before there are so many."""
    assert short(ABOVE * (step - 1), horizon).called_stable_at is None
    assert short(ABOVE * step, horizon).called_stable_at == step
    assert short(ABOVE * step + CHANCE * 50, horizon).called_stable_at == step


def test_who_is_not_far_enough_there_is_not_called_later() -> None:
    assert short(BELOW * SHORT).called_stable_at is None
    assert short(CHANCE * 301 + ABOVE * (SHORT - 301)).called_stable_at is None
    assert short(CHANCE * 300 + ABOVE * 100).called_stable_at == 400
    assert short(ABOVE * 300 + BELOW * 100 + ABOVE * 600).called_stable_at is None


def test_success_is_never_called_after_a_failure() -> None:
    healed = short([(1e4, 0.1)] * 200 + ABOVE * 300)
    assert (healed.called, healed.called_stable_at) == ("exploded", None)
    diverged = short(ABOVE * 100 + [(math.nan, 1.0)] + ABOVE * 400)
    assert (diverged.called, diverged.called_stable_at) == ("diverged", None)
    # A burst that was never called is none.
    assert short([(1e4, 0.1)] * 199 + ABOVE * 300).called_stable_at == 400


def test_a_failure_may_still_be_called_after_success_and_the_end_decides() -> None:
    judge = short(ABOVE * 500 + CHANCE * 700, SHORT)
    assert (judge.called_stable_at, judge.called) == (400, "lost")
    assert judge.label(0.3) == "lost"
    assert judge.label(0.95) == "stable"
    assert judge.label(0.95, ended_early=True) == "lost"


def test_a_run_ends_by_those_calls_alone_that_may_end_it() -> None:
    succeeded, dead = short(ABOVE * 400), judged(CHANCE * 1000, gradient=0.0)
    diverged = short([(math.nan, 0.1)])
    assert succeeded.ends({"stable"})
    assert not succeeded.ends({"dead", "lost"})
    assert dead.ends({"dead", "stable"})
    assert not dead.ends({"stable"})
    may_end: tuple[tuple[Label, ...], ...] = ((), ("stable",), ("dead",))
    assert all(diverged.ends(by) for by in may_end)
    assert not short(ABOVE * 399).ends({"stable"})


def test_a_run_that_success_ended_is_stable_whatever_its_accuracy_there() -> None:
    succeeded = short(ABOVE * 400)
    assert succeeded.label(0.5, ended_early=True) == "stable"
    assert succeeded.label(0.5) == "slow"
