"""Identity of the engine: what makes a run besides its specification."""

from lr_ceiling.identity import digest_of, processor, versions

# Raised by hand when the engine's arithmetic changes; tests/mnist/test_golden.py tells when.
ENGINE_VERSION = 2
# What does the arithmetic.
LIBRARIES = ("keras", "numpy", "tensorflow")


def engine_digest() -> str:
    """Identity of engine and libraries: runs of another engine are others."""
    return digest_of(ENGINE_VERSION, versions(LIBRARIES))


def run_digest() -> str:
    """The same with the kind of processor: equal specs have equal runs under it, to the byte."""
    return digest_of(ENGINE_VERSION, versions(LIBRARIES), processor())
