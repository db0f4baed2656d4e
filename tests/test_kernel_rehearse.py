"""A kernel rehearsed from end to end in each mount, and through everything that may befall it on Kaggle.

The rehearsals take their time in starting processes, so all of them run at once, two at a time.
"""

import json
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
from faults import fault_code, setting_code
from kaggle_image import OPTIONAL, guard_code
from kaggle_mounts import mount
from kaggle_server import built_kernel
from tiny import RECIPE

import dogsgan
from dogsgan.data.drawn.competition import draw_competition
from dogsgan.errors import DogsganError
from dogsgan.kernel.build import build_kernel
from dogsgan.kernel.folder import read_head
from dogsgan.kernel.rehearse import RehearsalReport, can_isolate, rehearse

COUNT = 60
BUDGET_S, HANGING_BUDGET_S = 240.0, 150.0
QUICK = setting_code("dogsgan.models.sampling", "STATISTICS_IMAGES", 64)
DRIVER = "dogsgan.supervise.driver"
SAFE = setting_code(DRIVER, "SAFETY_COST", 1.0) + setting_code(
    DRIVER, "SAFETY_SHARE", 0.1
)  # as if there were hours

isolated_only = pytest.mark.skipif(not can_isolate(), reason="bubblewrap is not installed, or not allowed")

REHEARSALS = {
    "hang": {
        "placed": "zips",
        "budget_s": HANGING_BUDGET_S,
        "images": 10**6,
        "prelude": QUICK + SAFE + fault_code("hang", "endless-sampling"),
    },
    "well": {"as_notebook": True, "prelude": QUICK + guard_code(without=OPTIONAL)},
    "gpu": {
        "placed": "competitions",
        "prelude": QUICK + fault_code("gpu"),
        "images": 40,
        "continues": "well",
    },
    "kill": {
        "placed": "zip",
        "prelude": QUICK + fault_code("kill", "lost-gpu"),
        "images": 40,
        "isolated": False,
    },
}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return draw_competition(tmp_path_factory.mktemp("drawn") / "dogs.zip", images=24, seed=1)


@pytest.fixture(scope="module")
def rehearsals(source, tmp_path_factory):
    """Begin every rehearsal, and yield what waits for each by its name."""

    def built(name, *, as_notebook=False, images=24, placed=None, continues=None, **settings):
        """Build here: `ast.parse` fails now and then where two threads of Python 3.11 parse at once."""
        folder = tmp_path_factory.mktemp(name) / "tiny-dogs"
        if placed:
            settings |= {"data": mount(source, folder.parent / "data", placed), "mount": "dataset"}
        build_kernel(
            RECIPE.with_overrides(["training.batch_size=2"]) if continues else RECIPE,
            folder,
            user="ann",
            count=COUNT,
            images=images,
            as_notebook=as_notebook,
            continue_from="ann/earlier-dogs" if continues else None,
        )
        return folder, continues, settings

    def run(folder, continues, settings):
        if continues:
            futures[continues].result()
            settings["previous"] = kernels[continues][0].parent / "output"
        defaults = {"budget_s": BUDGET_S, "data": source, "quiet": True, "prelude": QUICK}
        return rehearse(folder, **{**defaults, "out": folder.parent / "output", **settings})

    kernels = {name: built(name, **settings) for name, settings in REHEARSALS.items()}
    futures: dict[str, Future] = {}
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, kernel in kernels.items():
            futures[name] = pool.submit(run, *kernel)
        yield futures


def outcome(future: Future) -> RehearsalReport:
    report = future.result()
    print("\n".join(report.last_lines))  # shown where the test fails
    return report


def test_a_notebook_leaves_what_the_competition_takes(rehearsals):
    report = outcome(rehearsals["well"])
    assert report.ok, report.summary()
    assert (report.ended, report.status, report.images_seen) == ("exited", 0, 24)
    assert report.isolated is can_isolate()
    assert {"images.zip", "samples.png", "generator.safetensors", "kernel.log", "log.jsonl"} <= set(
        report.files
    )
    assert len(report.files) < 60
    assert report.left_s > 0
    assert 0.1 < report.peak_memory_gb < 13
    assert report.check.count == COUNT
    assert "ready to push" in report.summary()
    assert "nine hours on two T4 would see" in report.summary()
    json.dumps(report.to_json(), allow_nan=False)


