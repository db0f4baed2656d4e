"""Several processes, started by `torchrun`, that train one run as one: what they share out and agree on.

Each takes its share of every batch (`share.py`); DistributedDataParallel averages the gradients, and batch
norm sees the whole batch (`global_norm.py`). Weights, optimisers, averages and random states are the same in
all of them, to the last bit, so process 0 alone writes: log, samples, checkpoints. What depends on a clock, a
signal or one process's losses is agreed on between two steps, over the CPU, which no GPU waits for.

A run goes on with any number of processes, on the same batches with the same noise; only dropout, which a
layer draws for itself, is another in each. Two go on to the last bit; a change of their number, or more than
two, changes the order of sums, and so the last digits.

They may be on several machines (nodes), each with a run folder of its own: the first process of each takes
the checkpoints that process 0 wrote (`checkpoint_manager.py`).

NCCL connects GPUs, gloo CPUs. Who loses another process ends with `ProcessLost`: at once when that process
has ended, after `TIMEOUT` when it hangs. The last checkpoint and its generator are then on disk.
"""

import functools
import itertools
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from dogsgan.device import pick_device, works
from dogsgan.errors import DogsganError, ProcessLost
from dogsgan.progress import say
from dogsgan.training.share import WHOLE, Share

TIMEOUT = timedelta(minutes=5)  # of one exchange; process 0 writes a checkpoint and samples within it
OUT_OF_MEMORY_NOTE = "out-of-memory"
LOST_SIGNS = (
    *("gloo", "nccl", "connection closed", "connection reset", "broken pipe"),
    *("timed out waiting", "wait timeout", "socket has timed out"),  # the last two: of the store
)

T = TypeVar("T")

_openings = itertools.count()  # runs in one process keep their entries in the store apart


class ProcessGroup:
    """The processes that train together: here one, which has nobody to ask."""

    share: Share = WHOLE
    leads_node = True  # whether this is the first process of its machine
    spans_nodes = False  # whether there are several machines
    is_broken = False  # whether a process is known to be missing: there must be no exchange any more

    def __init__(self, device: torch.device) -> None:
        self.device = device

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes."""
        return self.share.rank == 0

    @property
    def is_distributed(self) -> bool:
        """Whether there are others."""
        return self.share.size > 1

    def say(self, text: str) -> None:
        """Tell people once what every process knows."""
        if self.is_main:
            say(text)

    def sync_batch_norm(self, network: nn.Module, *, twice: bool = False) -> None:
        """Compute the batch norms of a network over all processes; `twice`: with a second derivative."""

    def wrap_ddp(self, network: nn.Module) -> nn.Module:
        """Return the network to call, with DistributedDataParallel around it where there are others."""
        return network

    def all_reduce_max(self, *values: int) -> tuple[int, ...]:
        """Return the all_reduce_max that any process gave, in each place."""
        return values

    def all_reduce_mean(self, values: Tensor) -> Tensor:
        """Return the mean over the processes of a float tensor on the CPU."""
        return values

    def broadcast(self, value: T, *, source: int = 0) -> T:
        """Return the value of one process in every process."""
        return value

    def broadcast_to_nodes(self, value: T, *, source: int) -> T:
        """Return the value of one first process of a machine in all such processes, which alone call this."""
        return value

    def all_gather(self, value: T) -> list[T]:
        """Return the values of all processes, in their order."""
        return [value]

    @contextmanager
    def refuses_together(self) -> Iterator[None]:
        """Have a user error in one process end all of them, each with its text; exchange nothing within."""
        refusal = None
        try:
            yield
        except DogsganError as error:
            refusal = error
        for rank, text in enumerate(self.all_gather(None if refusal is None else str(refusal))):
            if text is not None:
                raise refusal or DogsganError(f"process {rank}: {text}")

    def all_true(self, condition: bool) -> bool:
        """Return whether `condition` holds in every process."""
        return not self.all_reduce_max(int(not condition))[0]

    def note_out_of_memory(self) -> None:
        """Tell the others why they will miss this process."""

    def is_out_of_memory_elsewhere(self) -> bool:
        """Return whether another process did."""
        return False


class DistributedProcessGroup(ProcessGroup):
    """One of several processes, connected by torch's default process group."""

    def __init__(self, device: torch.device, share: Share, store: Any) -> None:
        super().__init__(device)
        import torch.distributed as dist

        self.share, self._store = share, store
        nodes = self.all_gather(os.environ.get("GROUP_RANK"))
        leaders = [nodes.index(node) for node in dict.fromkeys(nodes)]
        self.leads_node, self.spans_nodes = share.rank in leaders, len(leaders) > 1
        self._leaders = dist.new_group(leaders, backend="gloo") if self.spans_nodes else None
        if self.spans_nodes and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
            self.say("a machine that is lost cannot come back without TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1")

    def sync_batch_norm(self, network: nn.Module, *, twice: bool = False) -> None:
        from dogsgan.training.global_norm import normalise_over_processes

        normalise_over_processes(network, twice=twice)

    def wrap_ddp(self, network: nn.Module) -> nn.Module:
        # Buffers are the same everywhere without being sent around: batch statistics are the whole batch's,
        # and a power iteration depends on the weights alone.
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "`broadcast_buffers`", FutureWarning
            )  # its successor is too new
            return nn.parallel.DistributedDataParallel(
                network, broadcast_buffers=False, gradient_as_bucket_view=True
            )

    def all_reduce_max(self, *values: int) -> tuple[int, ...]:
        import torch.distributed as dist

        together = torch.tensor(values, dtype=torch.int64)
        dist.all_reduce(together, op=dist.ReduceOp.MAX)
        return tuple(together.tolist())

    def all_reduce_mean(self, values: Tensor) -> Tensor:
        import torch.distributed as dist

        total = values.clone()
        dist.all_reduce(total)
        return total / self.share.size

    def broadcast(self, value: T, *, source: int = 0) -> T:
        return _broadcast(value, source)

    def broadcast_to_nodes(self, value: T, *, source: int) -> T:
        return _broadcast(value, source, group=self._leaders)

    def all_gather(self, value: T) -> list[T]:
        import torch.distributed as dist

        gathered = [value] * self.share.size
        dist.all_gather_object(gathered, value)
        return gathered

    def note_out_of_memory(self) -> None:
        self.is_broken = True
        with suppress(RuntimeError):  # the process that keeps the notes is gone
            self._store.set(OUT_OF_MEMORY_NOTE, "yes")

    def is_out_of_memory_elsewhere(self) -> bool:
        with suppress(RuntimeError):
            self.is_broken = bool(self._store.check([OUT_OF_MEMORY_NOTE]))
        return self.is_broken


