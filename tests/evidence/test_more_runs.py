"""The runs that claims need: which they are. tests/pipeline/test_claims_command.py runs them."""

from itertools import product

from conftest import VARIANTS, small_run, small_spec
from lr_ceiling.evidence import more_runs
from lr_ceiling.evidence.more_runs import ClaimTests, KnownClaims
from lr_ceiling.evidence.records import Claim


def test_seeds_are_filled_up_with_those_that_are_not_there() -> None:
    assert more_runs.seeds_from([0, 1, 2, 3]) == list(range(12))
    assert more_runs.seeds_from([7, 0]) == [7, 0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11]
    assert more_runs.seeds_from(range(20, 40)) == list(range(20, 40))


def test_every_activation_is_run_with_both_variants_at_both_rates() -> None:
    cells = more_runs.activation_cells(small_spec("d"), [5, 6, 7, 8])
    assert len(cells) == 20
    assert {len(specs) for specs in cells} == {4}
    keys = {(one.variant, one.activation, one.learning_rate) for specs in cells for one in specs}
    assert keys == set(product(VARIANTS, more_runs.ACTIVATIONS, (0.001, 0.01)))


def test_rates_are_numbers_with_a_point_whatever_the_grid_says() -> None:
    specs = more_runs.cells_of(small_spec("d"), [("baseline", "relu", 1)], [0])
    assert specs["baseline", "relu", 1][0].key == small_spec("d", learning_rate=1.0).key


def test_a_run_that_two_parts_need_counts_once() -> None:
    cells = [(variant, "relu", 0.001) for variant in VARIANTS]
    tests = ClaimTests(small_spec("d"), cells, [0])  # type: ignore[arg-type]
    # 2 cells of 12 seeds, 18 more of 4, and two searches of 8 for each of two arms.
    assert tests.runs == 24 + 72 + 32


def test_a_claim_takes_the_place_of_the_same_id() -> None:
    first, second = (
        Claim(
            id=name, statement="", verdict="supported", statistic="", estimate=1.0,
            ci95=(None, None), n=1,
        )
        for name in ("a", "b")
    )  # fmt: skip
    again = first.model_copy(update={"n": 2})
    assert KnownClaims((first, second)).with_claims([again]).claims == (again, second)


def test_a_run_in_words() -> None:
    scaled = small_run(init_scale=30.0, label="slow")
    assert more_runs.in_words(scaled) == (
        "baseline relu lr=0.003 seed=0, initial scale 30: slow at accuracy 0.950"
    )
    assert "scale" not in more_runs.in_words(small_run())
    # Moving averages lag, but the label is of the weights.
    lagging = small_run(variant="batchnorm", validation_accuracy=0.5, reestimated_accuracy=0.987)
    assert more_runs.in_words(lagging).endswith("stable at accuracy 0.987")