def test_a_gpu_that_is_lost_before_sampling_leaves_it_to_the_cpu_in_a_fresh_process(rehearsals):
    report = outcome(rehearsals["kill"])  # both at once
    assert report.ok, report.summary()
    assert any("sampling on the GPU failed" in event and "bus" in event for event in report.events)


def test_gpus_that_are_listed_but_broken_leave_it_to_the_cpu(rehearsals):
    report = outcome(rehearsals["gpu"])
    assert report.ok, report.summary()
    assert "GPU 1 is listed but not used: no operation runs on it" in report.events
    assert any("no GPU works (2 listed)" in event for event in report.events)


def test_a_kernel_goes_on_with_the_run_that_an_earlier_one_left(rehearsals):
    """The same crops, found in another mount, though no GPU works; by the run's recipe, not its own."""
    report = outcome(rehearsals["gpu"])
    assert report.images_seen == 40  # 24 by the earlier one
    assert any(
        line.endswith("its recipe counts, not RECIPE (training.batch_size: 2 -> 4)")
        for line in report.last_lines
    )
    assert not any("WARNING" in event or "training" in event for event in report.events)
    assert "checkpoints/000000040/state.pt" in report.files


def test_a_killed_trainer_goes_on_from_its_checkpoint(rehearsals):
    """One of two that train as one is killed, and takes the other with it."""
    report = outcome(rehearsals["kill"])
    assert report.ok, report.summary()
    assert any(event.startswith("training ended") for event in report.events)
    assert any("goes on from its last checkpoint" in event for event in report.events)
    assert report.images_seen == 40  # further than one life alone, of six steps of four
    assert "NOT isolated" in report.summary()  # this one runs without bubblewrap


def test_a_trainer_and_a_sampler_that_hang_until_the_limit_cost_no_zip(rehearsals):
    """What is submitted then was written halfway through training."""
    report = outcome(rehearsals["hang"])
    assert report.ok, report.summary()  # killed at the very limit, the rehearsal would say so
    assert report.ended == "exited"
    assert any("training ended: it overran" in event for event in report.events)
    assert any("sampling on the CPU failed: it overran" in event for event in report.events)
    assert any("written for safety" in event for event in report.events)
    assert report.images_seen == 16
    assert 0 < report.left_s < 0.1 * HANGING_BUDGET_S


def test_a_kernel_that_overruns_is_killed_with_all_it_started(tmp_path, source):
    folder = tmp_path / "tiny-dogs"
    build_kernel(RECIPE, folder, user="ann", count=COUNT)
    child = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(999)'])"
    code = f"import subprocess, sys, time\n{child}\nprint('going on', flush=True)\ntime.sleep(999)\n"
    (folder / "tiny-dogs.py").write_text(code)
    report = rehearse(folder, budget_s=3.0, data=source, quiet=True)
    assert (report.ended, report.ok) == ("time", False)
    assert "going on" in report.last_lines
    assert "Kaggle would have killed it: the limit of time" in report.problems


def test_a_kernel_that_takes_too_much_memory_is_killed(tmp_path, source):
    folder = tmp_path / "tiny-dogs"
    build_kernel(RECIPE, folder, user="ann", count=COUNT)
    (folder / "tiny-dogs.py").write_text("import time\nmuch = bytearray(300_000_000)\ntime.sleep(999)\n")
    report = rehearse(folder, budget_s=60.0, data=source, memory_gb=0.2, quiet=True)
    assert report.ended == "memory"


@isolated_only
def test_a_kernel_sees_kaggle_s_folders_no_network_and_not_this_package(tmp_path, source):
    folder = tmp_path / "tiny-dogs"
    build_kernel(RECIPE, folder, user="ann", count=COUNT)
    (folder / "tiny-dogs.py").write_text(f"PACKAGE = {str(Path(dogsgan.__file__).parent)!r}\n{LOOK_AROUND}")
    report = rehearse(folder, budget_s=60.0, data=source, isolated=True, quiet=True)
    seen = json.loads(report.last_lines[-1])
    interpreter = Path(sys.prefix).parts  # which has to be seen, wherever it is
    if interpreter[1] == "tmp":
        seen["tmp"] = [name for name in seen["tmp"] if name != interpreter[2]]
    assert seen == {
        "cwd": "/kaggle/working",
        "input": ["generative-dog-images"],
        "input is writable": False,
        "the machine is writable": [],
        "interfaces": ["lo"],
        "dogsgan": [],
        "tmp": ["dogsgan"],
        "cores": 2,
    }


