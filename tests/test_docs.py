"""The pages name what is there: files, modules, and commands with their options."""

import pkgutil
import re
import shlex
from pathlib import Path

import click
import pytest
from markupsafe import escape

import lr_ceiling
import reference
import tables
from conftest import ROOT
from lr_ceiling.pipeline.cli import COMMANDS, main
from lr_ceiling.report.side_by_side import claim_figures
from lr_ceiling.report.words import no_accuracy_lost_up_to, trains_up_to

PACKAGE = ROOT / "src" / "lr_ceiling"
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
# A call stands alone on its line, after a prompt or not, or in backticks.
CALL = re.compile(
    r"^(?:\$ |\t+|    )(?:\S+/)?lr-ceiling (\S+(?:.*\\\n)*.*)$|`lr-ceiling (\w[^`]*)`", re.M
)


def code_in(page: Path) -> list[str]:
    return re.findall(r"`([^`\n]+)`", page.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_modules_that_are_named_exist(page: Path) -> None:
    missing = []
    for name in code_in(page):
        if re.fullmatch(r"(src|tests|docs|benchmarks)/[\w./-]+", name):
            found = (ROOT / name).exists()
        elif re.fullmatch(rf"({'|'.join(ROOMS)})/[\w./]*", name):
            module, *attributes = name.removesuffix(".py").split(".")
            path = PACKAGE / module
            found = path.is_dir() or path.with_suffix(".py").exists()
            found &= not attributes or f"{attributes[0]} " in path.with_suffix(".py").read_text()
        else:
            continue
        if not found:
            missing.append(name)
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_dotted_names_resolve(page: Path) -> None:
    for name in re.findall(r"\blr_ceiling(?:\.\w+)+", page.read_text()):
        assert pkgutil.resolve_name(name), name


@pytest.mark.parametrize("page", [*PAGES, ROOT / "Makefile"], ids=lambda page: page.name)
def test_commands_that_are_named_take_what_they_are_given(page: Path) -> None:
    for alone, inline in CALL.findall(page.read_text()):
        call = re.sub(r"\\\n| #.*| >> .*", "", alone or inline)
        name, *arguments = shlex.split(call)
        assert name in COMMANDS, call
        command = main.get_command(click.Context(main), name)
        assert command
        if alone:
            command.make_context(name, arguments)
        known = {option for parameter in command.params for option in parameter.opts}
        assert {one for one in arguments if one.startswith("--")} <= {*known, "--help"}, call


def test_the_first_page_lists_every_room_and_page() -> None:
    text = (ROOT / "docs" / "index.md").read_text()
    assert sorted(re.findall(r"^\| `(\w+)/`", text, re.M)) == ROOMS
    listed = set(re.findall(r"\]\(([\w-]+\.md)\)", text))
    assert listed == {path.name for path in PAGES if path.parent.name == "docs"} - {"index.md"}


def test_rooms_are_listed_in_the_order_in_which_they_import() -> None:
    order = re.search(r"layers = \[(.*?)\]", (ROOT / "pyproject.toml").read_text(), re.S)
    assert order
    layers = [name for name in re.findall(r"lr_ceiling\.(\w+)", order[1]) if name in ROOMS]
    text = (ROOT / "docs" / "index.md").read_text()
    assert re.findall(r"^\| `(\w+)/`", text, re.M) == layers[::-1]


@pytest.mark.parametrize("page", tables.PAGES, ids=lambda page: page.name)
def test_tables_are_those_of_the_reports(page: Path) -> None:
    """`python tests/tables.py` writes them."""
    assert page.read_text() == tables.filled(page.read_text())


def test_the_page_in_docs_needs_nothing_else_and_names_no_machine() -> None:
    text = (ROOT / "docs" / "report.html").read_text()
    assert len(text.encode()) < 3_000_000
    assert re.findall(r"""(?:src|href)=["'](?!#|data:,)""", text) == []
    assert re.findall(r"(?:/home|/root|/tmp|/work|/Users|[A-Z]:\\)[/\\\w]*", text) == []


def test_the_page_in_docs_says_what_the_committed_reports_say() -> None:
    text = (ROOT / "docs" / "report.html").read_text()
    arms = tables.ceilings().arms
    told = [one for arm in arms for one in (trains_up_to(arm), no_accuracy_lost_up_to(arm))]
    claims = tables.comparison().claims
    told += [escape(claim_figures(claim)) for claim in claims]
    assert [words for words in told if words not in text] == []
    rows = re.findall(r'<tr id="([\w.-]+)">', text)
    assert rows == [claim.id for claim in claims]


def test_the_reference_is_that_of_the_docstrings_and_has_every_public_name() -> None:
    assert reference.PAGE.read_text() == reference.page()
    assert {name.rpartition(".")[2] for name in reference.NAMES} == set(lr_ceiling.__all__)
