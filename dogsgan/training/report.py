"""The report of a training run. It needs no torch, so that a process that only supervises can read one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainReport:
    """How a run ended."""

    run: Path
    images_seen: int
    steps: int
    stopped_by: str
    """`images`, `budget`, `diverged`, `out-of-memory` or the name of a signal, as `SIGTERM`."""
    seconds: float
    rollbacks: int
    failed: tuple[str, ...] = ()
    """A line where what was learned could not be written, and the generator on disk is an older one."""

    @property
    def trained_something(self) -> bool:
        """Whether there was time and memory for a single step, in this call or before it."""
        return self.steps > 0

    def to_json(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {
            "images_seen": self.images_seen,
            "steps": self.steps,
            "stopped_by": self.stopped_by,
            "run": str(self.run),
            "seconds": round(self.seconds, 1),
            "rollbacks": self.rollbacks,
            "untrained": not self.trained_something,
        }

    def summary(self) -> str:
        """Say it in one line."""
        trained = "trained" if self.trained_something else "NOTHING WAS TRAINED:"
        return (
            f"{trained} {self.images_seen:,} images in {self.steps:,} steps, {self.seconds:.0f} s; "
            f"stopped by {self.stopped_by}; run: {self.run}"
        )
