"""`run` with real child processes: a trainer that is killed again and again, and Ctrl-C."""

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
print(report.closing())
sys.exit(0 if report.ok else 1)
"""


@pytest.fixture
def started(tmp_path):
    """Start a run whose every child process runs some code first."""
    source = draw_competition(tmp_path / "dogs.zip", images=24, seed=1)
    running = []

    def started(*, prelude="", images):
        (tmp_path / "sitecustomize.py").write_text(
            setting_code("dogsgan.models.sampling", "STATISTICS_IMAGES", 64) + prelude
        )
        paths = [tmp_path, Path(dogsgan.__file__).parents[1], Path(__file__).parent]
        command = [sys.executable, "-c", CODE, source, tmp_path / "out", str(images)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1"}
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        running.append(process)
        return process

    yield started
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def test_a_trainer_that_is_killed_goes_on_and_the_zip_comes(started, tmp_path):
    """Each life takes six steps of four images, and saves after four."""
    out, errors = started(prelude=fault_code("kill"), images=40).communicate(timeout=300)
    assert "everything is in" in out, errors
    assert "Traceback" not in errors
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["ok"] is True
    assert (report["train"]["stopped_by"], report["train"]["images_seen"]) == ("images", 40)
    assert report["notes"].count("training ended: killed by SIGKILL (out of memory?)") == 1
    assert report["score"]["generated"] == 20
    assert check_submission(tmp_path / "out" / "images.zip", count=20, size_px=32).ok


def test_ctrl_c_ends_training_and_the_zip_comes(started, tmp_path):
    process = started(images=10**9)
    checkpoints = tmp_path / "out" / "run" / "checkpoints"
    ends_at = time.monotonic() + 120
    while not (checkpoints / "000000016").exists() and time.monotonic() < ends_at:
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal sends it to everything in the foreground
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["train"]["stopped_by"] == "SIGINT"
    assert report["check"]["ok"] is True
    assert report["score"] is None
    assert errors.count("SIGINT: training ends") == 1
    assert "once more ends it at once" in errors
