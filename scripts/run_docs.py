"""Run the command lines of README and docs at toy size, and rewrite the outputs that pages quote.

    python scripts/run_docs.py
    python scripts/run_docs.py --only "generate|show"
    python scripts/run_docs.py --write

Each command runs in a folder of its own with drawn pictures, a small run and whatever else the pages name, as
`RULES` and `TOY` change it. A status other than 0 and 1 (a check's verdict) is a failure. `--write` runs none
of them: it replaces each block after a line `<!-- output of: dogsgan … -->` by what that command prints.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from doc_pages import PAGES, ROOT, commands_of, with_outputs

DOGS = "generative-dog-images.zip"
NARROW = "--preset demo --set model.generator_width=4 --set model.discriminator_width=4"

# Applied in this order: what a page leaves to the reader, and what takes hours, becomes something small.
RULES = [
    (r"[\[\]]|\$hurried", ""),
    (r"\bSOURCE\b", DOGS),
    (r"\bimg_align_celeba\.zip", DOGS),
    (r"\bSET\b", "crops"),
    (r"\bRUN\b", "run"),
    (r"\bDIR\b", "new"),
    (r"--breed NAME", "--breed CLASS"),
    (r"--(network|weights) \S+", ""),  # `--network stand-in` comes with TOY
    (r"--((?:cpu-)?preset) dogs-\S+", r"--\1 demo"),
    (r"^((?:run|train)(?!.*--preset).*)", r"\1 --preset demo"),
    (r"--preset demo", NARROW),
    (r"^(generate(?!.*--seeds).*)", r"\1 --count 64"),
]

# Appended: of an option that is given twice the last one counts.
TOY = {
    "demo": "--out new --images 32 --count 64",
    "prepare": "--out new",
    "train": "--run new --images 32",
    "run": "--out new --images 32 --count 64 --network stand-in",
    "evaluate": "--network stand-in --count 32 --real-count 32",
    "show": "--network stand-in",
    "check": "--count 64",
    "score": "--network stand-in",
    "compare": "--network stand-in",
    "audit": "--network stand-in",
    "floor": "--network stand-in --count 16",
    "kernel build": "--images 32 --count 64",
    "study attention": "--network stand-in --attention none,16 --images 32 --seeds 1 --count 32 "
    "--real-count 32",
    "study augmentation": "--sizes 100 --seeds 1 --gan-images 32 --classifier-images 64 --count 40",
    "study recipe": "--network stand-in --variants baseline,fast-lecam --budget 2s --seeds 1 --count 32 "
    "--real-count 16",
}

LEFT_OUT = [
    (r"^kernel (?!build)(?!.*--dry-run)(?!rehearse)", "needs Kaggle"),
    (r"^kernel rehearse", "takes minutes, and tests/test_kernel_rehearse.py does it"),
    (r"^weights", "downloads"),
]


def toy(line: str) -> str:
    """Return a page's command line as it is run here."""
    for pattern, replacement in RULES:
        line = re.sub(pattern, replacement, line)
    group = next((name for name in TOY if line.startswith(name)), "")
    return " ".join(f"{line} {TOY.get(group, '')}".split())


def left_out(line: str) -> str:
    """Return why a command line is not run, or nothing."""
    return next((why for pattern, why in LEFT_OUT if re.search(pattern, line)), "")


def lines_of_pages() -> Iterator[tuple[str, str]]:
    """Yield the page and each command line, each line once."""
    seen = set()
    for page in PAGES:
        for line in commands_of(page.read_text(encoding="utf-8")):
            if line not in seen:
                seen.add(line)
                yield page.name, line


