"""Work on blocks side by side, one core each, with the results in order.

Where all cores share one matrix product each waits for the slowest: on busy cores that takes longer than on
one alone. Cores that have a block each do not wait.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

import torch

from dogsgan.cores import Item, Result, in_order
from dogsgan.progress import progress_bar

_MOST_WORKERS = 4


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
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` returns for it, in order, working on up to `most` at once.

    `description` heads a progress bar; None shows none. The workers share torch's number of threads among
    them; for everybody else it stays what it is, however long this lasts.
    """
    threads = torch.get_num_threads()
    workers = min(threads, most)
    shown = progress_bar(items, description=description, unit="blocks") if description else items
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