def _broadcast(value: T, source: int, group: Any = None) -> T:
    import torch.distributed as dist

    told = [value]
    dist.broadcast_object_list(told, src=source, group=group, device=torch.device("cpu"))
    return told[0]


@contextmanager
def open_process_group(device: str = "auto") -> Iterator[ProcessGroup]:
    """Join the processes that `torchrun` started together with this one, if it did.

    Raises:
        DogsganError: the device cannot be used, or not by so many processes.
        ProcessLost: another process ended or hangs.
    """
    size = processes()
    if size == 1:
        yield ProcessGroup(pick_device(device))
        return
    import torch.distributed as dist

    rank = int(os.environ["RANK"])
    own = _own_device(device, size)
    try:
        place = f"dogsgan-{_attempt(size)}-{next(_openings)}"
        store = dist.PrefixStore(place, _meeting_point(rank, size))
        dist.init_process_group(
            "gloo" if own.type == "cpu" else "cpu:gloo,cuda:nccl",
            store=dist.PrefixStore("group", store),
            rank=rank,
            world_size=size,
            timeout=TIMEOUT,
        )
        group = DistributedProcessGroup(own, Share(rank, size), dist.PrefixStore("notes", store))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Grad strides do not match")  # sides of 1 have any stride
            try:
                yield group
            except DogsganError:  # which all of them have
                dist.destroy_process_group()
                raise
        if not group.is_broken:
            dist.destroy_process_group()
    except RuntimeError as error:
        if is_lost(error):
            raise ProcessLost(
                f"process {rank} of {size} lost another one, which has ended or does not answer: the run "
                "goes on from the last checkpoint, by torchrun --max-restarts or the same command again"
            ) from error
        raise


def is_lost(error: Exception) -> bool:
    """Return whether an error of torch says that another process does not answer."""
    return any(sign in str(error).lower() for sign in LOST_SIGNS)


def processes() -> int:
    """Return how many processes `torchrun` (or whoever sets what it sets) started for one run."""
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    if not all(name in os.environ for name in names):
        return 1
    return int(os.environ["WORLD_SIZE"])


def _own_device(name: str, size: int) -> torch.device:
    """Return the device of this process: the GPU of its number, or the CPU for all."""
    if name not in ("auto", "cuda", "cpu"):
        raise DogsganError(f"--device {name} with {size} processes: take auto or cuda (one GPU each), or cpu")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return pick_device("cpu")
    index = int(os.environ["LOCAL_RANK"])
    gpu = torch.device("cuda", index)
    if index >= torch.cuda.device_count() or not works(gpu):
        raise DogsganError(
            f"{size} processes need a working GPU each, and number {index} is none: "
            "start fewer with --nproc-per-node, or add --device cpu"
        )
    torch.cuda.set_device(gpu)
    return gpu


def _attempt(size: int) -> str:
    """Return what tells the store's entries from those of processes that `torchrun` replaced by these.

    On one machine the store is that of `torchrun` itself, and lives on. On several, its counts differ.
    """
    is_one_machine = os.environ.get("LOCAL_WORLD_SIZE") == str(size)
    return os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") if is_one_machine else "0"


@functools.cache
def _meeting_point(rank: int, size: int) -> Any:
    """Return the store by which the processes find each other, joined once."""
    import torch.distributed as dist

    store, _, _ = next(dist.rendezvous("env://", rank=rank, world_size=size, timeout=TIMEOUT))
    return store
