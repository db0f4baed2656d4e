"""What Kaggle answers, as values of this package."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

STATUSES = {
    "NEW_SCRIPT": "queued",
    "QUEUED": "queued",
    "RUNNING": "running",
    "COMPLETE": "complete",
    "ERROR": "failed",
    "CANCEL_REQUESTED": "cancelling",
    "CANCEL_ACKNOWLEDGED": "cancelled",
}
"""Kaggle's names for the state of a run, and ours."""


class Quota(NamedTuple):
    """The week's GPU time of an account."""

    used_h: float
    allowed_h: float
    renewed: str
    """When the next week begins; empty where Kaggle does not say."""

    @property
    def left_h(self) -> float:
        """Hours that may still be used."""
        return max(0.0, self.allowed_h - self.used_h)


class OutputFile(NamedTuple):
    """A file of a run's output and the address, valid for a while, to fetch it from."""

    name: str
    url: str


@dataclass(frozen=True)
class SavedKernel:
    """What Kaggle answers to a push."""

    ref: str
    url: str
    version: int | None
    error: str
    left_out: dict[str, tuple[str, ...]]
    """Kind of source or tag: those that Kaggle did not attach."""


@dataclass(frozen=True)
class Submission:
    """A submission as the competition lists it. Scores are empty until there are any."""

    ref: int
    status: str
    """pending, complete or error."""
    public_score: str
    private_score: str
    error: str
    message: str = ""
    """What it was submitted with."""
    date: datetime | None = None
    """When it was submitted; None where Kaggle does not say."""
