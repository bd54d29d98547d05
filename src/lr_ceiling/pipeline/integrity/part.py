"""What was looked through, and what is wrong with it."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Fault:
    """A thing that is damaged or missing, and in words what makes it again."""

    what: str
    mending: str

    def __str__(self) -> str:
        return f"{self.what}: {self.mending}"


@dataclass
class Part:
    """Things of one kind: how many were looked at, the faults, and what is worth knowing."""

    name: str
    seen: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def blame(self, what: str, mending: str) -> None:
        """Add a fault."""
        self.faults.append(Fault(what, mending))


def digest(path: Path, kind: str) -> str:
    """A file's MD5 or SHA-256, in hex, for files of any size. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
