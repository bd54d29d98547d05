"""Numbers to as many digits as they are worth."""


def significant(value: float, digits: int = 4) -> float:
    """To so many digits: four are far finer than any interval, and alike where last bits differ."""
    return float(f"{value:.{digits}g}")


def short(value: float, digits: int = 2) -> str:
    """A positive number to so many digits, without an exponent where it is large.

    From 1e15 on with one: there the digits that follow would be the float's, not the number's.
    """
    rounded = significant(value, digits)
    whole = 10 ** (digits - 1) <= rounded < 1e15
    return f"{rounded:,.0f}" if whole else f"{rounded:g}"
