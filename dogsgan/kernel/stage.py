"""The inside of a rehearsal in namespaces: a file system like Kaggle's, and the kernel that runs in it.

Run as a plain file (`python -I stage.py SPEC`) after `unshare`; it imports nothing of the package, which it
hides. SPEC is a JSON object, see `isolation`.
"""

import ctypes
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from pathlib import Path

MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 32, 4096, 16384, 1 << 18
MS_NOSUID, MS_NODEV = 2, 4
OPTIONS = {"nosuid": 2, "nodev": 4, "noexec": 8, "noatime": 1024, "nodiratime": 2048, "relatime": 1 << 21}
"""Of a mount; a remount in a user namespace has to keep them."""
OWN_FOLDERS = ("kaggle", "proc", "tmp")  # not taken over from outside
SMALL_FOLDERS = ("tmp", "var/tmp", "dev/shm")  # what a kernel may take for scratch
HIDDEN_PACKAGE = "raise ImportError('the package installed outside is hidden: this is a rehearsal')\n"

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: Path, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Call mount(2)."""
    arguments = (source.encode(), bytes(target), kind.encode(), flags, options.encode())
    if _libc.mount(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(target))


def tmpfs(target: Path, *, megabytes: int | None) -> None:
    """Mount an empty file system in memory, of a size if one is given."""
    target.mkdir(parents=True, exist_ok=True)
    options = "mode=1777" + (f",size={megabytes}m" if megabytes else "")
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, options)


def bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    """Show a folder in another place."""
    target.mkdir(parents=True, exist_ok=True)
    mount(str(source), target, "", MS_BIND | MS_REC)
    if read_only:
        mount("none", target, "", MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV)


def make_read_only(root: Path) -> None:
    """Make everything that is mounted below `root` read-only; a remount alone leaves out what lies deeper."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target, options = line.split()[4:6]
        path = Path(re.sub(r"\\(\d{3})", lambda octal: chr(int(octal[1], 8)), target))
        if root in path.parents:
            kept = sum(flag for name, flag in OPTIONS.items() if name in options.split(","))
            mount("none", path, "", MS_REMOUNT | MS_BIND | MS_RDONLY | kept)


def build_root(spec: dict) -> Path:
    """Mount the machine's folders read-only, and Kaggle's; hide the package; return the new root."""
    root = Path(spec["root"])
    mount("none", Path("/"), "", MS_REC | MS_PRIVATE)
    tmpfs(root, megabytes=None)
    for entry in sorted(Path("/").iterdir()):
        if entry.is_symlink():
            (root / entry.name).symlink_to(entry.readlink())
        elif entry.is_dir() and entry.name not in OWN_FOLDERS:
            bind(entry, root / entry.name)
    make_read_only(root)
    mount_processes(root / "proc")
    for name in SMALL_FOLDERS:
        tmpfs(root / name, megabytes=spec["disk_mb"])
    for path in map(Path, spec["needed"]):  # a Python below /tmp
        if not (root / path.relative_to("/")).exists():
            bind(path, root / path.relative_to("/"), read_only=True)
    for path in map(Path, spec["hidden"]):
        target = root / path.relative_to("/")
        if target.exists():
            tmpfs(target, megabytes=1)
            (target / "__init__.py").write_text(HIDDEN_PACKAGE)
    bind(Path(spec["input"]), root / "kaggle/input", read_only=True)
    bind(Path(spec["source"]), root / "kaggle/src", read_only=True)
    if spec["disk_mb"]:
        tmpfs(root / "kaggle/working", megabytes=spec["disk_mb"])
        bind(Path(spec["working"]), root / "kaggle/.output")
    else:
        bind(Path(spec["working"]), root / "kaggle/working")
    return root


def mount_processes(target: Path) -> None:
    """Mount this namespace's /proc, or the outside's where that is refused (in some containers)."""
    target.mkdir()
    try:
        mount("proc", target, "proc")
    except OSError:
        mount("/proc", target, "", MS_BIND | MS_REC)


def bring_loopback_up() -> None:
    """Switch the loopback interface on; a fresh network namespace has nothing else."""
    import fcntl  # only here: all modules can be imported on systems without it

    get_flags, set_flags, is_up = 0x8913, 0x8914, 0x1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(connection, get_flags, request))[1]
        fcntl.ioctl(connection, set_flags, struct.pack("16sh14x", b"lo", flags | is_up))


def main(spec: dict) -> int:
    """Run the kernel in its surroundings, and return its exit status."""
    os.sched_setaffinity(0, spec["cores"])
    root = build_root(spec)
    bring_loopback_up()
    os.chroot(root)
    os.chdir("/kaggle/working")
    status = subprocess.call(spec["command"], env=spec["environment"], stdin=subprocess.DEVNULL)
    if spec["disk_mb"]:
        shutil.copytree("/kaggle/working", "/kaggle/.output", dirs_exist_ok=True)
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    raise SystemExit(main(json.loads(sys.argv[1])))
