"""The report page: complete, self-contained, and looked at in a real browser."""

import copy
import re
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
from playwright.sync_api import Browser

from browser import watched_page
from conftest import make_report, small_run, small_study, write_results
from lr_ceiling.evidence.claims import subject_of
from lr_ceiling.evidence.comparison import conditions_of
from lr_ceiling.evidence.records import Spread, Study
from lr_ceiling.evidence.verification import points_of
from lr_ceiling.execution.files import read_json, write_json
from lr_ceiling.pipeline import params
from lr_ceiling.report import figures
from lr_ceiling.report.findings import Findings
from lr_ceiling.report.page import counts, inline, median_steps, number, p_value, percent

FIGURES = {
    "ceilings", "probability", "trials", "curves-relu-0.01", "curves-relu-1",
    "edge-baseline-relu", "edge-batchnorm-relu", "modes",
}  # fmt: skip
# What the results made by hand have in common.
SPEC = small_run().spec
FRESH = {"seeds": 8, "stable": 7, "predicted": [5, 8], "right": True}
VERIFIED: dict[str, Any] = {
    "conditions": conditions_of(SPEC),
    "arms": [
        {
            "variant": "baseline",
            "activation": "relu",
            "points": [
                {"at": at, "learning_rate": rate, **FRESH}
                for at, rate in points_of(small_study()).items()
            ],
            "finders": [
                {
                    "name": "some suggestion",
                    "learning_rate": 0.2,
                    "probability": 0.25,
                    "stopped": True,
                    "seeds": 8,
                    "stable": 0,
                }
            ],
        }
    ],
}
TESTED: dict[str, Any] = {
    "claims": [
        {
            "id": name,
            "statement": "More runs say so",
            "verdict": "supported",
            "statistic": "a ratio",
            "estimate": 2.0,
            "ci95": [1.5, None],
            "n": 24,
        }
        for name in ("faster-relu-1", "more-activations")
    ],
    "grid": [
        {
            "variant": "baseline",
            "activation": "relu",
            "learning_rate": 1.0,
            "seeds": list(range(12)),
            "labels": {"stable": 9, "slow": 3},
            "validation_accuracy": {"mean": 0.9, "std": None, "values": [0.9]},
            "test_accuracy": {"mean": 0.8765, "std": None, "values": [0.8765]},
            "steps_to_95": [100] * 12,
            "parameters": 93_322,
        }
    ],
    "cells": [
        {
            "variant": variant,
            "activation": "tanh",
            "learning_rate": 0.01,
            "seeds": 4,
            "stable": 4,
            "viable": 0.9976,
        }
        for variant in ("baseline", "batchnorm")
    ],
    "initialisation": [
        {
            "variant": "baseline",
            "activation": "relu",
            "learning_rate": 0.001,
            "runs": 28,
            "exists": 0.97,
            "lower": {"estimate": 0.02, "ci95": [0.01, 0.05]},
            "upper": {"estimate": None, "ci95": [40.0, None]},
            "width_decades": {"estimate": None, "ci95": [2.5, None]},
        }
    ],
}
# Of each figure: its name, how many drawn things have a size, and its words.
DRAWN = """() => [...document.querySelectorAll("figure svg")].map(svg => ({
    label: svg.getAttribute("aria-label"),
    drawn: [...svg.querySelectorAll("path, use")].filter(one => {
        const box = one.getBoundingClientRect(); return box.width + box.height > 2 }).length,
    width: svg.getBoundingClientRect().width,
    words: [...svg.querySelectorAll("text")].map(one => one.textContent),
    overlaps: (boxes => boxes.filter(([a, p], i) => boxes.slice(i + 1).some(([b, q]) =>
        p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 1 && q.top < p.bottom - 1
    )).map(([a, p]) => a))([...svg.querySelectorAll("text")]
        .map(one => [one.textContent, one.getBoundingClientRect()])),
}))"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_results(tmp_path_factory.mktemp("page"))
    make_report(folder)
    return folder


@pytest.fixture(scope="module")
def complete(project: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same project after `make verify` and `make claims`."""
    folder = tmp_path_factory.mktemp("complete") / "project"
    shutil.copytree(project, folder)
    write_json(folder / "reports/verification.json", VERIFIED)
    grid = params.load(folder / "params.yaml").grid
    write_json(folder / "reports/claims.json", {"subject": subject_of(SPEC, grid), **TESTED})
    make_report(folder)
    return folder


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [380, 1200])
def test_the_page_is_sound_in_a_browser(
    complete: Path, chromium: Browser, width: int, scheme: Any
) -> None:
    with watched_page(chromium, width) as watched:
        watched.page.emulate_media(color_scheme=scheme)
        watched.page.goto((complete / "reports/index.html").as_uri())
        watched.page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
        assert not watched.scrolls_sideways()
        found = watched.page.evaluate(DRAWN)
        # And the range tests.
        assert len(found) == len(FIGURES) + 1
        for one in found:
            assert one["drawn"] > 10, one["label"]
            assert one["width"] > 300
            assert len(one["words"]) > 8
            assert one["overlaps"] == []
        assert (watched.violations(), watched.errors, watched.foreign) == ([], [], [])


