"""`lr-ceiling <command>`: all commands; each module is imported only when its command runs."""

import difflib
import importlib
import importlib.util
import sys
from dataclasses import dataclass

import click


@dataclass(frozen=True)
class Extra:
    """An extra of the package: the modules that show whether it is installed, and its features."""

    modules: tuple[str, ...]
    brings: str

    @property
    def is_installed(self) -> bool:
        """Whether all its modules are installed."""
        return all(map(importlib.util.find_spec, self.modules))


EXTRAS = {
    "plot": Extra(("matplotlib", "pandas"), "Ceiling.plot() and Ceiling.trials"),
    "keras": Extra(("keras", "tensorflow"), "KerasProblem and StabilityMonitor"),
    "cluster": Extra(("distributed",), "runs on the workers of a Dask scheduler"),
    "pipeline": Extra(
        ("dvc", "great_expectations", "mlflow", "pydantic", "tensorflow"), "the commands"
    ),
}
# TensorFlow has no wheel for this Python.
TOO_NEW = (3, 14)


@dataclass(frozen=True)
class Entry:
    """A command: its module, its summary, a working example, and the extra that it needs."""

    module: str
    summary: str
    example: str
    extra: str | None = "pipeline"

    @property
    def is_installed(self) -> bool:
        """Whether its extra is installed."""
        return self.extra is None or EXTRAS[self.extra].is_installed


GROUPS = {
    "Ask": {
        "find": Entry(
            "commands.find",
            "Measure the highest learning rates at which your own model trains.",
            "lr-ceiling find examples/mnist.py:problem --low 1e-4 --high 1",
            extra=None,
        ),
        "ceiling": Entry(
            "commands.ceiling",
            "Print the highest learning rates at which each network trains.",
            "lr-ceiling ceiling --variant batchnorm --activation relu",
        ),
        "compare": Entry(
            "commands.compare",
            "Train both variants now, outside DVC, and draw their curves side by side.",
            "lr-ceiling compare --learning-rate 0.01 --activation sigmoid --epochs 3 "
            "--steps-per-epoch 1875",
        ),
        "predict": Entry(
            "commands.predict",
            "Say which digit a picture shows.",
            "lr-ceiling predict digit.png",
        ),
    },
    "The pipeline": {
        "fetch": Entry(
            "stages.fetch",
            "Fetch MNIST from the first source that answers.",
            "lr-ceiling fetch --output data/mnist.npz",
        ),
        "validate": Entry(
            "stages.validate",
            "Check MNIST against its specification, and write the splits.",
            "lr-ceiling validate data/mnist.npz --splits data/splits.npz "
            "--report reports/validation.json --data-docs reports/data_docs",
        ),
        "train": Entry(
            "stages.train",
            "Train one cell of the grid, several seeds side by side.",
            "lr-ceiling train data/splits.npz --variant batchnorm --activation relu "
            "--learning-rate 0.03 --output state/train/batchnorm-relu-0.03 "
            "--models state/models/batchnorm-relu-0.03 --state state/runs",
        ),
        "search": Entry(
            "stages.search",
            "Search for the highest stable learning rate of one arm.",
            "lr-ceiling search data/splits.npz --variant batchnorm --activation relu "
            "--audit reports/audit.json --output state/trials/batchnorm-relu --state state/search",
        ),
        "theory": Entry(
            "stages.theory",
            "Compute the critical learning rate of one arm, to compare with its ceiling.",
            "lr-ceiling theory data/splits.npz --variant batchnorm --activation relu "
            "--output state/batchnorm-relu.json --state state/theory",
        ),
        "report": Entry(
            "stages.report",
            "Compare the cells, collect the ceilings, draw the figures, write the page.",
            "lr-ceiling report --train data/train --search data/search --theory data/theory "
            "--validation reports/validation.json --verification reports/verification.json "
            "--claims reports/claims.json --output reports",
        ),
        "pull": Entry(
            "commands.pull",
            "Fetch all results from DVC's remote, instead of computing them.",
            "lr-ceiling pull",
        ),
        "log": Entry(
            "commands.log",
            "Log all runs and studies that MLflow does not hold yet.",
            "lr-ceiling log",
        ),
        "ui": Entry(
            "commands.ui",
            "Start MLflow's UI, and print links to the comparisons.",
            "lr-ceiling ui --port 5000",
        ),
        "check": Entry(
            "commands.check",
            "Check all stored results for damage, and name the commands that restore them.",
            "lr-ceiling check",
        ),
    },
    "Checks that take longer": {
        "audit": Entry(
            "commands.audit",
            "Continue runs that the judge would end, and count its wrong calls.",
            "lr-ceiling audit data/splits.npz --output reports/audit.json --state state/runs",
        ),
        "verify": Entry(
            "commands.verify",
            "Verify the ceilings with fresh seeds, run to the full horizon.",
            "lr-ceiling verify data/splits.npz --search data/search --audit reports/audit.json "
            "--output reports/verification.json --state state/runs",
        ),
        "claims": Entry(
            "commands.claims",
            "Test the claims that need additional runs: seeds, activations, scales.",
            "lr-ceiling claims data/splits.npz --train data/train --output reports/claims.json "
            "--state state/runs",
        ),
        "simulate": Entry(
            "commands.simulate",
            "Test the search on simulated networks whose ceilings are known.",
            "lr-ceiling simulate --output reports/simulation.json --state state/simulation",
        ),
    },
    "The live model": {
        "promote": Entry(
            "commands.promote",
            "Make the best new model live, if it is no worse than the live one.",
            "lr-ceiling promote --fail-on-refusal",
        ),
        "rollback": Entry(
            "commands.rollback",
            "Make the previous version live again.",
            "lr-ceiling rollback",
        ),
        "registry": Entry(
            "commands.registry",
            "Show all model versions, the decision on each, and the live one.",
            "lr-ceiling registry",
        ),
        "serve": Entry(
            "commands.serve",
            "Serve the live model over HTTP.",
            "lr-ceiling serve --port 5001",
        ),
        "retrain": Entry(
            "commands.retrain",
            "Validate the data again, retrain with the week's seeds, and promote.",
            "lr-ceiling retrain --week 2026-W48 --quick",
        ),
    },
}
COMMANDS = {name: entry for group in GROUPS.values() for name, entry in group.items()}


