"""Hold MNIST against its specification, and write the splits only if it keeps to it.

What every row's column can say is Great Expectations' business; dtypes, shapes and pickles are
refused earlier, where the file is read.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import click
import great_expectations as gx
import numpy as np
import pandas as pd
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column
from numpy.typing import NDArray

from lr_ceiling.errors import ValidationError, one_line_errors
from lr_ceiling.execution.files import write_json
from lr_ceiling.mnist import dataset
from lr_ceiling.mnist.dataset import Arrays, Bytes
from lr_ceiling.pipeline import params
from lr_ceiling.rounding import significant

Expectations = Sequence[Expectation]
# Untyped, since the package doesn't re-export them explicitly.
gxe: Any = gx.expectations

CLASSES = 10
# Prototypes are compared in cells of 4x4 pixels: 7x7 numbers an image.
CELL = 4
# Rows that the report shows of those that break an expectation.
EXAMPLES = 5
# Names in the report for what Great Expectations says that it saw.
OBSERVED = {
    "value": "observed_value",
    "of": "element_count",
    "unexpected": "unexpected_count",
    "missing": "partial_missing_list",
    "examples": "partial_unexpected_index_list",
}


class Bound(NamedTuple):
    """What every image's value in a column of the frame lies between, both included."""

    about: str
    column: str
    low: float
    high: float


@dataclass(frozen=True)
class Specification:
    """What is known of a set of digits before it is read. Grey levels run from 0 to 255."""

    # Images of each class.
    train_counts: tuple[int, ...]
    test_counts: tuple[int, ...]
    bounds: tuple[Bound, ...]
    # Mean grey level of each class, and the share of it by which a sample may differ.
    class_means: tuple[float, ...]
    class_mean_tolerance: float
    # Mean image of each class in 7x7 cells, as 98 hex digits.
    prototypes: tuple[str, ...]
    # Share of a class's images that have their own prototype as the nearest, at least.
    agreement: float


# Counts, the black ground, the box of 20x20 and the centre of mass in the middle are in the data
# set's description (http://yann.lecun.com/exdb/mnist). Of the published images, means lie within
# 6.5-101, standard deviations within 31-119, shares of ink within .04-.45, of saturated pixels
# below .30. Class means and prototypes are those of the published training images; the test set's
# class means differ from them by 5% at most. 61% to 96% of a class are nearest to their own
# prototype and at most 15% to any other, so a bound of 50% is clear of both, and it finds wrong
# labels though their numbers be right.
MNIST = Specification(
    train_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    test_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    bounds=(
        Bound("the ground is black", "minimum", 0, 0),
        Bound("the brightest pixel is white", "maximum", 254, 255),
        Bound("mean: neither blank nor full", "mean", 5, 120),
        Bound("contrast within the image", "std", 25, 125),
        Bound("share of pixels with ink", "ink_share", 0.03, 0.5),
        Bound("share of saturated pixels", "saturated_share", 0, 0.35),
        Bound("rows of the digit's box", "box_rows", 1, 20),
        Bound("columns of the digit's box", "box_columns", 1, 20),
        Bound("row of the centre of mass", "centre_row", 13.4, 14.6),
        Bound("column of the centre of mass", "centre_column", 13.4, 14.6),
    ),
    class_means=(44.2, 19.4, 38.0, 36.1, 31.0, 32.8, 35.0, 29.2, 38.3, 31.3),
    class_mean_tolerance=0.1,
    prototypes=(
        "000000010100000002247a862900001480786c7604004680133080080067622173580300369e9b5f0f0000010607010000",
        "000000000000000000043f480d00000003714f0300000004a71b00000000229b0a00000006436510010000000405010000",
        "0000040b060100000d5088711700000e2a357525000008295e751702013c8ca779390901327357452a0400000101010000",
        "0000010201000000135888651100010f2a617f16000004469d7f130002131823792c000332788c69100000041012040000",
        "0000000000000000051a192b2102001464316e2b0100339b65a22101001b4d7f7211000001144c3b08000000050d090100",
        "00000000010000000322535a3b0a000b6570412609001079774b0e0000182539611f0100206d7d550f0000010d11050000",
        "00000514180500000220634109000007525f190c000013856b7d440400169c8d8a410200043e733e070000000000000000",
        "00000000000000000718221e080004348487a631000114212692160000030e6d5c060000022a74220100000527330e0100",
        "0000000000000000032771702602000e6961764305000752b2711101000b6b83500e0000167b8a500b0000011118060000",
        "000000000000000001104336070000117765851f0000237d6fa11200000933696607000001165a3a070000011324160400",
    ),
    agreement=0.5,
)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--splits", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--data-docs", type=click.Path(path_type=Path, file_okay=False), required=True)
@one_line_errors
def main(source: Path, splits: Path, report: Path, data_docs: Path) -> None:
    """Validate SOURCE, an .npz with Keras's keys, and write the splits if nothing is wrong.

    Example: python -m lr_ceiling.pipeline.stages.validate data/mnist.npz --splits data/splits.npz
    --report reports/validation.json --data-docs reports/data_docs
    """
    section = params.load().splits
    # A failure must leave no splits of an earlier run to train on.
    splits.unlink(missing_ok=True)
    arrays = dataset.read_arrays(source)
    findings = validate(arrays, MNIST, data_docs)
    write_json(report, findings)
    refuse_failures(findings, data_docs)
    parts = dataset.split(arrays, section.seed, section.validation, section.gate)
    dataset.write_splits(splits, parts)
    click.echo(f"all {findings['evaluated']} expectations hold; wrote {splits}")


