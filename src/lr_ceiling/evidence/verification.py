"""The verification of the searches' ceilings, and of range tests, by fresh seeds.

`lr-ceiling verify` makes the report. This module selects the points, and formats the results.
"""

from collections.abc import Iterable, Sequence
from statistics import fmean

from lr_ceiling.evidence.records import Study, TriedFinder, VerifiedArm, VerifiedPoint, network
from lr_ceiling.rounding import short

# The name of lr90's lower limit in reports.
LIMIT = "lr90 low"
USABLE = "usable"


def points_of(study: Study) -> dict[str, float]:
    """The points of an arm to verify: usable, lr90's lower limit, lr90, lr50, if bounded."""
    rates = {
        USABLE: study.usable.estimate,
        LIMIT: study.lr90.ci95[0],
        "lr90": study.lr90.estimate,
        "lr50": study.lr50.estimate,
    }
    return {name: rate for name, rate in rates.items() if rate is not None}


def verified_arms(arms: Iterable[VerifiedArm], studies: Sequence[Study]) -> list[VerifiedArm]:
    """The `arms` whose points are the ceilings of these studies, in the studies' order.

    Arms of another search, and arms without a point, are left out.
    """
    by_name = {(arm.variant, arm.activation): arm for arm in arms}
    found = ((study, by_name.get((study.variant, study.activation))) for study in studies)
    return [
        arm
        for study, arm in found
        if arm
        and arm.points
        and points_of(study) == {one.at: one.learning_rate for one in arm.points}
    ]


POINT_COLUMNS = (
    "point", "learning rate", "stable", "predicted", "allowed", "typical accuracy", "right",
)  # fmt: skip
FINDER_COLUMNS = ("range test", "learning rate", "stable", "P(stable)")


def point_rows(arms: Sequence[VerifiedArm]) -> list[tuple[str, ...]]:
    """Observed and predicted numbers of stable seeds at each point: rows under POINT_COLUMNS."""
    return [
        (
            f"{network(arm)}: {point.at}",
            short(point.learning_rate, 4),
            f"{point.stable} of {point.seeds}",
            "{} to {}".format(*point.predicted),
            f"{allowed(point):.0%}",
            "-" if point.accuracy is None else f"{100 * point.accuracy:.2f}%",
            "yes" if point.right else "no",
        )
        for arm in arms
        for point in arm.points
    ]


def finder_rows(arms: Sequence[VerifiedArm]) -> list[tuple[str, ...]]:
    """Numbers of stable seeds at the rates of range tests: rows under FINDER_COLUMNS."""
    return [
        (
            f"{network(arm)}: {one.name}{_ending(one)}",
            short(one.learning_rate, 4),
            f"{one.stable} of {one.seeds}",
            "-" if one.probability is None else f"{one.probability:.0%}",
        )
        for arm in arms
        for one in arm.finders
    ]


def allowed(point: VerifiedPoint) -> float:
    """Share of all counts that the prediction allowed. A prediction that allows all can't fail."""
    least, most = point.predicted
    return (most - least + 1) / (point.seeds + 1)


def summary(arms: Sequence[VerifiedArm]) -> str:
    """One sentence: how many predictions held, and how many would hold for random counts."""
    points = [point for arm in arms for point in arm.points]
    held = sum(point.predicted[0] <= point.stable <= point.predicted[1] for point in points)
    shares = [allowed(point) for point in points]
    return (
        f"{held} of {len(points)} counts lie in their interval. On average an interval allowed "
        f"{fmean(shares):.0%} of all counts (the sharpest {min(shares):.0%}, the widest "
        f"{max(shares):.0%}). If all counts were equally probable, {sum(shares):.1f} of "
        f"{len(points)} would lie in theirs"
    )


def _ending(finder: TriedFinder) -> str:
    return ", never stopped" if finder.name.endswith("edge") and not finder.stopped else ""


def points_in_words(points: Sequence[VerifiedPoint]) -> str:
    """The points of an arm in one line."""
    if not points:
        return "nothing to verify"
    return ", ".join(
        f"{point.stable} of {point.seeds} at {point.at} {short(point.learning_rate, 4)}, "
        f"predicted {point.predicted[0]} to {point.predicted[1]}"
        for point in points
    )
