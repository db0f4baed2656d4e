"""The one exception that means "you can fix this": the command line shows it as one line and exits with 2."""


class DogsganError(Exception):
    """Say what is wrong, where, and what to do, in one line.

    Everything that a person can mend (a missing file, a recipe that makes no sense, a full disk) is raised as this;
    any other exception is a bug of the package.
    """

    def __str__(self) -> str:
        return " ".join(super().__str__().split())
