"""Batches through a network on the CPU side by side, one core each, rather than each on all cores in turn.

Cores that share a batch wait for each other after every layer. With a batch of its own none waits, which is
worth a
third of the time on two idle cores and more on busy ones.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch

from dogsgan.scoring.networks import FeatureNetwork

_MOST_WORKERS = 8


def in_parallel(
    batches: Iterable[tuple[np.ndarray, list[str]]], network: FeatureNetwork
) -> Iterator[tuple[torch.Tensor, list[str]]]:
    """Yield the features, N×D, of each batch (N×H×W×3, names) with its names, in order.

    On the CPU several batches are worked on at once; while that lasts, torch's own number of threads is
    lowered.
    """
    threads = torch.get_num_threads()
    workers = min(threads, _MOST_WORKERS)
    if network.device.type != "cpu" or workers == 1:
        for pictures, names in batches:
            yield network.features(pictures), names
        return
    waiting: deque[tuple[Future[torch.Tensor], list[str]]] = deque()
    remaining = iter(batches)
    share = (threads // workers,)
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=share) as pool:
        try:
            for pictures, names in itertools.islice(remaining, workers + 1):
                waiting.append((pool.submit(network.features, pictures), names))
            while waiting:
                future, names = waiting.popleft()
                yield future.result(), names
                for pictures, following in itertools.islice(remaining, 1):
                    waiting.append((pool.submit(network.features, pictures), following))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
            torch.set_num_threads(threads)
