"""The calls of the official client that a command would make, for `--dry-run`."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

LONGEST_SHOWN = 200
"""A longer text is shown by its length and hash; `to_json` holds it whole."""


@dataclass(frozen=True)
class Plan:
    """Calls in the order in which they would be made, each with what it sends; what the answers decide."""

    calls: tuple[tuple[str, dict[str, Any]], ...]
    then: str

    def to_json(self) -> dict[str, Any]:
        """Return the calls, whole, as JSON values."""
        requests = [{"call": name, "body": body} for name, body in self.calls]
        return {"dry_run": True, "requests": requests, "then": self.then}

    def summary(self) -> str:
        """Return the calls for people, long texts shortened."""
        lines = ["nothing was sent; after the login, this would be:"]
        for name, body in self.calls:
            lines += [f"  {name}", *(f"    {key}: {_shown(value)}" for key, value in body.items())]
        return "\n".join([*lines, f"  then: {self.then}"])


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        content = value.encode()
        return f"<{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}>"
    return json.dumps(value, ensure_ascii=False)
