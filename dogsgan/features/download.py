"""Download of a file over HTTP, which gets its name only once its hash is right."""

import http.client
import socket
import time
import urllib.error
from pathlib import Path

from dogsgan.errors import DogsganError
from dogsgan.files import sha256_of

_TIMEOUT_S = 30.0
_TRY_AGAIN = (429, 500, 502, 503, 504)


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

    Nothing is fetched if `target` is there with that hash. A file with another hash is fetched again, as it
    may be cut short, until the same one has come twice.

    Raises:
        DogsganError: the server refuses, the connection keeps failing, the hash is wrong, or the disk is
        full.
    """
    import torch

    if not url.startswith(("https://", "http://")):
        raise DogsganError(f"cannot fetch {url}: the address should start with https://")
    if target.is_file() and sha256_of(target).startswith(sha256):
        return target
    wrong = ""
    timeout = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_TIMEOUT_S)  # torch's function takes none
    try:
        for attempt in range(attempts):
            time.sleep(pause_s * 2 ** (attempt - 1) if attempt else 0)
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(target), hash_prefix=sha256, progress=show_progress)
                return target
            except RuntimeError as error:  # the hash
                if str(error) == wrong:
                    raise DogsganError(
                        f"{url} sent a file that is cut short or another one ({error}): not kept; try again "
                        "later, or fetch it elsewhere and give it with --weights"
                    ) from error
                wrong = str(error)
            except OSError as error:
                _refuse_unless_passing(error, url, target)
            except http.client.HTTPException:
                pass
    finally:
        socket.setdefaulttimeout(timeout)
    raise DogsganError(f"the connection to {url} keeps failing: run the command again")


def _refuse_unless_passing(error: OSError, url: str, target: Path) -> None:
    """Raise the line for an error that another attempt would meet again."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(error, urllib.error.HTTPError):
        if error.code not in _TRY_AGAIN:
            raise DogsganError(f"{url} answers {error.code} {error.reason}: check the address") from error
    elif isinstance(reason, (TimeoutError, ConnectionError)):
        pass
    elif isinstance(error, urllib.error.URLError):
        raise DogsganError(f"cannot reach {url} ({reason}): check the address and the network") from error
    else:
        raise DogsganError(
            f"cannot write {target} ({error.strerror or error}): free space, or set DOGSGAN_CACHE to a "
            "folder with room"
        ) from error
