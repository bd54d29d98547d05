"""Identities follow from what is named, and from nothing else."""

import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.identity import derived_seed, digest_of, processor, versions

PARTS = st.lists(st.integers() | st.text(max_size=5) | st.floats(allow_nan=False), max_size=4)


def test_a_digest_is_the_same_on_any_machine() -> None:
    # Results of years are found under such names: another digest would lose them.
    assert digest_of("relu", 0.01, {"seed": 1}) == "269199e012df9223"


@given(PARTS, PARTS)
def test_other_parts_have_another_digest(one: list[object], other: list[object]) -> None:
    assert (digest_of(*one) == digest_of(*other)) == (repr(one) == repr(other))
    assert len(digest_of(*one)) == 16


def test_the_order_of_keys_is_no_part_of_it() -> None:
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    assert digest_of("a", "b") != digest_of("b", "a")


@given(PARTS)
def test_a_seed_follows_from_its_parts_and_has_32_bits(parts: list[object]) -> None:
    assert derived_seed(*parts) == derived_seed(*parts)
    assert 0 <= derived_seed(*parts) < 2**32


def test_versions_are_those_that_are_installed() -> None:
    assert versions(["numpy", "click"]) == {"numpy": version("numpy"), "click": version("click")}
    with pytest.raises(PackageNotFoundError):
        versions(["not-there"])


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ("flags : fpu sse4_1 avx avx2 avx512f avx512_bf16\n", " avx512f"),
        ("flags : fpu sse4_1 avx avx2\n", " avx2"),
        ("flags : fpu sse4_1 avx\n", " avx"),
        ("Features : fp asimd\n", ""),
        (None, ""),
    ],
    ids=["widest", "avx2", "avx", "another architecture", "no such file"],
)
def test_a_kind_of_processor_is_its_widest_vectors(
    flags: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(path: Path, **options: str) -> str:
        assert str(path) == "/proc/cpuinfo"
        if flags is None:
            raise FileNotFoundError
        return flags

    monkeypatch.setattr(Path, "read_text", read_text)
    processor.cache_clear()
    try:
        assert processor() == f"{platform.machine()}{kind}"
    finally:
        processor.cache_clear()