LOOK_AROUND = """
import json, os, socket, sys

def writable(path):
    try:
        open(path, "w").close()
        os.remove(path)
    except OSError:
        return False
    return True

with open("/proc/self/mountinfo") as file:
    MOUNTS = sorted({line.split()[4] for line in file} | {sys.prefix, "/usr", "/etc", "/var", "/root"})
    OWN = ("/tmp", "/var/tmp", "/dev", "/dev/shm", "/kaggle/working", "/proc", "/", PACKAGE)
    MOUNTS = [path for path in MOUNTS if path not in OWN and os.path.isdir(path + "/.")]
os.makedirs("/tmp/dogsgan")
print(json.dumps({
    "cwd": os.getcwd(),
    "input": sorted(os.listdir("/kaggle/input")),
    "input is writable": writable("/kaggle/input/x"),
    "the machine is writable": [path for path in MOUNTS if writable(path + "/x")],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "dogsgan": os.listdir(PACKAGE),
    "tmp": os.listdir("/tmp"),
    "cores": min(len(os.sched_getaffinity(0)), 2),
}))
"""


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"mount": "moon"}, "no mount 'moon'")],
)
def test_a_name_of_nothing_is_an_error(tmp_path, source, settings, message):
    build_kernel(RECIPE, tmp_path / "tiny-dogs", user="ann")
    with pytest.raises(DogsganError, match=message):
        rehearse(tmp_path / "tiny-dogs", data=source, **settings)


def test_data_that_the_output_would_replace_are_refused(tmp_path, source):
    data = tmp_path / "images.zip"
    data.write_bytes(source.read_bytes())
    with pytest.raises(DogsganError, match="would be written over"):
        rehearse(tmp_path / "kernel", data=data, out=tmp_path)
    assert data.read_bytes() == source.read_bytes()


def test_an_output_to_go_on_from_is_refused_where_it_cannot_be(tmp_path, source):
    build_kernel(RECIPE, tmp_path / "tiny-dogs", user="ann")
    with pytest.raises(DogsganError, match="tiny-dogs does not go on from another kernel"):
        rehearse(tmp_path / "tiny-dogs", data=source, previous=tmp_path)
    build_kernel(RECIPE, tmp_path / "tiny-dogs", user="ann", continue_from="ann/earlier-dogs")
    with pytest.raises(DogsganError, match=r"no folder .*gone: rehearse the earlier kernel"):
        rehearse(tmp_path / "tiny-dogs", data=source, previous=tmp_path / "gone")


def test_a_folder_without_a_kernel_is_an_error(tmp_path):
    with pytest.raises(DogsganError, match=r"kernel-metadata\.json"):
        rehearse(tmp_path)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("COUNT = 10 000", "line 1 of main.py is not valid Python .*: fix it"),
        ("COUNT = 10\0", "main.py is not valid Python .*: fix it"),
        ("RECIPE = " + "[" * 5000, "main.py is not valid Python .*: fix it"),
        ("COUNT = 'many'", "COUNT = 'many' cannot be used: write a whole number from 1"),
        ("RECIPE = {'data': 7}", "data"),
        ("BUDGET = 'soon'", "'soon' is no duration"),
        ("COUNT = 10,000", r"COUNT = \(10, 0\) cannot be used: write a whole number from 1"),
        ("BUDGET = 'nine hours'", "'nine hours' is no duration"),
        ("BUDGET = '15h'", "BUDGET = '15h' cannot be used: .* 9h or less"),
        ("BUDGET = '5s'", "BUDGET = '5s' cannot be used: write 20s or more"),
    ],
)
def test_a_head_that_cannot_be_used_is_known_before_anything_is_laid_out(head, message):
    with pytest.raises(DogsganError, match=message):
        read_head(head, where="main.py")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[]", b"{}", b'{"cells": [7]}', b"[" * 100_000])
def test_a_notebook_that_is_none_is_one_line(content, tmp_path):
    kernel = built_kernel(tmp_path / "some-kernel", code_file="main.ipynb", kernel_type="notebook")
    (kernel / "main.ipynb").write_bytes(content)
    with pytest.raises(DogsganError, match="cannot be read as a kernel's code"):
        rehearse(kernel)
