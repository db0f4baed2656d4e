"""Several processes that train together in a test, on the CPU, as `torchrun` would start them."""

import multiprocessing
import os
import socket
import sys
import traceback
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from queue import Empty
from typing import Any, NamedTuple

LIMIT_S = 150.0

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    ["torch.distributed", "timm.utils", "matplotlib.figure", "matplotlib.backends.backend_agg"]
)


class Member(NamedTuple):
    """How a process ended: what it returned or the text of its exception, and what it said on stderr."""

    result: Any = None
    said: str = ""


def in_processes(
    work: Callable[..., Any],
    *arguments: Any,
    size: int = 2,
    wait_for_all: bool = True,
    timeout_s: float = 60.0,  # of one exchange
) -> list[Member]:
    """Run `work(rank, *arguments)` in `size` processes.

    Without `wait_for_all` those that run on after the first has ended are killed.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    results: Any = _context.Queue()
    members = [
        _context.Process(target=_member, args=(rank, size, port, timeout_s, results, work, arguments))
        for rank in range(size)
    ]
    for member in members:
        member.start()
    for member in members:
        member.join(LIMIT_S if wait_for_all or member is members[0] else 0.0)
        if member.is_alive():
            for other in members:
                other.kill()
            assert not wait_for_all, "a process hangs"
    found = [Member()] * size
    try:
        while True:
            rank, *ended = results.get(timeout=0.2)
            found[rank] = Member(*ended)
    except Empty:
        return found


def _member(
    rank: int,
    size: int,
    port: int,
    timeout_s: float,
    results: Any,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
) -> None:
    os.environ |= {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    import torch

    from dogsgan.training import distributed

    torch.set_num_threads(1)
    distributed.TIMEOUT = timedelta(seconds=timeout_s)
    sys.stderr = said = StringIO()
    try:
        result = work(rank, *arguments)
    except Exception as error:
        traceback.print_exc(file=sys.__stderr__)
        result = f"{type(error).__name__}: {error}"
    results.put((rank, result, said.getvalue()))
    results.close()
    results.join_thread()