class Commands(click.Group):
    """Lists commands from the table above, so that help does not import their modules."""

    def list_commands(self, context: click.Context) -> list[str]:
        """The commands, in the order of their groups."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import a command's module, and return its `main`."""
        if name not in COMMANDS:
            return None
        entry = COMMANDS[name]
        if not entry.is_installed:
            print(f"error: {name} needs {install(entry.extra)}", file=sys.stderr)
            sys.exit(1)
        module = importlib.import_module(f"lr_ceiling.pipeline.{entry.module}")
        command: click.Command = module.main
        command.name = name
        command.epilog = f"Example: {entry.example}"
        return command

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command. For an unknown name, suggest commands with a similar name."""
        name = arguments[0]
        if name not in COMMANDS and not name.startswith("-"):
            alike = difflib.get_close_matches(name, COMMANDS)
            known = f"did you mean {' or '.join(alike)}?" if alike else "--help lists them"
            context.fail(f"There is no command {name!r}: {known}")
        return super().resolve_command(context, arguments)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each installed command with its summary and example, then the missing extras."""
        for title, group in GROUPS.items():
            installed = {name: entry for name, entry in group.items() if entry.is_installed}
            if not installed:
                continue
            with formatter.section(title):
                for name, entry in installed.items():
                    formatter.write_text(f"{name}: {entry.summary}")
                    formatter.indent()
                    formatter.write_text(entry.example)
                    formatter.dedent()
        for name, extra in EXTRAS.items():
            if extra.is_installed:
                continue
            commands = ", ".join(other for other, entry in COMMANDS.items() if entry.extra == name)
            with formatter.section(f"With {install(name)}"):
                formatter.write_text(f"{extra.brings} {commands}".strip())

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the note on `dvc repro` if DVC is installed."""
        if EXTRAS["pipeline"].is_installed:
            super().format_epilog(context, formatter)


def install(extra: str | None) -> str:
    """Instructions for installing an extra."""
    told = f"the extra {extra}: pip install 'lr-ceiling[{extra}]'"
    if extra and "tensorflow" in EXTRAS[extra].modules and sys.version_info >= TOO_NEW:
        told += f", with Python below {'.'.join(map(str, TOO_NEW))}"
    return told


@click.command(
    cls=Commands,
    epilog="`dvc repro` runs the pipeline. `lr-ceiling <command> --help` describes a command.",
)
@click.version_option(package_name="lr-ceiling")
def main() -> None:
    """Measure the highest learning rate at which a network trains, with an interval."""


if __name__ == "__main__":
    main()
