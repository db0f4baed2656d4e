"""Fetch one file over HTTP: resumable, and under its name only once its hash is right."""

import contextlib
import http.client
import ssl
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from dogsgan.errors import DogsganError
from dogsgan.files import sha256_of
from dogsgan.progress import progress_bar, say

_CHUNK_BYTES = 1 << 20
_TIMEOUT_S = 30.0
_MEGABYTE = 1_000_000
_NETWORK_TROUBLE = (
    urllib.error.URLError,
    http.client.HTTPException,
    TimeoutError,
    ConnectionError,
    ssl.SSLError,
)


def download(
    url: str,
    target: Path,
    *,
    sha256: str,
    show_progress: bool = True,
    attempts: int = 4,
    pause_s: float = 1.0,
) -> Path:
    """Fetch `url` to `target`, whose sha256 must start with `sha256`, and return `target`.

    What has arrived stays in `target` + `.part`, from where the next attempt and the next call go on.
    Nothing is fetched if `target` is there with that hash.

    Raises:
        DogsganError: the server refuses, the connection keeps failing, the hash is wrong, or the disk is
        full.
    """
    if not url.startswith(("https://", "http://")):
        raise DogsganError(f"cannot fetch {url}: the address should start with https://")
    if target.is_file() and sha256_of(target).startswith(sha256):
        return target
    part = target.with_name(target.name + ".part")
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(attempts):
            if attempt:
                time.sleep(pause_s * 2 ** (attempt - 1))
            resumed_from = part.stat().st_size if part.exists() else 0
            if not _fetch(url, part, show_progress=show_progress):
                continue
            if sha256_of(part).startswith(sha256):
                part.replace(target)
                return target
            found = sha256_of(part)
            part.unlink()
            if resumed_from == 0:
                raise DogsganError(
                    f"{url} sent a file with sha256 {found[:16]}…, expected {sha256[:16]}…: not kept; "
                    "try again later, or fetch it elsewhere and give it with --weights"
                )
            say(f"what was resumed has the wrong hash; fetching {target.name} from the start")
    except OSError as error:
        raise DogsganError(
            f"cannot write {part} ({error.strerror or error}): free space, or set DOGSGAN_CACHE to a folder "
            "with room"
        ) from error
    raise DogsganError(
        f"the connection to {url} keeps failing: run the command again to go on where it stopped"
    )


def _fetch(url: str, part: Path, *, show_progress: bool) -> bool:
    """Append to `part` what `url` still has; return whether that is now all of it."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "dogsgan", "Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=_TIMEOUT_S
        ) as response:
            start = _start_of(response, have)
            total = _total_of(response, start)
            with part.open("ab") as file:
                file.truncate(start)
                received = _copy(response, file, start, total, name=part.stem, show_progress=show_progress)
        return total is None or received == total
    except urllib.error.HTTPError as error:
        return _after_refusal(error, url, part, have)
    except _NETWORK_TROUBLE as error:
        if isinstance(error, urllib.error.URLError) and not _passing(error):
            raise DogsganError(
                f"cannot reach {url} ({error.reason}): check the address and the network"
            ) from error
        return False


def _after_refusal(error: urllib.error.HTTPError, url: str, part: Path, have: int) -> bool:
    """Return whether `part` may be complete; raise where trying again would not help."""
    if error.code == 416 and have:  # nothing lies beyond what is there: it is all, or of another file
        return True
    if error.code in (429, 500, 502, 503, 504):
        return False
    raise DogsganError(f"{url} answers {error.code} {error.reason}: check the address") from error


def _passing(error: urllib.error.URLError) -> bool:
    return isinstance(error.reason, (TimeoutError, ConnectionError))


def _start_of(response: http.client.HTTPResponse, have: int) -> int:
    """Return from which byte on the server sends: `have` if it honours the range, else 0."""
    range_header = response.headers.get("Content-Range", "")
    return have if response.status == 206 and range_header.startswith(f"bytes {have}-") else 0


def _total_of(response: http.client.HTTPResponse, start: int) -> int | None:
    length = response.headers.get("Content-Length", "")
    return start + int(length) if length.isdecimal() else None


def _copy(
    response: http.client.HTTPResponse,
    file: BinaryIO,
    start: int,
    total: int | None,
    *,
    name: str,
    show_progress: bool,
) -> int:
    """Copy the answer's body behind byte `start` of `file`; return how long the file is then."""
    received = start
    with contextlib.ExitStack() as stack:
        bar = None
        if show_progress:
            megabytes = None if total is None else -(-total // _MEGABYTE)
            bar = stack.enter_context(
                progress_bar(description=name, total=megabytes, initial=start // _MEGABYTE, unit="MB")
            )
        while chunk := response.read(_CHUNK_BYTES):
            file.write(chunk)
            if bar is not None:
                bar.update((received + len(chunk)) // _MEGABYTE - received // _MEGABYTE)
            received += len(chunk)
    return received