def test_colours_follow_the_scheme(project: Path, chromium: Browser) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        with watched_page(chromium) as watched:
            watched.page.emulate_media(color_scheme=scheme)
            watched.page.goto((project / "reports/index.html").as_uri())
            word = watched.page.locator("figure svg text").first
            seen.add(word.evaluate("one => getComputedStyle(one).fill"))
    assert len(seen) == 2


def test_a_printed_page_is_light_and_nothing_is_cut_off(project: Path, chromium: Browser) -> None:
    # A4 at 96 dots an inch, less margins of 1 cm.
    with watched_page(chromium, 718) as watched:
        watched.page.emulate_media(media="print", color_scheme="dark")
        watched.page.goto((project / "reports/index.html").as_uri())
        assert not watched.scrolls_sideways()
        paper = "getComputedStyle(document.body).backgroundColor"
        assert watched.page.evaluate(paper) == "rgb(255, 255, 255)"
        ink = watched.page.locator("figure svg text").first
        assert ink.evaluate("one => getComputedStyle(one).fill") == "rgb(27, 27, 27)"


def test_the_page_is_one_small_file(project: Path) -> None:
    text = (project / "reports/index.html").read_text()
    assert len(text.encode()) < 3_000_000
    assert not re.search(r"""(?:src|href)=["'](?!#|data:,)""", text)
    assert not re.search(r"url\((?!#)", text)
    ids = re.findall(r'\bid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(ids)


def test_figures_are_files_too(project: Path) -> None:
    for kind in ("svg", "png"):
        written = {path.stem for path in (project / "reports/figures").glob(f"*.{kind}")}
        assert written == FIGURES


def test_range_tests_are_drawn_where_they_were_tried(project: Path, complete: Path) -> None:
    assert not (project / "reports/figures/range-tests.png").exists()
    assert (complete / "reports/figures/range-tests.png").exists()
    assert "the choice of each range test" in (complete / "reports/index.html").read_text()


def test_it_says_whether_the_ceilings_were_verified(project: Path, complete: Path) -> None:
    assert (
        "seeds: baseline, relu; batch norm, relu." in (project / "reports/index.html").read_text()
    )
    text = (complete / "reports/index.html").read_text()
    assert "Not verified by fresh seeds: batch norm, relu." in text
    assert "<td>7 of 8</td><td>5 to 8</td><td>44%</td><td>-</td><td>yes</td>" in text
    assert "4 of 4 counts lie in their interval. On average an interval allowed 44%" in text
    assert "some suggestion</th><td>0.2</td><td>0 of 8</td><td>25%</td>" in text


def test_reports_of_other_params_or_ceilings_are_not_these(complete: Path, tmp_path: Path) -> None:
    project = shutil.copytree(complete, tmp_path / "project")
    moved = copy.deepcopy(VERIFIED)
    moved["arms"][0]["points"][0]["learning_rate"] *= 2
    for changed in (moved, VERIFIED | {"conditions": "others"}, VERIFIED | {"conditions": None}):
        write_json(project / "reports/verification.json", changed)
        write_json(project / "reports/claims.json", TESTED | {"subject": "another"})
        make_report(project)
        text = (project / "reports/index.html").read_text()
        assert "Not verified by fresh seeds: baseline, relu; batch norm, relu" in text
        assert "7 of 8" not in text
        assert "Not run with these params: twelve seeds a cell, more activations" in text
        claims = read_json(project / "reports/comparison.json")["claims"]
        assert "more-activations" not in {one["id"] for one in claims}


def test_it_says_which_claims_were_not_run(project: Path, complete: Path) -> None:
    text = (project / "reports/index.html").read_text()
    assert (
        "Not run with these params: twelve seeds a cell, more activations, easier initialisation"
        in text
    )
    assert "make claims" in text
    assert "a bias before batch norm changes nothing" in text
    text = (complete / "reports/index.html").read_text()
    assert "Not run with" not in text
    assert "4 of 4" in text
    assert "0.02 (0.01 to 0.05)" in text
    assert "at least 2.5" in text


def test_claims_of_more_runs_replace_those_of_few(project: Path, complete: Path) -> None:
    few, more = (
        {one["id"]: one for one in read_json(folder / "reports/comparison.json")["claims"]}
        for folder in (project, complete)
    )
    assert list(more) == [*few, "more-activations"]
    assert (few["faster-relu-1"]["n"], more["faster-relu-1"]["n"]) == (0, 24)
    assert {name for name in few if few[name] != more[name]} == {"faster-relu-1"}


def test_a_cell_is_shown_with_all_seeds_that_the_claims_rest_on(
    project: Path, complete: Path
) -> None:
    """Cells of which twelve seeds were trained were shown with the grid's few."""
    few, more = (
        {
            (cell["variant"], cell["learning_rate"]): cell
            for cell in read_json(folder / "reports/comparison.json")["cells"]
        }
        for folder in (project, complete)
    )
    assert list(few) == list(more)
    assert {place for place in few if few[place] != more[place]} == {("baseline", 1)}
    assert len(few["baseline", 1]["seeds"]) == 3
    assert more["baseline", 1]["labels"] == {"stable": 9, "slow": 3}
    row = "<td>12</td>\n    <td>90.00</td>\n    <td>87.65</td>"
    assert row in (complete / "reports/index.html").read_text()
    assert row not in (project / "reports/index.html").read_text()


def test_each_claim_says_whether_it_holds_with_the_others(project: Path) -> None:
    text = (project / "reports/index.html").read_text()
    claims = read_json(project / "reports/comparison.json")["claims"]
    words = {True: "holds", False: "does not hold", None: "-"}
    shown = [
        re.findall(rf'<tr id="{claim["id"]}">.*<td class="words">(.*?)</td></tr>', text)[0]
        for claim in claims
    ]
    assert shown == [words[claim["holds_together"]] for claim in claims]
    assert "holds" in shown


def test_the_first_screen_has_the_verdicts_and_what_to_set(project: Path) -> None:
    text = (project / "reports/index.html").read_text()
    first = text[text.index("<h1>") : text.index('<h2 id="post">')]
    claims = {one["id"]: one for one in read_json(project / "reports/comparison.json")["claims"]}
    verdict = claims["higher-learning-rate-relu"]["verdict"]
    assert re.findall(r'class="verdict [\w-]+">(.*?)<', first) == [verdict]
    assert re.findall(r"<li><b>(.*?)</b>", first)[0] == "What to set"


def test_what_few_ask_for_is_folded_and_printed_all_the_same(
    complete: Path, chromium: Browser
) -> None:
    with watched_page(chromium, 718) as watched:
        watched.page.goto((complete / "reports/index.html").as_uri())
        for words in ("early calls", "critical learning rate", "some suggestion"):
            found = watched.page.locator("details", has_text=words).last
            place = found.locator(".scroll").first
            assert not place.is_visible(), words
            watched.page.emulate_media(media="print")
            assert place.is_visible(), words
            watched.page.emulate_media(media="screen")


def test_a_table_that_goes_on_beyond_a_phone_has_a_shade(project: Path, chromium: Browser) -> None:
    with watched_page(chromium, 380) as watched:
        watched.page.goto((project / "reports/index.html").as_uri())
        cut = watched.page.eval_on_selector_all(
            ".scroll",
            "all => all.filter(one => one.scrollWidth > one.clientWidth)"
            ".map(one => getComputedStyle(one).backgroundAttachment)",
        )
        assert cut
        assert set(cut) == {"local, local, scroll, scroll, scroll"}


def test_a_figure_in_a_page_has_its_own_ids_and_the_pages_colours(
    findings: Findings, tmp_path: Path
) -> None:
    arms = {arm: pool.measurement for arm, pool in findings.pools.items()}
    figures.save(figures.ceilings_of_arms(arms), tmp_path / "one")
    svg = inline(tmp_path / "one.svg", 'a "label" & more')
    assert 'role="img" aria-label="a &#34;label&#34; &amp; more"' in svg
    assert not re.search(r"#[0-9a-f]{6}\b", svg)
    assert re.findall(r'(?:\bid="|url\(#|href="#)(?!one-)', svg) == []
    assert "var(--orange)" in svg


def test_whatever_ended_a_search_is_explained(project: Path) -> None:
    text = (project / "reports/index.html").read_text()
    (explained,) = re.findall(r"<dt>(Ended by .*?)</dt>", text)
    for ending in get_args(Study.model_fields["stopped"].annotation):
        assert ending in explained


def test_median_steps_takes_never_for_later_than_any() -> None:
    assert median_steps([300, None, 100]) == "300"
    assert median_steps([None, None, 100]) == "never"
    assert median_steps([1000, 3000]) == "3,000"


def test_percent_has_its_spread() -> None:
    assert percent(Spread(mean=0.98765, std=0.001, values=(0.98665, 0.98865))) == "98.77 ± 0.10"
    assert percent(Spread(mean=0.5, std=None, values=(0.5,))) == "50.00"
    assert percent(Spread(mean=None, std=None, values=())) == "-"


def test_numbers_and_counts_in_words() -> None:
    assert (number(None), number(0.12345), number(-2.0)) == ("?", "0.123", "-2")
    assert number(3276.5) == "3,280"
    assert (p_value(0.000028), p_value(0.0147)) == ("< 0.001", "0.015")
    assert counts({"dead": 1, "stable": 3}) == "1 dead, 3 stable"
