"""Names of what is monitored."""

from typing import cast

import pytest

from lr_ceiling.errors import ProblemError
from lr_ceiling.problems.monitors import AutoMode, check_monitor, default_monitor, mode_of


@pytest.mark.parametrize(
    ("monitor", "expected"),
    [
        ("val_loss", "min"),
        ("loss", "min"),
        ("val_mean_absolute_error", "min"),
        ("val_head_mse", "min"),
        ("val_sparse_categorical_crossentropy", "min"),
        ("val_kl_divergence", "min"),
        ("val_accuracy", "max"),
        ("acc", "max"),
        ("val_auc", "max"),
        ("val_top_k_categorical_accuracy", "max"),
        ("val_f1_score", "max"),
        ("val_mean_io_u", "max"),
        ("val_cosine_similarity", "max"),
        ("accuracy_loss", "min"),
    ],
)
def test_the_name_tells_the_mode(monitor: str, expected: str) -> None:
    assert mode_of(monitor, "auto") == expected


def test_a_mode_that_is_given_holds() -> None:
    assert mode_of("val_loss", "max") == "max"
    assert mode_of("val_accuracy", "min") == "min"


@pytest.mark.parametrize(
    ("monitor", "mode", "message"),
    [
        ("val_wobble", "auto", "'val_wobble' doesn't say .*: say mode='max' or mode='min'$"),
        ("val_loss", "highest", "mode: 'highest' is none: say 'auto', 'min' or 'max'$"),
    ],
)
def test_a_mode_that_cannot_be_told(monitor: str, mode: str, message: str) -> None:
    with pytest.raises(ProblemError, match=message):
        mode_of(monitor, cast(AutoMode, mode))


def test_accuracy_is_monitored_where_it_is_reported() -> None:
    assert default_monitor(["accuracy", "loss"]) == "val_accuracy"
    with pytest.raises(ProblemError, match=r"reports no accuracy, but loss, mae: .*'val_loss'"):
        default_monitor(["loss", "mae"])


def test_a_name_that_is_not_reported_is_told_with_the_closest() -> None:
    names = ["val_loss", "val_accuracy", "loss", "accuracy"]
    check_monitor("val_accuracy", names)
    with pytest.raises(ProblemError) as raised:
        check_monitor("val_acuracy", names)
    assert str(raised.value) == (
        "monitor: 'val_acuracy' is not reported: there are val_loss, val_accuracy, loss, accuracy; "
        "the closest is val_accuracy"
    )
