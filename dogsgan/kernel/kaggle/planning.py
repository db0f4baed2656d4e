"""The calls of the official client that a command would make, for `--dry-run`."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.kernel.kaggle.metadata import METADATA_FILE, resolve
from dogsgan.kernel.kaggle.pushing import checked_metadata

STATE = ("get_kernel", "kernels_status", "kernels_logs")
LONGEST_SHOWN = 200  # a longer text is shown by its length and hash; `to_json` holds it whole


@dataclass(frozen=True)
class Plan:
    """Calls in the order in which they would be made, each with what it sends; what the answers decide."""

    calls: list[tuple[str, dict[str, Any]]]
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


def plan_push(folder: Path) -> Plan:
    """Return what `push` would send.

    Raises:
        DogsganError: the folder cannot be pushed.
    """
    metadata = checked_metadata(folder)
    if not metadata.code_file.is_file():
        raise DogsganError(f"{folder} holds no code file {metadata.code_file.name!r}: build it anew")
    text = metadata.code_file.read_text(encoding="utf-8")
    sent = {**read_json(Path(folder) / METADATA_FILE), "text": text}
    quota: list[tuple[str, dict[str, Any]]] = [("quota_view", {})] if metadata.gpu else []
    return Plan([*quota, ("kernels_push", sent)], f"Kaggle runs it; follow it at {metadata.ref.url}")


def plan_status(kernel: str | Path) -> Plan:
    """Return what `status` would send."""
    return Plan(_calls(kernel, *STATE), "with --follow, asked again until the run has ended")


def plan_output(kernel: str | Path) -> Plan:
    """Return what `fetch_output` would send."""
    calls = _calls(kernel, *STATE, "list_kernel_session_output", "download_file")
    return Plan(calls, "the zip is checked")


def plan_submit(
    kernel: str | Path, *, message: str, version: int | None, file: str, competition: str | None
) -> Plan:
    """Return what `submit` would send. A version that is not named is asked for first, so none is shown."""
    ref, of_folder = resolve(kernel)
    target = competition or of_folder
    then = "the list of submissions is asked for until it shows a score"
    if version is None:
        then = f"kernelVersion, the newest, is taken from the answer to the first call; {then}"
    sent = {"file_name": file, "message": message, "competition": target, "kernel": str(ref)}
    calls = _calls(kernel, *STATE, "list_kernel_session_output")
    calls += [("competition_submit_code", {**sent, "kernel_version": version})]
    return Plan([*calls, ("competition_submissions", {"competition": target})], then)


def _calls(kernel: str | Path, *names: str) -> list[tuple[str, dict[str, Any]]]:
    return [(name, {"kernel": str(resolve(kernel)[0])}) for name in names]


def _shown(value: Any) -> str:
    if isinstance(value, str) and len(value) > LONGEST_SHOWN:
        content = value.encode()
        return f"<{len(content):,} bytes, sha256 {hashlib.sha256(content).hexdigest()}>"
    return json.dumps(value, ensure_ascii=False)
