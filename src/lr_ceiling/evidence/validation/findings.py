"""The findings on the data, for the report, and as a table of failed expectations."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lr_ceiling.errors import ValidationError
from lr_ceiling.evidence.validation.expectations import evaluate
from lr_ceiling.evidence.validation.features import class_frame, image_frame
from lr_ceiling.evidence.validation.published import Specification
from lr_ceiling.mnist.dataset import Arrays


def validate(arrays: Arrays, specification: Specification, data_docs: Path) -> dict[str, Any]:
    """Check `arrays` against `specification`; write Data Docs for people into `data_docs`.

    Returns the content of the report: `success`, `evaluated`, `failed`, `counts` of images and
    `expectations`, each with `about`, `expected`, `observed` and `success`. Equal arrays give equal
    content.
    """
    images = image_frame(arrays, specification)
    classes = class_frame(images, specification)
    entries = evaluate(images, classes, specification, data_docs)
    failed = sum(not entry["success"] for entry in entries)
    return {
        "success": not failed,
        "evaluated": len(entries),
        "failed": failed,
        "counts": {"train": len(arrays.train_images), "test": len(arrays.test_images)},
        "expectations": entries,
    }


def refuse_failures(findings: dict[str, Any], data_docs: Path) -> None:
    """Raise ValidationError with a table of the failed expectations, if there are any."""
    failed = [entry for entry in findings["expectations"] if not entry["success"]]
    if not failed:
        return
    rows = [(entry["about"], _expected(entry), _seen(entry)) for entry in failed]
    raise ValidationError(
        f"{len(failed)} of {findings['evaluated']} expectations of MNIST don't hold: fetch it "
        f"again; details are in {data_docs / 'index.html'}\n"
        + _table([("what", "expected", "seen"), *rows])
    )


def _expected(entry: dict[str, Any]) -> str:
    expected = entry["expected"]
    if "min_value" in expected:
        return f"{expected['min_value']:g} to {expected['max_value']:g}"
    if "column_B" in expected:
        return f"{expected['column_A']} = {expected['column_B']}"
    return str(expected.get("value", expected.get("value_set", "every row")))


def _seen(entry: dict[str, Any]) -> str:
    observed = entry["observed"]
    if "missing" in observed:
        return f"without {observed['missing']}"
    if "unexpected" not in observed:
        return str(observed.get("value", "nothing"))
    first = ", ".join(f"{key} {value}" for key, value in observed.get("examples", [{}])[0].items())
    return f"{observed['unexpected']} of {observed['of']} differ, first: {first}"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join(f"  {line}" for line in lines)
