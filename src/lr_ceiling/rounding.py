"""Rounding to significant digits."""


def significant(value: float, digits: int = 4) -> float:
    """`value` to `digits` significant digits.

    Four digits are far finer than any interval, and hide differences in the last bits.
    """
    return float(f"{value:.{digits}g}")


def short(value: float, digits: int = 2) -> str:
    """A positive number with `digits` significant digits, without an exponent below 1e15.

    Above that a float holds too few digits to write the number out.
    """
    rounded = significant(value, digits)
    whole = 10 ** (digits - 1) <= rounded < 1e15
    return f"{rounded:,.0f}" if whole else f"{rounded:g}"
