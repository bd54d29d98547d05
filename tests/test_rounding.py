"""Numbers to as many digits as they are worth."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.rounding import short, significant

POSITIVE = st.floats(1e-30, 1e30)


@given(POSITIVE, st.integers(1, 6))
def test_significant_digits(value: float, digits: int) -> None:
    rounded = significant(value, digits)
    assert math.isclose(rounded, value, rel_tol=0.5 * 10 ** (1 - digits) * 1.000001)
    assert significant(rounded, digits) == rounded


@given(POSITIVE, st.integers(1, 6))
def test_what_is_shown_is_the_rounded_number(value: float, digits: int) -> None:
    assert float(short(value, digits).replace(",", "")) == significant(value, digits)


@pytest.mark.parametrize(
    ("value", "digits", "words"),
    [
        (35.44, 3, "35.4"),
        (79_430.0, 3, "79,400"),
        (9.96, 2, "10"),
        (0.005009, 3, "0.00501"),
        (1e30, 4, "1e+30"),
    ],
)
def test_numbers_are_short(value: float, digits: int, words: str) -> None:
    assert short(value, digits) == words
