"""Identities: digests and derived seeds that are the same on any machine."""

import contextlib
import hashlib
import json
import platform
from collections.abc import Iterable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

# Vector instructions by which libraries choose their float32 kernels, the widest first.
VECTORS = ("avx512f", "avx2", "avx", "sse4_1", "sve", "asimd")
# The fields of a processor's model in /proc/cpuinfo, on x86 and on ARM.
MODEL = ("cpu family", "model", "CPU implementer", "CPU part")


def digest_of(*parts: object) -> str:
    """Identity of `parts`: 16 hex digits of the SHA-256 of their canonical JSON."""
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def derived_seed(*parts: object) -> int:
    """A seed in [0, 2**32) that depends on `parts` alone, on any machine."""
    return int(digest_of(*parts)[:8], 16)


def versions(libraries: Iterable[str]) -> dict[str, str]:
    """The installed version of each library."""
    return {library: version(library) for library in libraries}


@lru_cache
def processor() -> str:
    """The kind of this machine's processor, such as `x86_64 GenuineIntel 6-167 avx512f`.

    Processors of one kind give the same bytes; another kind may give other last digits. Equal
    vector instructions are not enough: two kinds that share them trained every baseline to the
    same bytes, but no network with batch norm, because libraries split its sums by cache size.
    """
    kind = [platform.machine()]
    with contextlib.suppress(OSError):
        kind += _described(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return " ".join(kind)


def _described(cpuinfo: str) -> list[str]:
    """Maker, family and model, and widest vectors of the first processor in /proc/cpuinfo."""
    first = cpuinfo.strip().partition("\n\n")[0]
    fields = {
        name.strip(): value.strip()
        for name, _, value in (line.partition(":") for line in first.splitlines())
    }
    model = "-".join(fields[name] for name in MODEL if name in fields)
    flags = fields.get("flags", fields.get("Features", "")).split()
    vectors = next((name for name in VECTORS if name in flags), "")
    return [part for part in (fields.get("vendor_id", ""), model, vectors) if part]
