"""Identity of the engine: everything besides its specification that affects a run."""

from lr_ceiling.identity import digest_of, processor, versions

# Increased by hand when the engine's arithmetic changes, which tests/mnist/test_golden.py detects.
ENGINE_VERSION = 2
# The libraries of the arithmetic.
LIBRARIES = ("keras", "numpy", "tensorflow")


def engine_digest() -> str:
    """Identity of engine and libraries. Runs of different engines are different runs."""
    return digest_of(ENGINE_VERSION, versions(LIBRARIES))


def run_digest() -> str:
    """Identity of engine, libraries and kind of processor: equal specs give equal bytes."""
    return digest_of(ENGINE_VERSION, versions(LIBRARIES), processor())
