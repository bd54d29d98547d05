"""Compare the cells, collect the ceilings, draw the figures and write the page."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from pathlib import Path

import click

from lr_ceiling.errors import one_line_errors
from lr_ceiling.evidence.ceilings import held_against_theory
from lr_ceiling.evidence.claims import subject_of
from lr_ceiling.evidence.comparison import conditions_of, gap, summarise_cell
from lr_ceiling.evidence.records import ArmCeilings, CellSummary, RunTable
from lr_ceiling.evidence.verification import verified_arms
from lr_ceiling.execution.files import write_text
from lr_ceiling.execution.provenance import root
from lr_ceiling.pipeline import params
from lr_ceiling.pipeline.params import Grid
from lr_ceiling.pipeline.terminal import console, print_table, quiet_option
from lr_ceiling.report import page, verdicts
from lr_ceiling.report.dvc_metrics import metrics
from lr_ceiling.report.dvc_plots import tables
from lr_ceiling.report.findings import Findings, name_of
from lr_ceiling.report.gallery import draw
from lr_ceiling.report.origin import executed_by, origin_of
from lr_ceiling.report.schemas import (
    CeilingsReport,
    ClaimsReport,
    ComparisonReport,
    ValidationReport,
    VerificationReport,
)
from lr_ceiling.report.words import no_accuracy_lost_up_to, trains_up_to

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option("--train", type=FOLDER, required=True, help="the cells' folders")
@click.option("--search", type=FOLDER, required=True, help="the arms' folders")
@click.option("--theory", type=FOLDER, required=True, help="the arms' critical learning rates")
@click.option("--validation", type=FILE, required=True, help="report of the data's validation")
@click.option("--verification", type=FILE, required=True, help="report of `lr-ceiling verify`")
@click.option("--claims", "tested", type=FILE, required=True, help="report of `lr-ceiling claims`")
@click.option("--output", type=FOLDER, required=True, help="folder of the reports to write")
@quiet_option
@one_line_errors
def main(
    train: Path,
    search: Path,
    theory: Path,
    validation: Path,
    verification: Path,
    tested: Path,
    output: Path,
) -> None:
    """Write the reports on the cells and arms of params.yaml."""
    grid = params.load().grid
    expected = ValidationReport.read(validation)
    fresh = VerificationReport.read(verification)
    found = read_findings(grid, train, search, theory, fresh.runs)
    verified = verified_arms(fresh.under(conditions_of(found.spec)).arms, found.studies)
    more_runs = ClaimsReport.read(tested).about(subject_of(found.spec, grid))
    remove_what_left_the_grid(found, train, search, theory)

    cells = {name_of(cell): summarise_cell(runs) for cell, runs in found.cells.items()}
    arms = [held_against_theory(
                one.study, one.belief, found.critical[arm], found.pools[arm].record()
            )
            for arm, one in found.searches.items()]  # fmt: skip
    claims = verdicts.updated(verdicts.claims(found), more_runs.claims)
    CeilingsReport(arms=tuple(arms), ratios=tuple(found.ratios)).write(output / "ceilings.json")
    shown = with_more_seeds(list(cells.values()), more_runs.grid)
    compared = ComparisonReport(cells=tuple(shown), claims=tuple(claims))
    compared.write(output / "comparison.json")
    metrics(cells, arms, found.ratios, claims).write(output / "metrics.json")
    for name, table in tables(found).items():
        write_text(output / "plots" / f"{name}.csv", table)
    content = page.Content(
        cells=shown,
        arms=arms,
        ratios=found.ratios,
        claims=claims,
        gaps={title: gap(runs) for title, runs in found.normalised.items()},
        drawn=draw(output / "figures", found, verified),
        made=origin_of(found),
        validation=expected,
        verified=verified,
        tested=more_runs,
    )
    written, copy = write_pages(output, content, found)
    print_report(cells, arms)
    # Not wrapped, so that terminals can show it as a link.
    console.print(f"the page: {written}; with times and machine: {copy}", soft_wrap=True)


def with_more_seeds(cells: Sequence[CellSummary], more: Sequence[CellSummary]) -> list[CellSummary]:
    """The cells, with those in `more` replaced by their versions with more seeds."""

    def place(cell: CellSummary) -> tuple[str, str, float]:
        return cell.variant, cell.activation, cell.learning_rate

    tested = {place(cell): cell for cell in more}
    return [tested.get(place(cell), cell) for cell in cells]


def read_findings(
    grid: Grid, train: Path, search: Path, theory: Path, verification: Sequence[RunTable]
) -> Findings:
    """Read the results of the earlier stages for the grid."""
    cells = list(product(grid.variants, grid.activations, grid.learning_rates))
    arms = list(product(grid.variants, grid.activations))
    return Findings.read(cells, arms, train, search, theory, verification)


def remove_what_left_the_grid(found: Findings, train: Path, search: Path, theory: Path) -> None:
    """Remove results that no longer belong to the grid, since DVC would still hash them.

    DVC's cache keeps them, so a cell that returns to the grid is not trained again.
    """
    arms = [name_of(arm) for arm in found.searches]
    _remove_others(train, [name_of(cell) for cell in found.cells])
    _remove_others(search, arms)
    _remove_others(theory, [f"{name}.json" for name in arms])


def _remove_others(folder: Path, names: Collection[str]) -> None:
    for path in sorted(folder.glob("[!.]*")):
        if path.name not in names:
            console.print(f"removing {path}: it is not in the grid")
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def write_pages(output: Path, content: page.Content, found: Findings) -> tuple[Path, Path]:
    """Write the page, and a copy outside DVC that also has the facts of this execution."""
    written, copy = output / "index.html", root() / "state" / "report.html"
    write_text(written, page.render(output / "figures", content))
    write_text(copy, page.render(output / "figures", content, executed_by(found.runs)))
    return written, copy


def print_report(cells: Mapping[str, CellSummary], studies: Sequence[ArmCeilings]) -> None:
    """Print the cells, the ceilings, and the searches with wrong early calls."""
    rows = [
        (
            f"{cell.variant} {cell.activation} {cell.learning_rate:g}",
            page.percent(cell.validation_accuracy),
            page.percent(cell.test_accuracy),
            page.counts(cell.labels),
        )
        for cell in cells.values()
    ]
    print_table("cells", ("cell", "validation accuracy %", "test accuracy %", "labels"), rows)
    arms = [
        (
            f"{study.variant} {study.activation}",
            trains_up_to(study),
            no_accuracy_lost_up_to(study),
            str(study.trials),
            f"{study.full_run_equivalents:.2f}",
        )
        for study in studies
    ]
    columns = ("arm", "trains up to", "no accuracy lost up to", "trials", "full runs spent")
    print_table("ceilings", columns, arms)
    for study in studies:
        for kind, calls in (
            ("failure", study.early_decisions),
            ("success", study.early_successes),
        ):
            if calls.wrong:
                console.print(
                    f"warning: {study.variant} {study.activation}: {calls.wrong} of "
                    f"{calls.audited} early calls of {kind} that were not followed were wrong: "
                    "run `make audit`"
                )


if __name__ == "__main__":
    main()
