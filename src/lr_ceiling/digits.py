"""Numbers to as many digits as they are worth."""


def significant(value: float, digits: int = 4) -> float:
    """To so many digits: four are far finer than any interval, and alike where last bits differ."""
    return float(f"{value:.{digits}g}")


def short(value: float, digits: int = 2) -> str:
    """A positive number to so many digits, without an exponent where it is large."""
    rounded = significant(value, digits)
    return f"{rounded:,.0f}" if rounded >= 10 ** (digits - 1) else f"{rounded:g}"
