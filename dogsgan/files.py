"""The one place that writes files: each appears under its name only when it is complete."""

import contextlib
import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dogsgan.errors import DogsganError


@contextlib.contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a path beside `target` to write a file or a folder to; rename it to `target` on success.

    On any exception, a keyboard interrupt included, the partial file or folder is removed and `target` is as
    it was.
    A folder replaces an existing folder of that name.

    Raises:
        DogsganError: the disk is full, or the folder cannot be written to.
    """
    target = Path(target)
    partial = target.with_name(f".{target.name}.{secrets.token_hex(4)}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        if partial.is_dir():
            _replace_folder(partial, target)
        else:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.replace(target)
    except OSError as error:
        _remove(partial)
        raise _explained(error, target) from error
    except BaseException:
        _remove(partial)
        raise


def _replace_folder(partial: Path, target: Path) -> None:
    if target.is_dir():
        old = target.with_name(f".{target.name}.{secrets.token_hex(4)}.old")
        target.rename(old)
        try:
            partial.rename(target)
        except BaseException:
            old.rename(target)
            raise
        _remove(old)
    else:
        partial.rename(target)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _explained(error: OSError, target: Path) -> Exception:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DogsganError(
            f"the disk is full while writing {target}: free some space, then run the command again"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DogsganError(f"cannot write {target}: permission denied; choose a folder you may write to")
    if error.errno in (errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
        return DogsganError(
            f"cannot write {target}: a file or folder of another kind is in the way; remove it"
        )
    return error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one step."""
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def write_text(path: Path, content: str) -> None:
    """Write `content` to `path` as UTF-8 in one step."""
    write_bytes(path, content.encode())


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON in one step. NaN and infinities are refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        DogsganError: the file is missing or is not JSON.
    """
    try:
        return json.loads(Path(path).read_bytes())
    except FileNotFoundError as error:
        raise DogsganError(f"no such file: {path}") from error
    except (OSError, ValueError, RecursionError) as error:  # ValueError: no UTF-8, no JSON, endless digits
        raise DogsganError(
            f"{path} is not a readable JSON file ({error}): restore it or remove it"
        ) from error


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file's contents in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
