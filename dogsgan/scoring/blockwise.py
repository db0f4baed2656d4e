"""Work on blocks side by side, one core each, with the results in order.

A matrix product that all cores share ends when the last of them does: on cores that are busy with something
else too it is slower than on one alone. With a block of its own none waits.
"""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from dogsgan.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")

_MOST_WORKERS = 4


def blockwise(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    description: str | None = None,
    most: int = _MOST_WORKERS,
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` returns for it, in order, working on up to `most` at once.

    `description` heads a progress bar; None shows none. While this lasts, torch's own number of threads is
    lowered.
    """
    threads = torch.get_num_threads()
    workers = min(threads, most)
    remaining = iter(progress_bar(items, description=description, unit="blocks") if description else items)
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    share = (threads // workers,)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=share) as pool:
        try:
            for item in itertools.islice(remaining, workers + 1):
                waiting.append((item, pool.submit(work, item)))
            while waiting:
                item, future = waiting.popleft()
                yield item, future.result()
                for following in itertools.islice(remaining, 1):
                    waiting.append((following, pool.submit(work, following)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)
