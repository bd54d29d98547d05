"""The engine's identity follows from its version, its libraries and, for runs, the processor."""

from collections.abc import Iterable

import pytest

from lr_ceiling.mnist import version
from lr_ceiling.mnist.version import engine_digest, run_digest


def test_the_identity_is_the_same_each_time() -> None:
    assert engine_digest() == engine_digest()
    assert run_digest() == run_digest()
    assert run_digest() != engine_digest()


def test_a_raised_version_is_another_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    before = engine_digest(), run_digest()
    monkeypatch.setattr(version, "ENGINE_VERSION", version.ENGINE_VERSION + 1)
    assert engine_digest() != before[0]
    assert run_digest() != before[1]


@pytest.mark.parametrize("library", version.LIBRARIES)
def test_another_version_of_what_does_the_arithmetic_is_another_engine(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = engine_digest()

    def versions(libraries: Iterable[str]) -> dict[str, str]:
        return {name: "9" if name == library else "1" for name in libraries}

    monkeypatch.setattr(version, "versions", versions)
    assert engine_digest() != before


def test_another_kind_of_processor_makes_other_runs_of_the_same_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = engine_digest(), run_digest()
    monkeypatch.setattr(version, "processor", lambda: "abacus")
    assert engine_digest() == before[0]
    assert run_digest() != before[1]
