"""Windows: what Unix alone has is hidden, and everything but the kernel rehearsal works."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dogsgan

HIDDEN = """
import os, signal, sys
for name in ("fcntl", "resource", "pwd", "grp", "termios", "tty", "syslog"):
    sys.modules[name] = None
for name in ("fork", "forkpty", "killpg", "getpgid", "getpgrp", "setsid", "getuid", "geteuid", "getgid",
             "getegid", "sched_getaffinity", "posix_fallocate", "statvfs", "mkfifo", "wait4", "getloadavg",
             "sysconf", "chown", "nice"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGQUIT", "SIGXCPU", "SIGCHLD", "SIGPIPE",
             "alarm", "setitimer", "pthread_sigmask", "pthread_kill"):
    if hasattr(signal, name):
        delattr(signal, name)
"""
LIBRARIES = """
import matplotlib.figure, PIL.Image, scipy.linalg, subprocess, tempfile, timm, torch, torchvision, tqdm
"""
WORK = """
import importlib, pkgutil
import dogsgan
for module in pkgutil.walk_packages(dogsgan.__path__, "dogsgan."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
from dogsgan import cli
from dogsgan.models import sampling
from dogsgan.data.drawn.competition import draw_competition
from pathlib import Path
sampling.STATISTICS_IMAGES = 16
draw_competition(Path("dogs.zip"), images=40, seed=1)
tiny = ["data.size_px=32", "model.z_dim=8", "model.generator_width=4", "model.discriminator_width=4",
        "model.generator_attention_px=", "model.discriminator_attention_px=", "training.batch_size=8"]
settings = ["--preset=demo", *(f"--set={setting}" for setting in tiny)]
scored = ["--real=dogs.zip", "--network=stand-in", "--device=cpu"]
for command in (
    ["prepare", "dogs.zip", "--out=set", "--size=32"],
    ["train", "--data=set", "--run=run", "--images=8", "--device=cpu", *settings],
    ["train", "--data=set", "--run=run", "--images=16", "--device=cpu", *settings],
    ["generate", "run", "--out=images.zip", "--count=40", "--labels=labels.csv", "--device=cpu"],
    ["check", "images.zip", "--count=40", "--size=32"],
    ["score", "images.zip", *scored],
    ["audit", "images.zip", "--out=audit", *scored],
):
    print("STATUS", command[0], cli.main(command), flush=True)
"""


def test_the_chain_works_without_what_unix_alone_has(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(dogsgan.__file__).parents[1]),
        "DOGSGAN_CACHE": str(tmp_path / "cache"),
        "PYTHONIOENCODING": "cp1252",
        "OMP_NUM_THREADS": "1",
    }
    code = LIBRARIES + HIDDEN + WORK
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, check=False
    )
    lines = done.stdout.decode("cp1252").splitlines()
    told = [line.split()[1:] for line in lines if line.startswith("STATUS")]
    assert [status for _, status in told[:-1]] == ["0"] * 6, done.stderr.decode("cp1252")[-3000:]
    assert told[-1] in (["audit", "0"], ["audit", "1"]), done.stderr.decode("cp1252")[-3000:]
    assert json.loads((tmp_path / "audit" / "audit.json").read_bytes())
