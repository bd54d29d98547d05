"""The website of docs: whole, linked, and readable on a phone."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser

import website
from browser import watched_page

SOURCE = "https://github.com/someone/lr-ceiling/blob/main"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    website.build(folder, SOURCE)
    return folder


def test_every_page_is_there_and_every_link_leads_somewhere(site: Path) -> None:
    pages = {path.name: path.read_text() for path in site.glob("*.html")}
    wanted = {path.with_suffix(".html").name for path in website.DOCS.glob("*.md")}
    assert set(pages) == {*wanted, "report.html"}
    lost = []
    for name in wanted:
        for link in re.findall(r'(?:href|src)="([^"]*)"', pages[name]):
            path, _, anchor = link.partition("#")
            if link.startswith(SOURCE):
                found = (website.DOCS.parent / path.removeprefix(f"{SOURCE}/")).exists()
            elif re.match(r"[a-z]+:", link):
                continue
            else:
                found = (site / (path or name)).exists()
                found &= not anchor or f'id="{anchor}"' in pages[path or name]
            if not found:
                lost.append((name, link))
    assert lost == []


def test_the_report_page_is_published_as_it_is(site: Path) -> None:
    written = (website.DOCS / "report.html").read_bytes()
    assert (site / "report.html").read_bytes() == written


def test_a_link_leads_where_it_led() -> None:
    for link, led in (
        ("results.md#the-posts-comparison", "results.html#the-posts-comparison"),
        ("report.html", "report.html"),
        ("../params.yaml", f"{SOURCE}/params.yaml"),
        ("https://example.org/a.md", "https://example.org/a.md"),
        ("#here", "#here"),
    ):
        assert website.place(link, SOURCE) == led


def test_a_heading_has_githubs_anchor() -> None:
    assert website.slug("The post's comparison") == "the-posts-comparison"
    assert website.slug("The rooms of `src/lr_ceiling/`") == "the-rooms-of-srclr_ceiling"


@pytest.mark.parametrize("name", ["index", "results", "tutorial"])
def test_a_page_fits_a_phone(site: Path, chromium: Browser, name: str) -> None:
    with watched_page(chromium, 380) as watched:
        watched.page.goto((site / f"{name}.html").as_uri())
        assert not watched.scrolls_sideways()
        assert (watched.violations(), watched.errors, watched.foreign) == ([], [], [])