def refuse_failures(findings: dict[str, Any], data_docs: Path) -> None:
    """Raise ValidationError with a table of the expectations that don't hold, if there are any."""
    failed = [entry for entry in findings["expectations"] if not entry["success"]]
    if not failed:
        return
    rows = [(entry["about"], _expected(entry), _seen(entry)) for entry in failed]
    raise ValidationError(
        f"{len(failed)} of {findings['evaluated']} expectations of MNIST don't hold: fetch it "
        f"again; details are in {data_docs / 'index.html'}\n"
        + _table([("what", "expected", "seen"), *rows])
    )


def validate(arrays: Arrays, specification: Specification, data_docs: Path) -> dict[str, Any]:
    """Hold `arrays` against `specification`; write Data Docs for people into `data_docs`.

    Returns what goes into the report: `success`, `evaluated`, `failed`, `counts` of images and
    `expectations`, each with `about`, `expected`, `observed` and `success`. It is equal for
    equal arrays.
    """
    images = image_frame(arrays, specification)
    classes = class_frame(images, specification)
    context = _quiet_context(data_docs)
    results = [
        *_check(context, "images", images, ["split", "index"], image_expectations(specification)),
        *_check(context, "classes", classes, ["split", "label"], class_expectations(specification)),
    ]
    # It removes the pages of earlier runs, and nothing else, before it writes.
    context.build_data_docs()
    entries = [_entry(result) for result in results]
    failed = sum(not entry["success"] for entry in entries)
    return {
        "success": not failed,
        "evaluated": len(entries),
        "failed": failed,
        "counts": {"train": len(arrays.train_images), "test": len(arrays.test_images)},
        "expectations": entries,
    }


