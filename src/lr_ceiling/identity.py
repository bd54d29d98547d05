"""Identities: digests and seeds that follow from what is named, on any machine."""

import hashlib
import json
import platform
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

# Vector instructions by which libraries choose their float32 kernels, the widest first.
VECTORS = ("avx512f", "avx2", "avx", "sse4_1")


def digest_of(*parts: object) -> str:
    """Identity of `parts`: 16 hex digits of the SHA-256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derived_seed(*parts: object) -> int:
    """A seed in [0, 2**32) that follows from `parts` alone, on any machine."""
    return int(digest_of(*parts)[:8], 16)


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed version of each library."""
    return {library: version(library) for library in libraries}


@lru_cache
def processor() -> str:
    """The kind of this machine's processor, such as `x86_64 avx512f`.

    Processors of one kind give the same bytes; on another kind the last digits differ.
    """
    kind = platform.machine()
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return kind
    vectors = next((name for name in VECTORS if name in flags), None)
    return f"{kind} {vectors}" if vectors else kind
