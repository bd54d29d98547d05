"""The specification as expectations of Great Expectations, and their results.

Expectations check the values of columns. Wrong dtypes, shapes and pickles are refused earlier, when
the file is read.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import great_expectations as gx
import pandas as pd
from great_expectations.core import ExpectationValidationResult
from great_expectations.data_context.types.base import (
    DataContextConfig,
    InMemoryStoreBackendDefaults,
    ProgressBarsConfig,
)
from great_expectations.expectations.expectation import Expectation
from great_expectations.expectations.row_conditions import Column

from lr_ceiling.evidence.validation.published import CLASSES, Specification
from lr_ceiling.rounding import significant

Expectations = Sequence[Expectation]
# Untyped, since the package doesn't re-export them explicitly.
gxe: Any = gx.expectations

# Number of rows that break an expectation that the report shows.
EXAMPLES = 5
# Names in the report for the observed values of Great Expectations.
OBSERVED = {
    "value": "observed_value",
    "of": "element_count",
    "unexpected": "unexpected_count",
    "missing": "partial_missing_list",
    "examples": "partial_unexpected_index_list",
}


def evaluate(
    images: pd.DataFrame, classes: pd.DataFrame, specification: Specification, data_docs: Path
) -> list[dict[str, Any]]:
    """One entry per expectation; writes Data Docs for people into `data_docs`.

    An entry has `about`, `expectation`, `rows`, `expected`, `observed` and `success`.
    """
    context = _quiet_context(data_docs)
    results = [
        *_check(context, "images", images, ["split", "index"], image_expectations(specification)),
        *_check(context, "classes", classes, ["split", "label"], class_expectations(specification)),
    ]
    # It first removes the pages of earlier runs, and nothing else.
    context.build_data_docs()
    return [_entry(result) for result in results]


def image_expectations(specification: Specification) -> Expectations:
    """The expectations for each image, and for all images together."""
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
    """The expectations for each class of each split."""
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
    """A context without storage, telemetry and progress bars, with one site of pages."""
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
    """The report's entry for one expectation, with the first rows that break it."""
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
    """The value to 6 digits, since the last digits of a mean depend on the processor."""
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(item) for item in value[:EXAMPLES]]
    return significant(value, 6) if isinstance(value, float) else value
