"""Identities follow from what is named, on any machine."""

import json
from importlib.metadata import version

from hypothesis import given
from hypothesis import strategies as st

from lr_ceiling.identity import VECTORS, derived_seed, digest_of, processor, versions


def test_a_seed_is_the_same_on_any_machine() -> None:
    assert derived_seed("key", "run", 3) == 1_200_326_096


@given(st.lists(st.integers() | st.text() | st.floats(allow_nan=False), max_size=4))
def test_identity_follows_from_the_parts(parts: list[object]) -> None:
    assert digest_of(*parts) == digest_of(*json.loads(json.dumps(parts)))
    assert digest_of(*parts) != digest_of(*parts, 0)
    assert 0 <= derived_seed(*parts) < 2**32


def test_versions_are_the_installed_ones() -> None:
    assert versions(["numpy", "click"]) == {name: version(name) for name in ("numpy", "click")}


def test_a_processor_is_named_by_its_kind_alone() -> None:
    machine, *vectors = processor().split()
    assert machine
    assert len(vectors) <= 1
    assert set(vectors) <= set(VECTORS)