def dogsgan(line: str, folder: Path, cache: Path) -> "subprocess.CompletedProcess[str]":
    """Run one command line in a folder, with this checkout's package and without credentials."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KAGGLE_")}
    environment |= {
        "PYTHONPATH": str(ROOT),
        "DOGSGAN_CACHE": str(cache),
        "KAGGLE_CONFIG_DIR": str(cache / "no-credentials"),
        "HOME": str(cache),
        "COLUMNS": "100",
    }
    command = [sys.executable, "-m", "dogsgan", *shlex.split(line)]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def make_template(folder: Path, cache: Path) -> None:
    """Make everything that the pages' commands read, under the names that they use."""
    from dogsgan.data.drawn.competition import draw_competition, draw_picture
    from dogsgan.data.drawn.digits import draw_digits

    draw_competition(folder / DOGS, images=40)
    draw_digits(folder / "mnist", images=600)
    (folder / "pictures").mkdir()
    for index in range(40):
        draw_picture(index).picture.save(folder / f"pictures/{index}.jpg")
    for line in (
        f"run {DOGS} --out out {NARROW} --images 32 --count 64 --network stand-in --no-audit",
        "kernel build --preset demo --cpu-preset demo --user ann --images 32 --out kernels/dogs-sagan",
        "prepare mnist --out digits-28 --size 28 --policy whole",
        "prepare mnist --out digits-32 --size 32 --policy whole",
    ):
        done = dogsgan(line, folder, cache)
        if done.returncode:
            raise SystemExit(f"dogsgan {line}\n{done.stderr}")
    out = folder / "out"
    (out / "run/best-generator.safetensors").write_bytes((out / "run/generator.safetensors").read_bytes())
    for copy in ("out1", "out2"):
        shutil.copytree(out, folder / copy)
    shutil.copytree(out / "run", folder / "run")
    shutil.copytree(out / "crops", folder / "crops")
    shutil.copytree(out, folder / "output", ignore=shutil.ignore_patterns("run", "crops"))
    shutil.copy(out / "run/generator.safetensors", folder / "output")
    for name in ("images.zip", "first.zip", "second.zip"):
        shutil.copy(out / "images.zip", folder / name)
    shutil.copy(out / "labels.csv", folder)


def run_all(only: str) -> int:
    """Run the command lines that match, print a line for each, and return the exit status."""
    failed = 0
    with tempfile.TemporaryDirectory() as temporary:
        folder, cache = Path(temporary), Path(temporary) / "cache"
        cache.mkdir()
        (folder / "template").mkdir()
        make_template(folder / "template", cache)
        a_class = _first_class(folder / "template/crops")
        for page, line in lines_of_pages():
            if not re.search(only, line):
                continue
            if why := left_out(line):
                print(f"left out        {page}: dogsgan {line} ({why})", flush=True)
                continue
            shutil.copytree(folder / "template", folder / "work")
            start = time.perf_counter()
            done = dogsgan(toy(line).replace("CLASS", shlex.quote(a_class)), folder / "work", cache)
            bad = done.returncode not in (0, 1) or "Traceback" in done.stderr
            failed += bad
            seconds = time.perf_counter() - start
            said = "FAILED" if bad else "ok"
            print(f"{said:6} {done.returncode} {seconds:5.1f} s {page}: dogsgan {toy(line)}", flush=True)
            if bad:
                print("\n".join(done.stderr.splitlines()[-3:]), flush=True)
            shutil.rmtree(folder / "work")
    print(f"{failed} failed")
    return 1 if failed else 0


def _first_class(crops: Path) -> str:
    from dogsgan.data.cropset import CropSet

    return CropSet.open(crops).class_names[0]


def write_outputs() -> None:
    """Rewrite every marked block of every page, by commands run in the checkout."""

    def output_of(command: str) -> str:
        return dogsgan(command, ROOT, Path(tempfile.gettempdir())).stdout

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        written = with_outputs(text, output_of)
        if written != text:
            page.write_text(written, encoding="utf-8")
            print(f"rewritten: {page.relative_to(ROOT)}")


def main() -> int:
    """Run the commands, or rewrite the outputs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", help="regular expression of the command lines to run")
    parser.add_argument("--write", action="store_true", help="rewrite the pages' outputs instead")
    arguments = parser.parse_args()
    if arguments.write:
        write_outputs()
        return 0
    return run_all(arguments.only)


if __name__ == "__main__":
    sys.exit(main())
