"""`python -m dogsgan`."""

from dogsgan.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
