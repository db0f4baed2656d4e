"""Logger of a training: losses on the bar and in the log, and a grid of samples per tick."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from dogsgan.data.cropset import CropSet
from dogsgan.data.grids import save_grid
from dogsgan.models.sampling import Sampler, draw_noise
from dogsgan.progress import optional
from dogsgan.training.deadline import Deadline
from dogsgan.training.judging import Judging
from dogsgan.training.outlets import Outlet
from dogsgan.training.run_folder import BETWEEN, INIT_FILE, PROCESSOR_S, REALS_FILE, append_line, read_log
from dogsgan.training.state import TrainingState
from dogsgan.training.step import METERS

EXPLODED = 1e4  # a loss beyond this is no training any more
GRID_ROWS, GRID_COLUMNS = 8, 10
GRID_STATISTICS_IMAGES = 512
LINE_INTERVAL_S = 5.0  # a line of the log this often, between ticks too; less often in a long run
MOST_LINES = 500  # as many, about, in any e-fold of a run's time
LEAST_FOR_START_S = 60.0  # a shorter training draws no grid before it begins


class Begun(NamedTuple):
    """When this call of training began."""

    clock_s: float
    """By `time.monotonic`."""
    processor_s: float
    """By `time.process_time`."""

    @classmethod
    def now(cls) -> "Begun":
        """Return the present by both clocks."""
        return cls(time.monotonic(), time.process_time())


class _Span:
    """The losses and the speed since a place in the run."""

    def __init__(self, images_seen: int) -> None:
        self.images, self.began = images_seen, time.monotonic()
        self.totals, self.count = torch.zeros(len(METERS), dtype=torch.float64), 0

    def add(self, totals: torch.Tensor, count: int) -> None:
        """Take the sums of `count` steps' values."""
        self.totals += totals
        self.count += count

    def figures(self, now: float, images_seen: int) -> dict[str, float]:
        """Return the speed until `now`, and the mean of each value."""
        means = (self.totals / max(self.count, 1)).tolist()
        speed = (images_seen - self.images) / (now - self.began)
        named = zip(METERS, means, strict=True)
        return {"images_per_second": round(speed, 2), **{name: round(value, 5) for name, value in named}}


class TrainingLogger:
    """Collects losses on the device, shows them, and writes the log and the sample grids.

    Of several processes all collect and read, the first alone shows and writes (`bar` is None in the others).
    """

    def __init__(
        self,
        state: TrainingState,
        run: Path,
        deadline: Deadline,
        begun: Begun,
        bar: Any,
        *,
        judging: Judging | None = None,
        outlets: Sequence[Outlet] = (),
    ) -> None:
        self.state, self.run, self.deadline, self.begun, self.bar = state, run, deadline, begun, bar
        self._judging, self._outlets = judging, outlets
        self._judged: dict[str, float] = {}
        lines = read_log(run, between=True) if state.group.is_main else []
        self._before_s = _greatest(lines, "elapsed_s")
        self._processor_before_s = _greatest(lines, PROCESSOR_S)
        self.restart()

    def restart(self) -> None:
        """Forget what was collected: the state has changed under it."""
        self._sum = torch.zeros(len(METERS), device=self.state.device)
        self._unread = 0
        self._tick, self._since_line = _Span(self.state.images_seen), _Span(self.state.images_seen)
        self.last_read = time.monotonic()
        self._show({})

    def show_start(self, crop_set: CropSet) -> None:
        """Draw what is to be learned, `reals.png`, and what the untrained generator makes, `init.png`."""
        state, run = self.state, self.run
        if not state.group.is_main:
            return
        if not (run / REALS_FILE).exists():
            with optional(REALS_FILE):
                _save_reals(state, crop_set, run)
        if state.images_seen == 0 and self.deadline.training_left_s() > LEAST_FOR_START_S:
            with optional(INIT_FILE):
                save_grid(_sample_grid(state), run / INIT_FILE, columns=GRID_COLUMNS)
        self._show_grid(REALS_FILE)

    def add(self, values: torch.Tensor) -> None:
        self._sum += values
        self._unread += 1

    def is_due(self) -> bool:
        interval = self.state.recipe.training.tick_images
        return self.state.images_seen // interval > self._tick.images // interval

    def has_news(self) -> bool:
        return self._tick.count > 0

    def read(self) -> bool:
        """Wait for the device, show the losses, and return whether they are still losses in every process."""
        if self._unread:
            values = self.state.group.all_reduce_mean(self._sum.cpu().double())
            self._sum.zero_()
            mean = values / self._unread
            for span in (self._tick, self._since_line):
                span.add(values, self._unread)
            self._unread = 0
            if not bool((mean.abs() < EXPLODED).all()):
                return False
            self._show(dict(zip(METERS, mean.tolist(), strict=True)))
            self._log_between_ticks()
        self.last_read = time.monotonic()
        return True

    def _log_between_ticks(self) -> None:
        """Write a line of the log where the clock says so and no tick is due."""
        now = time.monotonic()
        interval_s = max(LINE_INTERVAL_S, self._elapsed_s(now) / MOST_LINES)
        if not self.state.group.is_main or self.is_due() or now - self._since_line.began < interval_s:
            return
        with optional("a line of the log"):
            self._append({**self._line(now, self._since_line), BETWEEN: True})
        self._since_line = _Span(self.state.images_seen)

    def _elapsed_s(self, now: float) -> float:
        """Return the seconds that the run took so far, earlier calls included."""
        return self._before_s + now - self.begun.clock_s

    def _processor_s(self) -> float:
        """Return the processor seconds that this process spent on the run so far, earlier calls included."""
        return self._processor_before_s + time.process_time() - self.begun.processor_s

    def _show(self, values: dict[str, float]) -> None:
        if self.bar is None:
            return
        shown = {}
        if values:
            shown = {"D": f"{values['discriminator_loss']:.3f}", "G": f"{values['generator_loss']:.3f}"}
            shown |= {f"γ{name}": f"{value:.3f}" for name, value in _gammas(self.state.generator).items()}
        shown |= {name: f"{value:.4g}" for name, value in self._judged.items()}
        left = self.deadline.training_left_s()
        if left < float("inf"):
            shown["left"] = f"{max(left, 0) / 60:.1f} min"
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(self.state.images_seen - self.bar.n)

    def tick(self) -> None:
        """Write a line of the log and a grid of samples."""
        if self.state.group.is_main:
            self._write()
        self.restart()

    def _write(self) -> None:
        state, now = self.state, time.monotonic()
        with optional(f"the line of the log at {state.images_seen:,} images"):
            line = self._line(now, self._tick)
            figures = self._judging.figures_if_due() if self._judging else {}
            self._judged = figures or self._judged
            self._append(line | ({"judged": figures} if figures else {}))
        with optional(f"the grid of samples at {state.images_seen:,} images"):
            self._show_grid(_save_samples(state, self.run))

    def _append(self, line: dict[str, Any]) -> None:
        append_line(self.run, line)
        for outlet in self._outlets:
            with optional("a line of the log outside"):
                outlet.write(line)

    def _show_grid(self, file: str) -> None:
        """Show a grid of the run outside."""
        for outlet in self._outlets:
            with optional("a grid of pictures outside"):
                name = file.partition("/")[0].removesuffix(".png")
                outlet.show(name, self.run / file, images_seen=self.state.images_seen)

    def _line(self, now: float, span: _Span) -> dict[str, Any]:
        state = self.state
        return {
            "images_seen": state.images_seen,
            "steps": state.steps,
            "elapsed_s": round(self._elapsed_s(now), 2),
            PROCESSOR_S: round(self._processor_s(), 2),
            **span.figures(now, state.images_seen),
            "gamma": {player: _gammas(getattr(state, player)) for player in ("generator", "discriminator")},
            "rates_scale": round(state.rates_scale, 5),
            **_held_out_figures(state),
            "reserve_s": round(self.deadline.reserve_s, 1),
            "rollbacks": state.rollbacks,
        }


