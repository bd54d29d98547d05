"""The tests' own eyes: what they look for on a page is seen when it is there."""

from browser import Watched

GOOD = """<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>
<p>All is well.</p></main></html>"""
BAD = """<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>
<img src="http://example.invalid/picture.png" style="width: 2000px; height: 9px">
<script>console.error("a fault"); missing();</script></main></html>"""


def test_nothing_is_found_on_a_good_page(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 380, "height": 700})
    watched.page.set_content(GOOD)
    assert not watched.scrolls_sideways()
    assert (watched.violations(), watched.errors, watched.foreign) == ([], [], [])


def test_each_fault_of_a_page_is_found(watched: Watched) -> None:
    watched.page.set_viewport_size({"width": 380, "height": 700})
    watched.page.set_content(BAD)
    assert watched.scrolls_sideways()
    assert [fault.partition(":")[0] for fault in watched.violations()] == ["image-alt"]
    assert "a fault" in watched.errors
    assert any("missing is not defined" in error for error in watched.errors)
    assert watched.foreign == ["http://example.invalid/picture.png"]
