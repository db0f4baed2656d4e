"""Errors of the user, each with how to fix it: the command line shows one as one line and exits with 2."""

import errno
from pathlib import Path


class DogsganError(Exception):
    """A user error: what is wrong, where, and what to do, in one line.

    A missing file, a recipe that cannot work, a full disk and the like are raised as
    this; any other exception is a bug of the package. Names of files go into the text as they are: what would
    break the line or steer a terminal is shown escaped, and a text that quotes too much loses its middle.
    """

    LONGEST = 1200

    def __str__(self) -> str:
        line = printable(" ".join(super().__str__().split()))
        half = self.LONGEST // 2
        return line if len(line) <= self.LONGEST else f"{line[:half]} … {line[-half:]}"


class ProcessLost(DogsganError):
    """Another of the processes that train together has ended or hangs. The last checkpoint is on disk."""


class SourceChangedError(DogsganError):
    """A picture changed between two readings: what was made of the first does not fit the second."""


def printable(text: str) -> str:
    """Return `text` with control characters, surrogates and the like escaped, as in `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, at most 200 characters; the name of its type without one."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)
_IN_THE_WAY = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR)
_TRY_AGAIN = "check the disk, then run the command again"
_REMEDIES = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ELOOP: "its symbolic links go in a circle; remove them",
    errno.EMFILE: "raise the limit with `ulimit -n`",
    errno.ENFILE: "close other programs",
    errno.EBUSY: "it is a mount point or in use; choose a folder inside it",
    errno.EXDEV: "it is on another disk than the folder that holds it; choose a folder inside it",
}


class CannotWriteError(DogsganError):
    """The file system refuses to write a file."""


def cannot_write(error: OSError, target: Path) -> CannotWriteError:
    """Return what a file system's refusal to write `target` means, and what to do."""
    if error.errno in _FULL:
        return CannotWriteError(
            f"the disk is full while writing {target}: free some space, then run the command again"
        )
    if error.errno in _FORBIDDEN:
        return CannotWriteError(f"cannot write {target}: permission denied; choose a folder you may write to")
    if error.errno in _IN_THE_WAY:
        return CannotWriteError(
            f"cannot write {target}: a file or folder of another kind is in the way; remove it"
        )
    if error.errno is None:  # NumPy's, after a write that the disk took only a part of
        return CannotWriteError(
            f"cannot write {target} ({error}): the disk is probably full; free some space, then run the "
            "command again"
        )
    return CannotWriteError(
        f"cannot write {target} ({_reason(error)}): {_REMEDIES.get(error.errno, _TRY_AGAIN)}"
    )


def refused_by_system(error: OSError) -> str:
    """Return the line for a file system's error of which only the error itself is known."""
    names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    remedy = _REMEDIES.get(error.errno or 0, "")
    if error.errno in _FULL or error.errno is None:
        remedy = "free some space, then run the command again"
    elif error.errno in _FORBIDDEN:
        remedy = "check its permissions, or choose another place"
    elif error.errno in (*_IN_THE_WAY, errno.ENOENT):
        remedy = "check the path"
    return f"cannot use {names or 'a file'} ({_reason(error)}): {remedy or _TRY_AGAIN}"


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
