"""The tests' own eyes: what they look for on a page is seen when it is there."""

import shutil
from pathlib import Path

import pytest

import browser
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


# An apt-get that keeps how it was called, and fails so many times while it is asked to install.
APT_GET = """#!/bin/sh
echo "$@" >> "$CALLS"
case "$*" in *install*) ;; *) exit 0 ;; esac
if [ "$(grep -c install "$CALLS")" -le "$FAILURES" ]; then
    echo "Reading package lists..."
    echo "E: Could not get lock /var/lib/dpkg/lock-frontend." >&2
    exit 100
fi
printf '#!/bin/sh\\n' > "$(dirname "$0")/chromium"
chmod +x "$(dirname "$0")/chromium"
"""


@pytest.fixture
def apt_get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without a browser, of root, with an apt-get made by hand; the file of its calls."""
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "apt-get").write_text(APT_GET)
    (commands / "apt-get").chmod(0o755)
    for name in ("sh", "grep", "dirname", "chmod"):
        (commands / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(commands))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr(browser, "STATE", tmp_path / "state")
    return tmp_path / "calls"


def test_a_package_manager_that_is_busy_is_waited_for_and_asked_again(
    apt_get: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURES", "1")
    assert browser.find_chromium() == str(apt_get.parent / "bin" / "chromium")
    calls = apt_get.read_text().splitlines()
    assert len(calls) == 4
    assert all("-o DPkg::Lock::Timeout=300" in call for call in calls)


def test_what_can_not_be_installed_is_told_in_the_package_managers_own_words(
    apt_get: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILURES", "9")
    with pytest.raises(AssertionError) as error:
        browser.find_chromium()
    assert "install Debian's package chromium, or Google Chrome" in str(error.value)
    assert "E: Could not get lock /var/lib/dpkg/lock-frontend." in str(error.value)
    assert len(apt_get.read_text().splitlines()) == 4
