"""What a run shows while it trains: losses on the bar, a line in the log and a grid of samples per tick."""

import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dogsgan.device import is_out_of_memory
from dogsgan.errors import DogsganError
from dogsgan.grids import save_grid
from dogsgan.models.noise import draw_noise
from dogsgan.progress import say
from dogsgan.training.deadline import Deadline
from dogsgan.training.ema import to_uint8, with_own_statistics
from dogsgan.training.log import append_line
from dogsgan.training.state import TrainingState
from dogsgan.training.step import METERS

EXPLODED = 1e4  # a loss beyond this is no training any more
GRID_ROWS, GRID_COLUMNS = 8, 10
GRID_STATISTICS_IMAGES = 512


class Ticker:
    """Collects losses on the device, shows them, and writes the log and the sample grids.

    Of several processes all collect and read, the first alone shows and writes (`bar` is None in the others).
    """

    def __init__(self, state: TrainingState, run: Path, deadline: Deadline, begun: float, bar: Any) -> None:
        self.state, self.run, self.deadline, self.begun, self.bar = state, run, deadline, begun, bar
        self.restart()

    def restart(self) -> None:
        """Forget what was collected: the state has changed under it."""
        self._sum = torch.zeros(len(METERS), device=self.state.device)
        self._totals = torch.zeros(len(METERS), dtype=torch.float64)
        self._count = self._unread = 0
        self._tick_images, self._tick_began = self.state.images_seen, time.monotonic()
        self.last_read = time.monotonic()
        self._show({})

    def add(self, values: torch.Tensor) -> None:
        self._sum += values
        self._unread += 1

    def is_due(self) -> bool:
        interval = self.state.recipe.training.tick_images
        return self.state.images_seen // interval > self._tick_images // interval

    def has_news(self) -> bool:
        return self._count > 0

    def read(self) -> bool:
        """Wait for the device, show the losses, and return whether they are still losses in every process."""
        if self._unread:
            values = self.state.team.mean(self._sum.cpu().double())
            self._sum.zero_()
            mean = values / self._unread
            self._totals += values
            self._count += self._unread
            self._unread = 0
            if not bool((mean.abs() < EXPLODED).all()):
                return False
            self._show(dict(zip(METERS, mean.tolist(), strict=True)))
        self.last_read = time.monotonic()
        return True

    def _show(self, values: dict[str, float]) -> None:
        if self.bar is None:
            return
        shown = {}
        if values:
            shown = {"D": f"{values['discriminator_loss']:.3f}", "G": f"{values['generator_loss']:.3f}"}
            shown |= {f"γ{name}": f"{value:.3f}" for name, value in _gammas(self.state.generator).items()}
        left = self.deadline.training_left_s()
        if left < float("inf"):
            shown["left"] = f"{max(left, 0) / 60:.1f} min"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(self.state.images_seen - self.bar.n)

    def tick(self) -> None:
        """Write a line of the log and a grid of samples."""
        if self.state.team.leads:
            self._write()
        self.restart()

    def _write(self) -> None:
        state, now = self.state, time.monotonic()
        means = (self._totals / max(self._count, 1)).tolist()
        line = {
            "images_seen": state.images_seen,
            "steps": state.steps,
            "elapsed_s": round(now - self.begun, 2),
            "images_per_second": round((state.images_seen - self._tick_images) / (now - self._tick_began), 2),
            **{name: round(value, 5) for name, value in zip(METERS, means, strict=True)},
            "gamma": {player: _gammas(getattr(state, player)) for player in ("generator", "discriminator")},
            "reserve_s": round(self.deadline.reserve_s, 1),
            "rollbacks": state.rollbacks,
        }
        try:
            append_line(self.run, line)
            _save_samples(state, self.run)
        except (OSError, RuntimeError, DogsganError) as error:
            if isinstance(error, RuntimeError) and not is_out_of_memory(error):
                raise
            say(f"log or samples at {state.images_seen:,} images not written: {error}")


def _gammas(network: nn.Module) -> dict[str, float]:
    """Return the weight γ of each attention layer by its map size."""
    return {
        name.split(".")[-2]: round(parameter.item(), 5)
        for name, parameter in network.named_parameters()
        if name.endswith(".gamma")
    }


def _save_samples(state: TrainingState, run: Path) -> None:
    """Draw the same noise and classes at every tick, by the averaged generator."""
    count = GRID_ROWS * GRID_COLUMNS
    generator = with_own_statistics(
        state.averaged.module,
        model=state.recipe.model,
        class_count=state.class_count,
        images=GRID_STATISTICS_IMAGES,
    )
    z = draw_noise(count, state.recipe.model, random=torch.Generator().manual_seed(0)).to(state.device)
    labels = (torch.arange(count) * max(state.class_count, 1) // count).to(state.device)
    with torch.no_grad():
        pictures = to_uint8(generator(z, labels))
    save_grid(pictures, run / "samples" / f"{state.images_seen:09d}.png", columns=GRID_COLUMNS)
