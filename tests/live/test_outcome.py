"""What a retraining came to: moved ceilings, and the summary."""

import pytest

from conftest import small_study
from lr_ceiling.evidence.records import Study
from lr_ceiling.live import outcome
from lr_ceiling.live.outcome import Limits, Outcome, compare_ceilings, summary
from lr_ceiling.search.estimates import Estimate


def arm(lr90: float | None, low: float | None, high: float | None) -> Study:
    return small_study(lr90=Estimate(estimate=lr90, ci95=(low, high)))


@pytest.mark.parametrize(
    ("before", "after", "moved"),
    [
        ((0.01, 0.008, 0.012), (0.02, 0.015, 0.03), True),
        ((0.02, 0.015, 0.03), (0.01, 0.008, 0.012), True),
        ((0.01, 0.008, 0.012), (0.013, 0.011, 0.016), False),
        ((0.01, 0.008, 0.012), (0.015, 0.012, 0.02), False),
        ((0.01, 0.008, None), (10.0, 9.0, 11.0), False),
        ((0.01, None, 0.012), (10.0, 9.0, None), True),
        ((None, None, None), (10.0, 9.0, 11.0), None),
        ((None, None, None), (None, None, None), None),
        ((0.01, 0.008, 0.012), (None, None, None), True),
        ((None, 0.008, None), (None, None, None), True),
        ((None, 0.1, None), (0.01, 0.008, 0.012), True),
        ((0.01, 0.008, 0.012), (None, 0.1, None), True),
        ((0.01, 0.008, 0.012), (None, 0.01, None), False),
        ((None, None, 0.1), (None, 0.05, None), False),
    ],
)
def test_a_ceiling_moved_if_the_intervals_are_disjoint_or_it_is_lost(
    before: tuple[float | None, ...], after: tuple[float | None, ...], moved: bool | None
) -> None:
    (found,) = compare_ceilings([arm(*before)], [arm(*after)])
    assert (found.before, found.after, found.moved) == (before, after, moved)


def test_a_new_arm_has_no_ceiling_before() -> None:
    (found,) = compare_ceilings([], [arm(0.01, 0.008, 0.012)])
    assert (found.arm, found.before, found.moved) == ("baseline-relu", (None, None, None), None)


def test_the_summary_says_what_moved() -> None:
    before, after = arm(0.01, 0.008, 0.012), arm(0.02, 0.015, None)
    found = Outcome(
        outcome="refused",
        reason="it is worse",
        week="2026-W48",
        quick=False,
        train_seeds=(5, 6),
        search_seed=7,
        ceiling_moved=True,
        ceilings=tuple(compare_ceilings([before], [after])),
        decision=None,
        commit=None,
        started="2026-11-23T03:17:00+00:00",
        ended="2026-11-23T03:47:00+00:00",
    )
    text = summary(found)
    assert text.startswith("# Retraining of week 2026-W48: refused\n\nit is worse.\n")
    moved = "**Ceilings that moved beyond both intervals, or are not known any more:** "
    assert f"{moved}baseline-relu." in text.splitlines()
    row = "| baseline-relu | 0.01 (0.008 to 0.012) | 0.02 (0.015 to unbounded) | yes |"
    assert row in text.splitlines()


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((0.01, 0.008, 0.012), "0.01 (0.008 to 0.012)"),
        ((0.01, None, 0.012), "0.01 (unbounded to 0.012)"),
        ((None, 0.015, None), "at least 0.015"),
        ((None, 48000.0, None), "at least 48,000"),
        ((None, None, 0.03), "at most 0.03"),
        ((None, 0.015, 0.03), "0.015 to 0.03"),
        ((None, None, None), "not known"),
    ],
)
def test_a_ceiling_is_shown_by_what_is_known_of_it(limits: Limits, text: str) -> None:
    assert outcome._shown(limits) == text
