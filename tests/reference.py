"""Writes docs/reference.md, the public names from their docstrings: `python tests/reference.py`."""

import re
from pathlib import Path

import griffe
from griffe2md import ConfigDict, render_object_docs

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference.md"
# In the order in which people need them.
NAMES = (
    "find.find_ceiling",
    "search.ceiling.Ceiling",
    "search.estimates.Estimate",
    "problems.keras.KerasProblem",
    "problems.stability_monitor.StabilityMonitor",
    "problems.outcome.Outcome",
    "problems.problem.Problem",
    "execution.cluster.DaskCluster",
    "search.sampler.CeilingSampler",
    "search.ceiling.ceiling_of",
    "search.ceiling.plot_ceiling",
)
HEAD = """# Reference

The public names of `lr_ceiling`, from their docstrings. [own-model.md](own-model.md) explains how
to choose the arguments. `python tests/reference.py` writes this page.

"""
CONFIG = ConfigDict(
    heading_level=2,
    show_root_full_path=False,
    show_root_members_full_path=False,
    show_object_full_path=False,
    show_signature_annotations=False,
    separate_signature=True,
    signature_crossrefs=False,
    line_length=90,
    filters=["!^_"],
    summary=False,
    show_if_no_docstring=False,
    docstring_style="google",
)


def page() -> str:
    """The page."""
    package = griffe.load(
        "lr_ceiling", search_paths=[ROOT / "src"], allow_inspection=False,
        docstring_parser="google",
    )  # fmt: skip
    parts = [render_object_docs(package[name], CONFIG) for name in NAMES]
    text = HEAD + "\n".join(part.strip() + "\n" for part in parts)
    # Links of types, to places that are on other pages or on none.
    return re.sub(r"\[([^\[\]]+)\]\(#[^)]*\)", r"\1", text)


if __name__ == "__main__":
    PAGE.write_text(page())
