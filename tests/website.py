"""Makes a website of docs: `python tests/website.py FOLDER --source URL`.

Each page of Markdown becomes a page of HTML; the report page and the figures are copied as they
are. Links that lead out of docs lead to the repository's files, below the URL of these.
"""

import re
import shutil
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import click
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

DOCS = Path(__file__).parents[1] / "docs"
# Other places than files of docs.
ELSEWHERE = re.compile(r"[a-z]+:|#")
PAGE = Markup("""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title} - lr-ceiling</title>
<style>
  :root {{ color-scheme: light dark; }}
  body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; }}
  body {{ margin: 0 auto; padding: .75rem; }}
  a {{ color: inherit; }}
  img {{ max-width: 100%; height: auto; background: #fff; }}
  pre, table {{ display: block; overflow-x: auto; }}
  pre {{ padding: .5rem; border: 1px solid #8888; }}
  code {{ overflow-wrap: anywhere; }}
  pre code, td code {{ overflow-wrap: normal; }}
  table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
  th, td {{ padding: .25rem .6rem; border: 1px solid #8888; text-align: left; }}
</style>
</head>
<body>
<nav><a href="index.html">Where everything is</a> · <a href="report.html">The report page</a></nav>
<main>
{content}</main>
</body>
</html>
""")


def build(folder: Path, source: str) -> None:
    """Write the website into `folder`; below the URL `source` are the repository's files."""
    folder.mkdir(parents=True, exist_ok=True)
    for page in sorted(DOCS.glob("*.md")):
        html = render(page.read_text(encoding="utf-8"), source)
        (folder / page.name).with_suffix(".html").write_text(html, encoding="utf-8")
    shutil.copy(DOCS / "report.html", folder)
    shutil.copytree(DOCS / "figures", folder / "figures", dirs_exist_ok=True)


def render(text: str, source: str) -> str:
    """A page of Markdown as one of HTML."""
    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(text)
    title = "docs"
    for opening, inside in pairwise(tokens):
        if opening.type == "heading_open":
            opening.attrSet("id", slug(inside.content))
            title = inside.content if opening.tag == "h1" else title
    for token in links(tokens):
        token.attrSet("href", place(str(token.attrGet("href")), source))
    html = markdown.renderer.render(tokens, markdown.options, {})
    # What scrolls must be reached by the keyboard.
    html = re.sub("<(pre|table)>", r'<\1 tabindex="0">', html)
    return PAGE.format(title=escape(title.replace("`", "")), content=Markup(html))


def links(tokens: Iterable[Token]) -> list[Token]:
    """All openings of links."""
    inside = (child for token in tokens for child in token.children or ())
    return [token for token in inside if token.type == "link_open"]


def place(link: str, source: str) -> str:
    """Where a link of docs leads on the website."""
    if ELSEWHERE.match(link):
        return link
    if link.startswith("../"):
        return f"{source.rstrip('/')}/{link.removeprefix('../')}"
    return re.sub(r"\.md(?=#|$)", ".html", link)


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--source", required=True, help="URL below which the repository's files are")
def main(folder: Path, source: str) -> None:
    """Make a website of docs in FOLDER."""
    build(folder, source)


if __name__ == "__main__":
    main()
