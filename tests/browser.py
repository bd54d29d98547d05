"""A real browser for tests of pages: Chromium without a window, and what it finds on a page."""

import hashlib
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import filelock
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from waiting import WAIT_SECONDS

# Debian's, GitHub's images', and what Google's own package is called.
NAMES = ("chromium", "google-chrome", "google-chrome-stable", "chromium-browser")
# Without these it looks up hosts of its maker at each start.
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NEEDED = "install Debian's package chromium, or Google Chrome"
# Another process may hold the lock, such as a fresh machine's own upgrade.
PATIENT = ("-o", "DPkg::Lock::Timeout=300")
# Of what apt-get says, the end tells why it failed.
LAST_LINES = 5
AXE = "axe-core@4.14.1"
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
STATE = Path(__file__).parents[1] / "state" / "tests"


def find_chromium() -> str:
    """The path of a Chromium; Debian's is installed where there is none and this is root."""
    STATE.mkdir(parents=True, exist_ok=True)
    said = ""
    # Two test processes may ask at once.
    with filelock.FileLock(STATE / "chromium.lock"):
        if not any(map(shutil.which, NAMES)) and os.geteuid() == 0 and shutil.which("apt-get"):
            said = install("chromium")
    found = next(filter(None, map(shutil.which, NAMES)), None)
    assert found, f"these tests need a browser: {NEEDED}{said}"
    return found


def install(package: str) -> str:
    """Install a package of Debian's, in two attempts; why it failed, in apt-get's last words."""
    for _ in range(2):
        for command in (["update"], ["install", "--yes", "--no-install-recommends", package]):
            done = subprocess.run(
                ["apt-get", "--quiet", *PATIENT, *command],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
        # An update that fails may leave lists from which the package can be installed all the same.
        if done.returncode == 0:
            return ""
    words = " ".join(done.stdout.splitlines()[-LAST_LINES:])
    return f"; `apt-get install {package}` said: {words or 'nothing'}"


@contextmanager
def started_chromium() -> Iterator[Browser]:
    """A running Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=OPTIONS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page, what it wrote to the console as errors, and what it asked of other hosts."""

    page: Page
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def hear(self, message: ConsoleMessage) -> None:
        """Keep an error of the console."""
        if message.type == "error":
            self.errors.append(message.text)

    def see(self, request: Request) -> None:
        """Keep a request that leaves this machine."""
        url = urlsplit(request.url)
        if url.scheme in ("http", "https", "ws", "wss") and url.hostname != "127.0.0.1":
            self.foreign.append(request.url)

    def scrolls_sideways(self) -> bool:
        """Whether the page is wider than its window."""
        root = "document.documentElement"
        return bool(self.page.evaluate(f"{root}.scrollWidth > {root}.clientWidth"))

    def violations(self) -> list[str]:
        """What axe-core finds that shuts people out: its serious and critical rules, by id."""
        self.page.evaluate(axe())
        found: dict[str, Any] = self.page.evaluate("axe.run()")
        worst = [one for one in found["violations"] if one["impact"] in ("serious", "critical")]
        return [f"{one['id']}: {one['nodes'][0]['html']}" for one in worst]


@contextmanager
def watched_page(browser: Browser, width: int = 1600, height: int = 1000) -> Iterator[Watched]:
    """A page in a browser profile of its own, empty."""
    context = browser.new_context(viewport={"width": width, "height": height})
    context.set_default_timeout(WAIT_SECONDS * 1000)
    expect.set_options(timeout=WAIT_SECONDS * 1000)
    watched = Watched(context.new_page())
    watched.page.on("console", watched.hear)
    watched.page.on("pageerror", lambda error: watched.errors.append(str(error)))
    watched.page.on("request", watched.see)
    yield watched
    context.close()


def axe() -> str:
    """The script of axe-core, from npm, held against its digest."""
    path = STATE / f"{AXE}.min.js"
    STATE.mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(STATE / "axe.lock"):
        if not path.exists() or _sha256(path) != AXE_SHA256:
            name = subprocess.run(
                ["npm", "pack", AXE, "--silent"],
                cwd=STATE,
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            with tarfile.open(STATE / name) as package:
                script = package.extractfile("package/axe.min.js")
                assert script
                path.write_bytes(script.read())
            (STATE / name).unlink()
    assert _sha256(path) == AXE_SHA256, f"{AXE} is not the one that these tests were written with"
    return path.read_text()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
