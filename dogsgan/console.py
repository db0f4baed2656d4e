"""The standard streams: results on stdout, everything else on stderr, and neither can end the work.

A pipe's reader may go away, a terminal may close, a disk may fill up, and a stream may be closed from the
start. What is said on stderr is then lost. A result that could not be written is an error in the end, unless
nobody is left to read it.
"""

import contextlib
import errno
import io
import os
import stat
import sys
from pathlib import Path
from typing import Any

_GONE = {errno.EPIPE, errno.EINVAL} if os.name == "nt" else {errno.EPIPE}  # Windows: EINVAL for a closed pipe


TERMINAL = "DOGSGAN_TERMINAL"
"""Environment variable of a child process whose stderr is shown on a terminal through its parent."""


class Stream:
    """Stands for `sys.stdout` or `sys.stderr` as it is at the moment of a call; no call fails."""

    def __init__(self, name: str) -> None:
        self._name = name

    @property
    def _stream(self) -> Any:
        return getattr(sys, self._name)

    @property
    def encoding(self) -> str:
        """The encoding of the stream; `tqdm` asks for it."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write `text` if that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            try:
                self._stream.write(text)
            except RuntimeError:  # a signal's handler writes while the stream is writing
                os.write(self._stream.fileno(), text.encode(errors="replace"))
        return len(text)

    def flush(self) -> None:
        """Flush if that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError, RuntimeError):
            self._stream.flush()

    def isatty(self) -> bool:
        """Return whether a terminal is there."""
        if self._name == "stderr" and os.environ.get(TERMINAL) == "1":
            return True
        try:
            return bool(self._stream.isatty())
        except (OSError, ValueError, AttributeError):
            return False

    def fileno(self) -> int:
        """Return the stream's file descriptor.

        Raises:
            OSError: it has none.
        """
        try:
            return int(self._stream.fileno())
        except (ValueError, AttributeError) as error:
            raise io.UnsupportedOperation(f"sys.{self._name} has no file descriptor") from error


STDOUT, STDERR = Stream("stdout"), Stream("stderr")

_unwritten: list[OSError] = []  # why a result could not be written


def open_streams() -> None:
    """Make all three standard streams usable, before anything else is opened.

    A descriptor that is closed would be given to the next file that is opened, which then receives what
    libraries print. A character that the stream's encoding lacks is escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            _open_null(number)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (open to the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    _unwritten.clear()


def print_result(text: str) -> None:
    """Print a result on stdout, at once. One that cannot be written is remembered for `close_streams`."""
    try:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except OSError as error:
        _give_up_stdout(error)


def close_streams(status: int) -> int:
    """Flush both output streams, and return the exit status: 2, with an error line, if a result is lost.

    A reader that left, as `head` does, had what it wanted: that changes nothing.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        _give_up_stdout(error)
    if _unwritten:
        STDERR.write(
            f"error: the result could not be written to stdout: {_unwritten[0].strerror or _unwritten[0]}; "
            "files that the command wrote are complete: free space there, or send stdout to another place\n"
        )
        status = 2
    try:
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)
    return status


def _give_up_stdout(error: OSError) -> None:
    if not _is_gone(error):
        _unwritten.append(error)
    _discard(sys.stdout)


def _is_gone(error: OSError) -> bool:
    """Return whether nobody can read stdout any more: a pipe that was closed, or a terminal."""
    if error.errno != errno.EIO:
        return error.errno in _GONE
    try:
        return stat.S_ISCHR(os.fstat(sys.stdout.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _discard(stream: Any) -> None:
    """Lead a stream to the null device, so that what it still holds can be flushed when Python ends."""
    with contextlib.suppress(OSError, ValueError):
        _open_null(stream.fileno())
        stream.flush()


def _open_null(number: int) -> None:
    """Open the null device as the file descriptor `number`."""
    opened = os.open(os.devnull, os.O_RDWR)
    if opened == number:
        os.set_inheritable(number, True)
    else:
        os.dup2(opened, number)
        os.close(opened)
