"""Two of the commands that write one report."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lr_ceiling.errors import LockedError, ResultsError
from lr_ceiling.live.locks import alone
from lr_ceiling.pipeline.commands import audit, claims, simulate, verify
from lr_ceiling.pipeline.one_writer import one_writer


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_second_writer_is_refused_and_the_lock_ends_with_the_first() -> None:
    @one_writer
    def inner(output: Path) -> None:
        raise AssertionError

    @one_writer
    def outer(output: Path) -> None:
        with pytest.raises(LockedError, match=r"another command that writes reports/a\.json holds"):
            inner(output=output)
        inner_other(output=output.with_name("b.json"))

    @one_writer
    def inner_other(output: Path) -> None:
        done.append(output)

    done: list[Path] = []
    outer(output=Path("reports/a.json"))
    inner_other(output=Path("reports/a.json"))
    assert [path.name for path in done] == ["b.json", "a.json"]


def test_a_lock_that_cannot_be_written_is_one_line(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "state" / "promotion.lock").mkdir()
    with pytest.raises(ResultsError, match=r"^\S+/promotion\.lock can't be written \([^\n]+$"):
        alone("promotion", "another promotion").__enter__()


def test_an_error_under_the_lock_keeps_its_kind() -> None:
    with pytest.raises(FileNotFoundError), alone("promotion", "another promotion"):
        Path("absent").read_text()


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (audit, "splits --state s"),
        (claims, "splits --train t --state s"),
        (simulate, "--state s"),
        (verify, "splits --search t --audit a --state s"),
    ],
    ids=["audit", "claims", "simulate", "verify"],
)
def test_every_command_that_goes_on_from_its_report_is_the_only_one(
    command: object, arguments: str
) -> None:
    with alone("r.json", "a test"):
        shown = CliRunner().invoke(
            command.main,  # type: ignore[attr-defined]
            [*arguments.split(), "--output", "r.json"],
        )
    assert shown.exit_code == 1
    assert shown.stderr.startswith("error: another command that writes r.json holds ")
    assert shown.stderr.count("\n") == 1
