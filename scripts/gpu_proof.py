"""Fifteen minutes on a GPU that prove what a CPU cannot: packed here, run there, unpacked here.

    python scripts/gpu_proof.py pack --data generative-dog-images.zip --out proof
    python scripts/gpu_proof.py first  --packed proof --out "$OUT"     # there: tests and speeds
    python scripts/gpu_proof.py second --packed proof --out "$OUT"     # there: a run, its pictures, its score
    python scripts/gpu_proof.py unpack RESULTS --out proof-results

`--toy --device cpu` rehearses each on a machine without a GPU, `--hide tqdm,defusedxml` without those
modules. Each step runs in a process of its own under a limit; one that fails costs no other. What is known
is in `results.json` after every step.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gpu_packing as packing

REPOSITORY = Path(__file__).resolve().parents[1]
PACK_MB = 60
FIRST_S, SECOND_S = 240.0, 400.0  # 11 minutes in all, with the packing of results
TOY_S, TOY_PATIENCE = 900.0, 5  # for a machine that is busy with other things; idle it takes a minute
GENERATED = 10_000
AFTER_TRAINING_S = 160.0  # pictures, score and audit
HALF, SHRUNK = "generator-half.safetensors", "images-webp.zip"
NETWORK = "efficientnet-lite0"
IMPORTS = "import dogsgan.cli, dogsgan.training.loop, dogsgan.stages, dogsgan.scoring, dogsgan.audit, timm"
FORMS = (
    *("64:float16:eager", "32:float16:eager", "256:float16:eager"),
    *("64:bfloat16:eager", "64:bfloat16:plain", "64:bfloat16:biggan", "64:float16:biggan"),
)
COMPILED_FORMS = ("64:bfloat16:compile", "64:bfloat16:graphs")
TOY_FORMS = ("8:float32:eager", "8:float32:biggan")
TOY_SETTINGS = ("model.generator_width=8", "model.discriminator_width=8", "training.batch_size=8")
TOY_SETTINGS += ("model.generator_attention_px=16", "model.discriminator_attention_px=16")


@dataclass
class Proof:
    """The steps of one command: what they may take, what they found, and where it goes."""

    packed: Path
    work: Path
    out: Path
    device: str
    toy: bool
    ends_at: float
    environment: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)

    def step(
        self, name: str, *command: str, limit_s: float, kill_when: Callable[[], bool] | None = None
    ) -> str | None:
        """Run a command, note what came of it, and return its output; None where it failed.

        Args:
            kill_when: kill it as soon as this holds, as a machine that dies would.
        """
        patience = TOY_PATIENCE if self.toy else 1
        limit_s = min(patience * limit_s, self.ends_at - time.monotonic())
        if limit_s < 1:
            self.note(name, "left out: no time left", 0.0)
            return None
        began, log, output = time.monotonic(), self.work / f"{name}.log", self.work / f"{name}.out"
        wanted = False
        with log.open("w") as errors, output.open("w") as printed:
            process = subprocess.Popen(
                command, stdout=printed, stderr=errors, env=self.environment, cwd=REPOSITORY,
                start_new_session=True,
            )  # fmt: skip
            while process.poll() is None:
                wanted = kill_when is not None and kill_when()
                if wanted or time.monotonic() - began > limit_s:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
                time.sleep(0.1)
        seconds, said, text = time.monotonic() - began, log.read_text(), output.read_text()
        log.write_text(f"$ {' '.join(command)}\n{text}\n{said}")
        if wanted:
            self.note(name, "killed, as planned", seconds)
        elif process.returncode:
            killed = process.returncode == -signal.SIGKILL
            reason = f"killed at its limit of {limit_s:.0f} s; " if killed else ""
            last = ([line for line in f"{text}\n{said}".splitlines() if line.strip()] or ["no word"])[-1]
            self.note(name, f"FAILED: {reason}{last[:200]}", seconds)
            return text if killed else None  # what it said before then counts
        else:
            self.note(name, "well", seconds)
        return text

    def note(self, name: str, result: str, seconds: float, **values: Any) -> None:
        """Add a line to the table, and write all of them."""
        self.rows.append({"step": name, "result": result, "seconds": round(seconds, 1), **values})
        print(f"{name}: {result} ({seconds:.0f} s)", flush=True)
        (self.out / "results.json").write_text(json.dumps(self.rows, indent=1))

    def dogsgan(self, name: str, *arguments: str, limit_s: float) -> dict[str, Any] | None:
        """Run a command of the package and return its JSON object."""
        output = self.step(name, sys.executable, "-m", "dogsgan", *arguments, "--json", limit_s=limit_s)
        try:
            value: dict[str, Any] = json.loads(output or "")
            return value
        except ValueError:
            return None

    @property
    def failed(self) -> bool:
        """Whether any step did not go well."""
        return any("FAILED" in row["result"] or "left out" in row["result"] for row in self.rows)


def main() -> int:
    args = _parser().parse_args()
    if args.command == "pack":
        return pack(args.data, args.out, python=args.python, toy=args.toy)
    if args.command == "unpack":
        return unpack(args.results, args.out)
    limit_s = args.seconds or (TOY_S if args.toy else FIRST_S if args.command == "first" else SECOND_S)
    proof = begin(args.packed, args.out, args.device, toy=args.toy, hidden=args.hide, limit_s=limit_s)
    if proof.step("imports", sys.executable, "-c", IMPORTS, limit_s=120) is None:
        print((proof.work / "imports.log").read_text())  # no GPU was used, and nothing else would work
        return 1
    (first if args.command == "first" else second)(proof)
    finish(proof, args.command)
    return int(proof.failed)


def pack(data: Path | None, out: Path, *, python: str, toy: bool) -> int:
    """Write what the other machine needs, at most 60 MB, and say how large it is."""
    from dogsgan.config import DataRecipe
    from dogsgan.data.cropset import is_crop_set
    from dogsgan.data.drawn.competition import draw_competition
    from dogsgan.data.prepare import prepare

    out.mkdir(parents=True, exist_ok=True)
    (out / ".gitignore").write_text("*\n")
    crops = out.parent / f"{out.name}-crops"
    if toy:
        data = draw_competition(out.parent / f"{out.name}-drawn.zip", images=120, seed=0)
    assert data is not None
    if is_crop_set(data):
        crops = data
    else:
        prepare(data, crops, DataRecipe(policy="whole:0.5,context:0.5"))
    counts = packing.pack_crops(crops, out)
    python = f"{sys.version_info.major}.{sys.version_info.minor}" if toy else python
    problems = packing.pack_modules(out, python=python)
    size = packing.note_contents(out, {"counts": counts, "python": python})
    print(f"{out}: {size / 1e6:.1f} MB, {counts}", *problems, sep="\n")
    return int(bool(problems) or size > PACK_MB * 1e6)


def begin(
    packed: Path, out: Path, device: str, *, toy: bool, hidden: tuple[str, ...], limit_s: float
) -> Proof:
    """Check what arrived, bring the modules that are missing, and return what the steps run in."""
    ends_at = time.monotonic() + limit_s
    packed, out = packed.resolve(), out.resolve()
    work = packed.parent / f"{packed.name}-work"
    site = work / "site"
    for folder in (out, work):
        folder.mkdir(parents=True, exist_ok=True)
    brought = packing.bring_missing_modules(packed, site, hidden=hidden)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(site)]),
        "PYTHONUNBUFFERED": "1",
        "DOGSGAN_CACHE": str(work / "cache"),
        "DOGSGAN_TEST_DEVICE": device,
    }
    proof = Proof(packed, work, out, device, toy, ends_at, environment)
    damage = packing.check_contents(packed)
    proof.note("arrival", f"FAILED: {damage}" if damage else f"well; brought {brought}", 0.0)
    return proof


def first(proof: Proof) -> None:
    """Run the tests that need a GPU, and measure the step."""
    python = sys.executable
    tests = ["-m", "pytest", "-q", "-rP", "-p", "no:cacheprovider", "tests/test_gpu.py"]
    proof.step("tests", python, *tests, *(["-k", "search or waits"] if proof.toy else []), limit_s=90)
    toy = ["--preset", "demo", "--matrix-side", "256", "--seconds", "0.3"]
    options = ["--device", proof.device, *(toy if proof.toy else [])]
    options += [part for setting in (TOY_SETTINGS if proof.toy else ()) for part in ("--set", setting)]
    for name, forms, limit_s in (("speeds", FORMS, 100), ("compiled", COMPILED_FORMS, 150)):
        some = TOY_FORMS if proof.toy else forms
        found = proof.step(name, python, "scripts/gpu_speed.py", *options, *some, limit_s=limit_s)
        for line in (found or "").splitlines():
            note_speed(proof, line)


def note_speed(proof: Proof, line: str) -> None:
    """Add what `gpu_speed.py` printed to the table."""
    try:
        row = json.loads(line)
    except ValueError:
        return
    if "form" not in row:
        limits = ", ".join(f"{key} {value}" for key, value in row.items())
        proof.note("device", limits, 0.0, **row)
    elif "failed" in row:
        proof.note(row["form"], f"FAILED: {row['failed']}", 0.0)
    else:
        peak = f", peak {row['peak_gb']:.2f} GB" if row["peak_gb"] else ""
        text = (
            f"{row['images_per_second']:.0f} images/s, {row['share_of_bfloat16']:.1%} of the bfloat16 limit"
            f"{peak}, queueing takes {row['queueing_share']:.0%} of a step"
        )
        proof.note(row.pop("form"), text, row["warm_s"], **row)


def second(proof: Proof) -> None:
    """Train a run that is killed once and goes on, and generate, score and audit its pictures."""
    work, device, toy = proof.work, ("--device", proof.device), proof.toy
    crops, run = work / "crops", work / "run"
    shutil.rmtree(run, ignore_errors=True)
    if proof.dogsgan(
        "prepare", "prepare", str(proof.packed / packing.CROPS), "--out", str(crops),
        "--policy", "whole", limit_s=120,
    ) is None:  # fmt: skip
        return
    preset = "demo" if toy else "dogs-best"
    settings = ["data.policy=whole"]
    settings += [*TOY_SETTINGS, "training.checkpoint_images=64"] if toy else ["training.precision=float16"]
    count = 60 if toy else GENERATED
    train = ["train", "--data", str(crops), "--run", str(run), "--preset", preset, *device]
    train += [part for setting in settings for part in ("--set", setting)]

    def has_checkpoint() -> bool:
        return any(int(path.name) for path in (run / "checkpoints").glob("*") if path.name.isdigit())

    killed = (sys.executable, "-m", "dogsgan", *train, "--images", "100000000")
    proof.step("train-until-killed", *killed, limit_s=180, kill_when=has_checkpoint)
    budget_s = max(30.0, proof.ends_at - time.monotonic() - AFTER_TRAINING_S)
    length = ("--images", "160") if toy else ("--budget", f"{budget_s:.0f}s")
    trained = proof.dogsgan("train", *train, *length, limit_s=budget_s + 30)
    resumed = "going on with" in (work / "train.log").read_text()
    proof.note("resume", "well: went on" if resumed else "FAILED: began anew", 0.0, trained=trained)
    images, labels, packed = work / "images.zip", work / "labels.csv", proof.packed
    options = ("--out", str(images), "--labels", str(labels), "--count", str(count), *device)
    if proof.dogsgan("generate", "generate", str(run), *options, limit_s=60) is None:
        return
    network = ("--network", "stand-in" if toy else NETWORK, *device)
    real = ("--real", str(crops))
    scored = proof.dogsgan("score", "score", str(images), *real, *network, limit_s=90)
    if scored:
        proof.note("score-found", f"Fréchet distance {scored['fid']:.4g} by {scored['network']}", 0.0)
        (work / "score.json").write_text(json.dumps(scored))
    held_out = ("--held-out", str(packed / packing.HELD_OUT_FILE))
    proof.dogsgan(
        "audit", "audit", str(images), *real, "--out", str(work / "audit"), *held_out, *network, limit_s=150
    )


def finish(proof: Proof, command: str) -> None:
    """Write the table and the parts that go back."""
    files = dict(_returned(proof)) if command == "second" else dict(_logs(proof.work))
    table = "\n".join(f"{row['step']:20} {row['seconds']:7.1f} s  {row['result']}" for row in proof.rows)
    (proof.out / "table.txt").write_text(table + "\n")
    left_out = packing.send_parts(files, proof.out)
    print(f"\n{table}\n\nleft out of what goes back: {', '.join(left_out) or 'nothing'}")


def _logs(work: Path) -> Iterator[tuple[str, Path]]:
    yield from ((f"logs/{path.name}", path) for path in sorted(work.glob("*.log")))


def _returned(proof: Proof) -> Iterator[tuple[str, Path]]:
    """Yield what goes back by name, the most important first; pictures take the room that is left."""
    work, run = proof.work, proof.work / "run"
    small = [run / name for name in ("log.jsonl", "losses.png", "recipe.json", "reals.png")]
    small += [work / "labels.csv", work / "score.json", *sorted((run / "samples").glob("*.png"))[-4:]]
    files = {**dict(_logs(work)), **{path.name: path for path in small if path.is_file()}}
    if (run / "generator.safetensors").is_file():
        files[HALF] = work / HALF
        packing.halve_generator(run / "generator.safetensors", files[HALF])
    room = packing.MOST_PARTS * packing.PART_BYTES - sum(
        path.stat().st_size + 2048 for path in files.values()
    )
    if (work / "images.zip").is_file():
        files[SHRUNK] = work / SHRUNK
        count = packing.shrink_pictures(work / "images.zip", files[SHRUNK], most_bytes=room - 100_000)
        proof.note("pictures", f"{count} go back, without loss", 0.0)
    yield from files.items()


def unpack(results: Path, out: Path) -> int:
    """Put the parts together, restore generator and pictures, and show the table."""
    names = packing.receive_parts(results, out)
    if HALF in names:
        packing.restore_generator(out / HALF, out / "generator.safetensors")
    if SHRUNK in names:
        packing.restore_pictures(out / SHRUNK, out / "images.zip")
    for name in ("table.txt", "results.json"):
        if (results / name).is_file():
            shutil.copyfile(results / name, out / name)
    print((out / "table.txt").read_text() if (out / "table.txt").is_file() else "there is no table")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    packs = commands.add_parser("pack")
    packs.add_argument(
        "--data", type=Path, metavar="SOURCE", help="pictures in any layout, or a prepared set"
    )
    packs.add_argument("--out", type=Path, required=True)
    packs.add_argument("--python", default="3.12", help="the version there (3.12)")
    packs.add_argument("--toy", action="store_true", help="a few drawn dogs")
    for name in ("first", "second"):
        runs = commands.add_parser(name)
        runs.add_argument("--packed", type=Path, required=True)
        runs.add_argument("--out", type=Path, required=True, help="folder of what goes back")
        runs.add_argument("--device", default="cuda")
        runs.add_argument("--toy", action="store_true", help="small networks, seconds instead of minutes")
        runs.add_argument("--hide", type=_names, default=(), metavar="MODULES", help="as if not installed")
        runs.add_argument("--seconds", type=float, help=f"the limit ({FIRST_S:.0f} and {SECOND_S:.0f})")
    unpacks = commands.add_parser("unpack")
    unpacks.add_argument("results", type=Path)
    unpacks.add_argument("--out", type=Path, required=True)
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(filter(None, text.split(",")))


if __name__ == "__main__":
    sys.exit(main())
