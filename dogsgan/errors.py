"""The one exception that means "you can fix this": the command line shows it as one line and exits with 2."""


class DogsganError(Exception):
    """Say what is wrong, where, and what to do, in one line.

    Everything that a person can mend (a missing file, a recipe that makes no sense, a full disk) is raised as
    this; any other exception is a bug of the package. Names of files go into the text as they are: what would
    break the line or steer a terminal is shown escaped.
    """

    def __str__(self) -> str:
        return printable(" ".join(super().__str__().split()))


def printable(text: str) -> str:
    """Return `text` with control characters, surrogates and the like escaped, as in `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