def image_frame(arrays: Arrays, specification: Specification) -> pd.DataFrame:
    """A row an image, training images first."""
    images = np.concatenate([arrays.train_images, arrays.test_images])
    sizes = {"train": len(arrays.train_images), "test": len(arrays.test_images)}
    pixels = images.reshape(len(images), -1)
    ink = images > 0
    digests = [hashlib.blake2b(row.data, digest_size=8).hexdigest() for row in pixels]
    labels = np.concatenate([arrays.train_labels, arrays.test_labels]).astype(np.int64)
    nearest = _nearest_prototype(images, specification)
    in_training = set(digests[: sizes["train"]])
    return pd.DataFrame(
        {
            "split": np.repeat(list(sizes), list(sizes.values())),
            "index": np.concatenate([np.arange(size) for size in sizes.values()]),
            "label": labels,
            "minimum": pixels.min(axis=1).astype(np.int64),
            "maximum": pixels.max(axis=1).astype(np.int64),
            "mean": pixels.mean(axis=1),
            "std": pixels.std(axis=1, dtype=np.float32).astype(np.float64),
            "ink_share": ink.mean(axis=(1, 2)),
            "saturated_share": (pixels == 255).mean(axis=1),
            "box_rows": _extent(np.any(ink, axis=2)),
            "box_columns": _extent(np.any(ink, axis=1)),
            "centre_row": _centre(images.sum(axis=2, dtype=np.int64)),
            "centre_column": _centre(images.sum(axis=1, dtype=np.int64)),
            "nearest_class": nearest,
            "agrees": (nearest == labels).astype(np.int64),
            "digest": digests,
            "in_training": [digest in in_training for digest in digests],
        }
    )


def class_frame(images: pd.DataFrame, specification: Specification) -> pd.DataFrame:
    """A row a split and class, classes without an image included."""
    expected = {"train": specification.train_counts, "test": specification.test_counts}
    every = pd.MultiIndex.from_product([expected, range(CLASSES)], names=["split", "label"])
    groups = images.groupby(["split", "label"])
    frame = groups.agg(
        images=("index", "size"), mean=("mean", "mean"), agreement=("agrees", "mean")
    ).reindex(every)
    frame["images"] = frame["images"].fillna(0).astype(np.int64)
    frame["images_expected"] = [*expected["train"], *expected["test"]]
    frame["mean_ratio"] = frame["mean"] / [*specification.class_means, *specification.class_means]
    return frame.reset_index()


def image_expectations(specification: Specification) -> Expectations:
    """What holds for every image, and for all of them together."""
    is_train, is_test = Column("split") == "train", Column("split") == "test"
    train, test = sum(specification.train_counts), sum(specification.test_counts)
    digits = list(range(CLASSES))
    return [
        gxe.ExpectTableRowCountToEqual(notes="images", value=train + test),
        gxe.ExpectTableRowCountToEqual(
            notes="training images", value=train, row_condition=is_train
        ),
        gxe.ExpectTableRowCountToEqual(notes="test images", value=test, row_condition=is_test),
        gxe.ExpectColumnValuesToBeInSet(
            notes="labels are digits", column="label", value_set=digits
        ),
        gxe.ExpectColumnDistinctValuesToContainSet(
            notes="every class is there", column="label", value_set=digits
        ),
        gxe.ExpectColumnValuesToBeUnique(
            notes="no training image twice", column="digest", row_condition=is_train
        ),
        gxe.ExpectColumnValuesToBeUnique(
            notes="no test image twice", column="digest", row_condition=is_test
        ),
        gxe.ExpectColumnValuesToBeInSet(
            notes="no test image in training",
            column="in_training",
            value_set=[False],
            row_condition=is_test,
        ),
        *(
            gxe.ExpectColumnValuesToBeBetween(
                notes=bound.about, column=bound.column, min_value=bound.low, max_value=bound.high
            )
            for bound in specification.bounds
        ),
    ]


def class_expectations(specification: Specification) -> Expectations:
    """What holds for every class of every split."""
    tolerance = specification.class_mean_tolerance
    return [
        gxe.ExpectColumnValuesToNotBeNull(notes="no class is empty", column="mean"),
        gxe.ExpectColumnPairValuesToBeEqual(
            notes="images of each class", column_A="images", column_B="images_expected"
        ),
        gxe.ExpectColumnValuesToBeBetween(
            notes="mean of each class over the known mean",
            column="mean_ratio",
            min_value=1 - tolerance,
            max_value=1 + tolerance,
        ),
        gxe.ExpectColumnValuesToBeBetween(
            notes="share of a class that looks like it",
            column="agreement",
            min_value=specification.agreement,
            max_value=1,
        ),
    ]


