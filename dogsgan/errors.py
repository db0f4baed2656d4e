"""The one exception that means "you can fix this": the command line shows it as one line and exits with 2."""


class DogsganError(Exception):
    """Say what is wrong, where, and what to do, in one line.

    Everything that a person can mend (a missing file, a recipe that makes no sense, a full disk) is raised as
    this; any other exception is a bug of the package. Names of files go into the text as they are: what would
    break the line or steer a terminal is shown escaped, and a text that quotes too much loses its middle.
    """

    LONGEST = 1200

    def __str__(self) -> str:
        line = printable(" ".join(super().__str__().split()))
        half = self.LONGEST // 2
        return line if len(line) <= self.LONGEST else f"{line[:half]} … {line[-half:]}"


def printable(text: str) -> str:
    """Return `text` with control characters, surrogates and the like escaped, as in `\\x1b`."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
