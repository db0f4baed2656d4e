"""`run` with real child processes, of which one is killed, and Ctrl-C."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from faults import fault_code, setting_code

import dogsgan
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.submission import check_submission

CODE = """
import sys
from pathlib import Path
from tiny import RECIPE
from dogsgan import pipeline
checked = pipeline._checked
def check(*arguments, **settings):
    assert "torch" not in sys.modules
    checked(*arguments, **settings)
pipeline._checked = check
settings = {"recipe": RECIPE, "count": 20, "network": "stand-in", "device": "cpu", "audited": False}
report = pipeline.run_pipeline(Path(sys.argv[1]), Path(sys.argv[2]), images=int(sys.argv[3]), **settings)
sys.exit(0 if report.ok else 1)
"""


@pytest.fixture
def out(tmp_path):
    return tmp_path / (os.fsdecode(b"caf\xe9") if sys.platform == "linux" else "cafe") / "out"


@pytest.fixture
def started(tmp_path, out):
    """Start a run whose every child process runs some code first."""
    source = draw_competition(tmp_path / "dogs.zip", images=24, seed=1)
    running = []

    def started(*, prelude="", images):
        (tmp_path / "sitecustomize.py").write_text(
            setting_code("dogsgan.models.sampling", "STATISTICS_IMAGES", 64) + prelude
        )
        paths = [tmp_path, Path(dogsgan.__file__).parents[1], Path(__file__).parent]
        command = [sys.executable, "-c", CODE, source, out, str(images)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        running.append(process)
        return process

    yield started
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_trainer_is_killed_and_goes_on_until_ctrl_c_and_the_zip_comes(started, out):
    """A trainer takes six steps of four images and saves after four, is killed, and the next one goes on.

    All that the processes tell each other names a folder that is not UTF-8.
    """
    process = started(prelude=fault_code("kill once"), images=10**9)
    ends_at = time.monotonic() + 240
    while not (out / "run" / "checkpoints" / "000000048").exists() and time.monotonic() < ends_at:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it to everything in the foreground
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    report = json.loads((out / "report.json").read_text())
    assert report["ok"] is True
    assert report["train"]["stopped_by"] == "SIGINT"
    assert report["train"]["images_seen"] >= 48
    assert report["notes"].count("training ended: killed by SIGKILL (out of memory?)") == 1
    assert report["score"] is None
    assert errors.count("SIGINT: training ends") == 1
    assert "once more ends it at once" in errors
    assert check_submission(out / "images.zip", count=20, size_px=32).ok