def _quiet_context(data_docs: Path) -> Any:
    """A context that keeps nothing, sends nothing, shows no bars, and has one site of pages."""
    site = {
        "class_name": "SiteBuilder",
        "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
        "store_backend": {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str(data_docs.resolve()),
        },
        "show_how_to_buttons": False,
    }
    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(),
        data_docs_sites={"pages": site},
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False, metric_calculations=False),
    )
    return gx.get_context(mode="ephemeral", project_config=config)


def _check(
    context: Any, name: str, frame: pd.DataFrame, keys: list[str], expectations: Expectations
) -> list[ExpectationValidationResult]:
    """Results in the order of `expectations`; `keys` are the columns that name a row."""
    suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
    asset = context.data_sources.add_pandas(name).add_dataframe_asset(name)
    batch = asset.add_batch_definition_whole_dataframe("all")
    definition = gx.ValidationDefinition(name=name, data=batch, suite=suite)
    checkpoint = gx.Checkpoint(
        name=name,
        validation_definitions=[context.validation_definitions.add(definition)],
        actions=[],
        result_format={"result_format": "SUMMARY", "unexpected_index_column_names": keys},
    )
    outcome = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame})
    (run,) = outcome.run_results.values()
    # Great Expectations sorts them by column.
    order = [expectation.notes for expectation in expectations]
    return sorted(run.results, key=lambda result: order.index(result.expectation_config.notes))


def _entry(result: ExpectationValidationResult) -> dict[str, Any]:
    """What the report says of one expectation, with the first rows that break it."""
    config = result.expectation_config
    assert config is not None
    described = result.describe_dict()
    found, expected = described["result"], described["kwargs"]
    del expected["batch_id"]
    rows = expected.pop("row_condition", None)
    observed = {
        name: found[key]
        for name, key in OBSERVED.items()
        if found.get(key) is not None and found[key] != []
    }
    return {
        "about": config.notes,
        "expectation": config.type,
        "rows": "all" if rows is None else rows["parameter"],
        "expected": expected,
        "observed": _rounded(observed),
        "success": result.success,
    }


def _rounded(value: Any) -> Any:
    """The same with 6 digits: the last ones of a mean depend on the processor."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value[:EXAMPLES]]
    return significant(value, 6) if isinstance(value, float) else value


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


def _nearest_prototype(images: Bytes, specification: Specification) -> NDArray[np.int64]:
    known = np.array([list(bytes.fromhex(row)) for row in specification.prototypes], np.float64)
    cells = images.reshape(len(images), 28 // CELL, CELL, 28 // CELL, CELL)
    means = cells.mean(axis=(2, 4)).reshape(len(images), -1)
    # The squared distance, less the image's own square, which all classes share.
    distances: NDArray[np.float64] = (known**2).sum(axis=1) - 2 * means @ known.T
    return np.asarray(distances.argmin(axis=1))


def _extent(touched: NDArray[np.bool_]) -> NDArray[np.int64]:
    """From the first to the last True of each row; 0 where there is none."""
    length = touched.shape[1] - touched.argmax(axis=1) - touched[:, ::-1].argmax(axis=1)
    return np.where(touched.any(axis=1), length, 0)


def _centre(weights: NDArray[np.int64]) -> NDArray[np.float64]:
    """Mean position of each row's weights; -1 where they are all zero."""
    total = weights.sum(axis=1)
    return np.where(total, weights @ np.arange(weights.shape[1]) / np.maximum(total, 1), -1.0)


if __name__ == "__main__":
    main()