def _greatest(lines: list[dict[str, Any]], name: str) -> float:
    values = (line.get(name) for line in lines)
    return max((float(value) for value in values if isinstance(value, int | float)), default=0.0)


def _gammas(network: nn.Module) -> dict[str, float]:
    """Return the weight γ of each attention layer by its map size."""
    return {
        name.split(".")[-2]: round(parameter.item(), 5)
        for name, parameter in network.named_parameters()
        if name.endswith(".gamma")
    }


def _held_out_figures(state: TrainingState) -> dict[str, float]:
    """Return how the discriminator judges held-out pictures beside training ones, where some are held out."""
    if state.mean_logits is None:
        return {}
    logits = state.mean_logits
    return {
        "training_logit": round(logits.training, 5),
        "held_out_logit": round(logits.held_out, 5),
        "overfitting": round(logits.overfitting, 5),
        "augmented_share": round(state.augmentation_share.at(state.images_seen), 5),
    }


def _save_samples(state: TrainingState, run: Path) -> str:
    """Draw the same noise and classes at every tick, by the averaged generator; return the file's name."""
    file = f"samples/{state.images_seen:09d}.png"
    save_grid(_sample_grid(state), run / file, columns=GRID_COLUMNS)
    return file


def _sample_grid(state: TrainingState) -> np.ndarray:
    sampler = Sampler.of(
        state.averaged.module,
        state.recipe,
        tuple(state.class_names),
        statistics_images=GRID_STATISTICS_IMAGES,
    )
    z = draw_noise(GRID_ROWS * GRID_COLUMNS, state.recipe.model, random=torch.Generator().manual_seed(0))
    return sampler.pictures(z, torch.from_numpy(_grid_labels(state)))


def _grid_labels(state: TrainingState) -> np.ndarray:
    """Return the class of each place in a grid."""
    count = GRID_ROWS * GRID_COLUMNS
    return np.arange(count) * max(state.class_count, 1) // count


def _save_reals(state: TrainingState, crop_set: CropSet, run: Path) -> None:
    """Draw crops of the classes that the grids of samples show, in the same places."""
    random, chosen = np.random.default_rng(0), []
    for label in _grid_labels(state).tolist():
        of_class = np.flatnonzero(crop_set.labels == label) if state.class_count else np.arange(len(crop_set))
        chosen.append(int(random.choice(of_class if len(of_class) else np.arange(len(crop_set)))))
    pictures = np.stack([crop_set.pictures[index] for index in chosen])[..., : state.recipe.data.channels]
    save_grid(pictures, run / REALS_FILE, columns=GRID_COLUMNS)
