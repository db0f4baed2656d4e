"""What every test may use."""

import os
import signal
from pathlib import Path

import pytest

# One thread a process: tests are small, and threads that wait for each other on a busy machine cost more.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SHARED = Path(os.environ.get("DOGSGAN_SHARED", Path(__file__).resolve().parents[2] / "shared"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real dogs, scored submissions and weights; tests that need it skip without it."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder


def pytest_configure() -> None:
    """Begin with the default handlers, for this process and those it starts.

    A shell's background, nohup and some schedulers have signals ignored, which the package respects and tests
    of signals do not expect.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
