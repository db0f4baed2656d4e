"""Processor cores: how many there are to use, and work that is spread over them with its results in order."""

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Return on how many cores this process may run, at least 1.

    A scheduler or a container often allows fewer than the machine has: that counts, where the system tells.
    """
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Linux alone has it
        return os.cpu_count() or 1


def in_order(
    pool: Executor, work: Callable[[Item], Result], items: Iterable[Item], *, ahead: int
) -> Iterator[tuple[Item, Result]]:
    """Yield each item with what `work` returns for it, in order, while a pool works on up to `ahead` of them.

    What is waiting is given up where the caller stops or `work` fails.
    """
    waiting: deque[tuple[Item, Future[Result]]] = deque()
    remaining = iter(items)
    try:
        for item in itertools.islice(remaining, ahead):
            waiting.append((item, pool.submit(work, item)))
        while waiting:
            item, future = waiting.popleft()
            yield item, future.result()
            for following in itertools.islice(remaining, 1):
                waiting.append((following, pool.submit(work, following)))
    finally:
        for _, future in waiting:
            future.cancel()


def in_threads(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int
) -> Iterator[Result]:
    """Yield what `work` returns for each item, in order, while threads work on up to `ahead` of them.

    Threads suffice where `work` releases the GIL, as Pillow, simplejpeg, zlib and hashlib do.
    """
    with ThreadPoolExecutor(workers) as pool:
        for _, result in in_order(pool, work, items, ahead=ahead):
            yield result
