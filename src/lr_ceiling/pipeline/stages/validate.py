"""Check MNIST against its specification, and write the splits only if all checks pass."""

from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.validation.findings import refuse_failures, validate
from lr_ceiling.evidence.validation.published import MNIST
from lr_ceiling.execution.files import write_json
from lr_ceiling.mnist import dataset
from lr_ceiling.pipeline import params


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--splits", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--report", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--data-docs", type=click.Path(path_type=Path, file_okay=False), required=True)
@one_line_errors
def main(source: Path, splits: Path, report: Path, data_docs: Path) -> None:
    """Validate SOURCE, an .npz with Keras's keys, and write the splits if all checks pass.

    Example: python -m lr_ceiling.pipeline.stages.validate data/mnist.npz --splits data/splits.npz
    --report reports/validation.json --data-docs reports/data_docs
    """
    section = params.load().splits
    # After a failure there must be no splits of an earlier run to train on.
    splits.unlink(missing_ok=True)
    arrays = dataset.read_arrays(source)
    findings = validate(arrays, MNIST, data_docs)
    write_json(report, findings)
    refuse_failures(findings, data_docs)
    parts = dataset.split(arrays, section.seed, section.validation, section.gate)
    dataset.write_splits(splits, parts)
    click.echo(f"all {findings['evaluated']} expectations hold; wrote {splits}")


if __name__ == "__main__":
    main()
