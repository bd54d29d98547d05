"""Whether a verification is of these ceilings, and what it says."""

import pytest

from conftest import ROOT, small_study, small_usable
from lr_ceiling.evidence.records import Study, TriedFinder, VerifiedArm, VerifiedPoint
from lr_ceiling.evidence.verification import (
    allowed,
    finder_rows,
    point_rows,
    points_in_words,
    points_of,
    summary,
    verified_arms,
)
from lr_ceiling.report.schemas import VerificationReport
from lr_ceiling.search.estimates import Estimate

STUDIES = [
    small_study(),
    small_study(variant="batchnorm", lr90=Estimate(estimate=None, ci95=(9000, None))),
]


def arm_of(study: Study) -> VerifiedArm:
    return VerifiedArm(
        variant=study.variant,
        activation=study.activation,
        points=tuple(
            VerifiedPoint(
                at=at, learning_rate=rate, seeds=20, stable=18, predicted=(15, 20), right=True
            )
            for at, rate in points_of(study).items()
        ),
        finders=(
            TriedFinder(
                name="fastai edge",
                learning_rate=12345.6,
                probability=0.5,
                stopped=True,
                seeds=5,
                stable=2,
            ),
            TriedFinder(
                name="keras edge",
                learning_rate=10.0,
                probability=None,
                stopped=False,
                seeds=5,
                stable=0,
            ),
        ),
    )


ARMS = tuple(map(arm_of, STUDIES))


def test_points_are_those_that_the_trials_bound() -> None:
    assert points_of(STUDIES[0]) == {
        "usable": 0.006, "lr90 low": 0.005, "lr90": 0.01, "lr50": 0.01,
    }  # fmt: skip
    assert points_of(STUDIES[1]) == {"usable": 0.006, "lr90 low": 9000, "lr50": 0.01}


@pytest.mark.parametrize(
    ("studies", "expected"),
    [
        (STUDIES, ["baseline", "batchnorm"]),
        (STUDIES[:1], ["baseline"]),
        ([STUDIES[0], small_study(variant="batchnorm")], ["baseline"]),
    ],
    ids=["all", "an arm that left", "another ceiling"],
)
def test_an_arm_is_verified_where_its_points_are_its_ceilings(
    studies: list[Study], expected: list[str]
) -> None:
    assert [arm.variant for arm in verified_arms(ARMS, studies)] == expected


def test_an_arm_without_a_point_is_not_verified() -> None:
    nothing = Estimate(estimate=None, ci95=(None, None))
    usable = small_usable(estimate=None, ci95=(None, None))
    study = small_study(lr90=nothing, lr50=nothing, usable=usable)
    assert verified_arms([arm_of(study)], [study]) == []


def test_arms_come_in_the_order_of_the_studies() -> None:
    found = verified_arms(ARMS, STUDIES[::-1])
    assert [arm.variant for arm in found] == ["batchnorm", "baseline"]


def test_rows_are_for_people() -> None:
    arms = ARMS[1:]
    assert point_rows(arms)[1] == (
        "batch norm, relu: lr90 low", "9,000", "18 of 20", "15 to 20", "29%", "-", "yes",
    )  # fmt: skip
    assert finder_rows(arms) == [
        ("batch norm, relu: fastai edge", "12,350", "2 of 5", "50%"),
        ("batch norm, relu: keras edge, never stopped", "10", "0 of 5", "-"),
    ]
    assert points_in_words(arms[0].points).startswith(
        "18 of 20 at usable 0.006, predicted 15 to 20, 18 of 20 at lr90 low 9,000, predicted "
    )
    assert points_in_words([]) == "nothing to verify"


@pytest.mark.parametrize(
    ("predicted", "share"), [((0, 20), 1), ((20, 20), 1 / 21), ((5, 9), 5 / 21)]
)
def test_a_prediction_is_as_sharp_as_the_counts_that_it_forbids(
    predicted: tuple[int, int], share: float
) -> None:
    point = ARMS[0].points[0].model_copy(update={"predicted": predicted})
    assert allowed(point) == pytest.approx(share)


def test_the_summary_says_how_many_would_have_held_whatever_was_found() -> None:
    points = [
        ARMS[0].points[0].model_copy(update={"predicted": predicted, "stable": stable})
        for predicted, stable in (((0, 20), 3), ((17, 20), 16), ((0, 20), 20), ((10, 20), 10))
    ]
    arm = ARMS[0].model_copy(update={"points": tuple(points)})
    assert summary([arm]) == (
        "3 of 4 counts lie in their interval. On average an interval allowed 68% of all counts "
        "(the sharpest 19%, the widest 100%). If all counts were equally probable, 2.7 of 4 would "
        "lie in theirs"
    )


def test_the_page_tells_what_the_report_holds() -> None:
    arms = VerificationReport.read(ROOT / "reports" / "verification.json").arms
    text = (ROOT / "docs" / "verification.md").read_text()
    assert summary(arms) in " ".join(text.split())
