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


X86 = "processor : 0\nvendor_id : AuthenticAMD\ncpu family : 25\nmodel : 17\nstepping : 1\n"
ARM = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n"


@pytest.mark.parametrize(
    ("cpuinfo", "kind"),
    [
        (f"{X86}flags : fpu sse4_1 avx avx2 avx512f\n", " AuthenticAMD 25-17 avx512f"),
        (f"{X86}flags : fpu sse4_1 avx avx2\n\n{X86}flags : avx512f", " AuthenticAMD 25-17 avx2"),
        (ARM, " 0x41-0xd0c asimd"),
        ("nothing known\n", ""),
        (None, ""),
    ],
    ids=["widest vectors", "the first processor", "ARM", "another form", "no such file"],
)
def test_a_kind_of_processor_is_its_maker_model_and_widest_vectors(
    cpuinfo: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_text(path: Path, **options: str) -> str:
        assert path.as_posix() == "/proc/cpuinfo"
        if cpuinfo is None:
            raise FileNotFoundError
        return cpuinfo

    monkeypatch.setattr(Path, "read_text", read_text)
    processor.cache_clear()
    try:
        assert processor() == f"{platform.machine()}{kind}"
    finally:
        processor.cache_clear()
