"""What every test may use."""

import functools
import importlib
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


FEW = 64
QUICKER: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("dogsgan.models.sampling", "STATISTICS_IMAGES"): lambda _: FEW,
    ("dogsgan.training.judging", "STATISTICS_IMAGES"): lambda _: FEW,
    ("dogsgan.training.logger", "GRID_STATISTICS_IMAGES"): lambda _: FEW,
    ("dogsgan.training.loop", "plot_losses"): lambda _: lambda run: None,
    ("dogsgan.kernel.build", "pack"): lambda pack: _packed_once(pack),
}
"""What tests of other things would spend most of their time on: thousands of pictures for batch norm's
statistics, a plot of every run, the compression of the whole package into every kernel."""


def _packed_once(pack: Callable[[dict[str, str]], tuple[str, str]]) -> Callable[..., tuple[str, str]]:
    kept = functools.cache(lambda items: pack(dict(items)))
    return lambda sources: kept(tuple(sources.items()))


@pytest.fixture(scope="session", autouse=True)
def quicker() -> Iterator[None]:
    """Replace what is slow, but import torch for it, which takes seconds, only where a test does."""
    with pytest.MonkeyPatch.context() as patch:
        for (path, name), replaced in QUICKER.items():
            if path in sys.modules or "torch" in sys.modules:
                module = importlib.import_module(path)
                patch.setattr(module, name, replaced(getattr(module, name)))
        yield


def pytest_configure() -> None:
    """Begin with the default handlers, for this process and those it starts.

    A shell's background, nohup and some schedulers have signals ignored, which the package respects and tests
    of signals do not expect.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("SIGHUP", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2", "SIGXCPU"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_DFL)


_CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    found = next((path for name in _CHROMIUM if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"no Chromium: looked for {', '.join(_CHROMIUM)}")
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="no playwright: pip install 'dogsgan[test]'"
    )
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=found)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Any]]:
    """Open a page; at the end of the test nothing may have gone wrong in it, or been asked of the network."""
    complaints: list[str] = []
    contexts = []

    def open_page(page_path: Path, *, width: int = 1280, height: int = 900, **options: Any) -> Any:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        address = page_path.resolve().as_uri()
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))

        def note_request(request: Any) -> None:
            if not request.url.startswith(("data:", address)):
                complaints.append(f"request: {request.url}")

        page.on("request", note_request)
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
