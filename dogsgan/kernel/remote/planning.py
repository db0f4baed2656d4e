"""What a command would send to Kaggle, made by the official client itself and sent nowhere (`--dry-run`)."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dogsgan.kernel.remote.client import Kaggle
from dogsgan.kernel.remote.official import require_client

LONGEST_SHOWN = 200
"""A longer text is shown by its length and hash; `to_json` holds it whole."""


@dataclass(frozen=True)
class Plan:
    """Requests in the order in which they would go out, and what the answers would decide."""

    requests: tuple[Any, ...]
    then: str

    def to_json(self) -> dict[str, Any]:
        """Return the requests, whole, as JSON values."""
        return {
            "dry_run": True,
            "requests": [request.to_json() for request in self.requests],
            "then": self.then,
        }

    def summary(self) -> str:
        """Return the requests for people, long texts shortened."""
        lines = ["nothing was sent; after the login, this would be:"]
        for request in self.requests:
            lines.append(f"  {request.method} {request.url}")
            lines += [f"    {name}: {_shown(value)}" for name, value in request.body.items()]
        return "\n".join([*lines, f"  then: {self.then}"])


def plan(*calls: Callable[[Kaggle], object], then: str) -> Plan:
    """Note the requests that `calls` would make; no credentials are needed and nothing is sent."""
    require_client()
    from dogsgan.kernel.remote.transport import NotingAdapter, NotSentError

    kaggle = Kaggle(NotingAdapter())
    noted = []
    for call in calls:
        try:
            call(kaggle)
        except NotSentError as error:
            noted.append(error.request)
    return Plan(tuple(noted), then)


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        content = value.encode()
        return f"<{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}>"
    return json.dumps(value, ensure_ascii=False)
