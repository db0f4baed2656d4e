"""Work on blocks: of what size, and on a CPU side by side, one core each, with the results in order.

Where all cores share one matrix product each waits for the slowest: on busy cores that takes longer than on
one alone. Cores that have a block each do not wait.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from dogsgan.cores import Item, Result, in_order
from dogsgan.progress import progress_bar

CPU = torch.device("cpu")
_MOST_WORKERS = 4
_SHARE_OF_FREE_MEMORY, _MOST_ON_GPU = 0.25, 8


def at_once(on_cpu: int, *, row_bytes: int, device: torch.device) -> int:
    """Return how many rows, each of which takes `row_bytes` while it is worked on, to take at once.

    On a CUDA GPU as many as a quarter of its free memory holds, at most eight times as many as elsewhere.
    """
    if device.type != "cuda":
        return on_cpu
    held = int(_SHARE_OF_FREE_MEMORY * _free_bytes(device)) // row_bytes
    return max(1, min(_MOST_ON_GPU * on_cpu, held))


@functools.cache
def _free_bytes(device: torch.device) -> int:
    """Return what a GPU has free when this is first asked: blocks of one search have to stay the same."""
    free, _ = torch.cuda.mem_get_info(device)
    return free


def blocks(count: int, size: int) -> Iterator[slice]:
    """Yield slices of at most `size` that cover `range(count)` in order."""
    for start in range(0, count, size):
        yield slice(start, min(start + size, count))


def blockwise(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    description: str | None = None,
    most: int = _MOST_WORKERS,
    device: torch.device = CPU,
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` returns for it, in order, working on up to `most` at once.

    `description` heads a progress bar; None shows none. The workers share torch's number of threads among
    them; for everybody else it stays what it is, however long this lasts. Another `device` than the CPU gets
    one item after the other: it works on each with all that it has.
    """
    shown = progress_bar(items, description=description, unit="blocks") if description else items
    if device.type != "cpu":
        yield from ((item, work(item)) for item in shown)
        return
    threads = torch.get_num_threads()
    workers = min(threads, most)
    with ThreadPoolExecutor(workers, initializer=_take_share, initargs=(threads // workers,)) as pool:
        _start_all(pool, workers)
        torch.set_num_threads(threads)  # what the workers took, threads that start from now on would too
        yield from in_order(pool, work, shown, ahead=workers + 1)


def _take_share(share: int) -> None:
    """Have torch use `share` threads for what this thread calls."""
    torch.get_num_threads()  # a thread's first look takes over the process's number, so it comes before
    torch.set_num_threads(share)


def _start_all(pool: ThreadPoolExecutor, workers: int) -> None:
    """Return when every worker of a fresh pool has started: none is free before all of them have."""
    everybody = threading.Barrier(workers + 1)
    for _ in range(workers):
        pool.submit(everybody.wait)
    everybody.wait()
