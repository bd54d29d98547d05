"""A server that follows the registry: the new champion answers what is asked after it came.

What hinders that leaves the old model live, is told once, and is tried again at the next look.
"""

import contextlib
import gc
import re
import sys
import textwrap
import threading
from collections.abc import Iterator

# Before mlflow, which reads the settings made there while it is imported.
from lr_ceiling.tracking import database_of, hide, store_uri  # isort: skip

from lr_ceiling.errors import TrackingError
from lr_ceiling.live import serving
from lr_ceiling.live.registry import Version

# A temporary folder has another name each time; the reason stays the same.
TEMPORARY = re.compile(r"tmp[a-z0-9_]{8}")


class Follower:
    """Puts each new champion of the model `name` into a guard."""

    def __init__(self, guard: serving.Guard, name: str, served: Version) -> None:
        """`served` is the version that the guard has now."""
        self._guard = guard
        self._name = name
        self._served = served
        self._told: str | None = None

    def look(self) -> None:
        """Ask the registry who is live, and swap if it is another version than the served one."""
        try:
            champion = self._new_champion()
        # Whatever it is, foreseen or not: the server goes on answering, and looks again.
        except Exception as error:
            self._tell(error)
            return
        self._told = None
        if champion:
            self._served = champion
            print(f"serving version {champion.number} of {self._name} from now on", flush=True)

    def _new_champion(self) -> Version | None:
        database = database_of(store_uri())
        # To open a store makes its database where there is none.
        if database and not database.is_file():
            raise TrackingError(f"{database} is missing")
        champion = serving.champion_of(self._name, checked=self._served)
        if champion.is_same(self._served):
            return None
        self._guard.swap(serving.load(self._name, champion.number), champion.number)
        # A network refers to itself, so the old one would stay until Python looks for such.
        gc.collect()
        return champion

    def _tell(self, error: Exception) -> None:
        said = textwrap.shorten(hide(str(error)) or type(error).__name__, 500, placeholder=" ...")
        reason = TEMPORARY.sub("", said)
        if reason != self._told:
            stays = f"version {self._served.number} of {self._name} stays live"
            print(f"warning: {stays}: {said}", file=sys.stderr, flush=True)
        self._told = reason


@contextlib.contextmanager
def following(follower: Follower, seconds: float) -> Iterator[None]:
    """Let a thread look every so many seconds; 0 is never."""
    end = threading.Event()

    def look_on() -> None:
        while not end.wait(seconds):
            follower.look()

    if seconds:
        # A daemon: a look that waits for a store doesn't keep the process from ending.
        threading.Thread(target=look_on, name="follower", daemon=True).start()
    try:
        yield
    finally:
        end.set()
