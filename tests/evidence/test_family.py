"""Holm's step-down: against its definition, and what it does to verdicts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.evidence.family import holm, together
from lr_ceiling.evidence.records import Claim


def claim(name: str, p_value: float | None, verdict: str = "supported") -> Claim:
    return Claim(id=name, statement="", verdict=verdict, statistic="", estimate=None,
                 ci95=(None, None), n=1, p_value=p_value)  # fmt: skip


def test_the_adjusted_values_of_holms_example() -> None:
    # Holm (1979): .01 of four is .04; .02 of three .06; .03 of two is no less than that; .04.
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.floats(0.001, 0.5))
def test_it_rejects_step_by_step_until_one_fails(p_values: list[float], level: float) -> None:
    rejected = set()
    order = sorted(range(len(p_values)), key=lambda place: p_values[place])
    for step, place in enumerate(order):
        if p_values[place] * (len(p_values) - step) > level:
            break
        rejected.add(place)
    assert {place for place, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_a_verdict_that_holds_alone_may_not_hold_with_others() -> None:
    alone = together([claim("a", 0.03)])
    assert [one.holds_together for one in alone] == [True]
    beside = together([claim("a", 0.03), claim("b", 0.001), claim("c", 0.5, "inconclusive")])
    assert {one.id: one.holds_together for one in beside} == {"a": False, "b": True, "c": None}
    refused = together([claim("a", 0.001, "not supported")])
    assert refused[0].holds_together


def test_what_has_no_p_value_is_in_no_family() -> None:
    found = together([claim("bias", None), claim("a", 0.05)])
    assert [one.holds_together for one in found] == [None, True]


def test_what_was_said_of_another_family_is_said_anew() -> None:
    (old,) = together([claim("a", 0.03)])
    assert [one.holds_together for one in together([old, claim("b", 0.03)])] == [False, False]
