"""The outcome of a check: the number of checked things, and their faults."""

from dataclasses import dataclass, field

from lr_ceiling.errors import LrCeilingError


@dataclass(frozen=True)
class Fault:
    """A damaged or missing thing, and the command that restores it."""

    what: str
    mending: str

    def __str__(self) -> str:
        return f"{self.what}: {self.mending}"


@dataclass
class Part:
    """Things of one kind: the number of checked ones, the faults, and notes."""

    name: str
    seen: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def blame(self, what: str, mending: str) -> None:
        """Add a fault."""
        self.faults.append(Fault(what, mending))

    def blame_for(self, error: LrCeilingError, mending: str) -> None:
        """Add the fault that an error tells, with `mending` if the error names no remedy."""
        # A message gives its remedy last.
        what, colon, remedy = str(error).rpartition(": ")
        self.blame(*((what, remedy) if colon else (str(error), mending)))
