"""The judgement of the averaged generator while it trains, by figures that training knows nothing of."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeAlias

from dogsgan.device import kept_random_state
from dogsgan.files import read_json, write_json
from dogsgan.models.generator_file import BEST_GENERATOR_FILE
from dogsgan.models.sampling import Sampler
from dogsgan.progress import optional
from dogsgan.training.checkpoint import save_averaged
from dogsgan.training.deadline import Deadline
from dogsgan.training.state import TrainingState

Judge: TypeAlias = Callable[[Sampler], Mapping[str, float]]
"""Returns figures of a generator's pictures; the generator with the lowest `JUDGED_BY` is the best."""
JUDGED_BY = "fid"
BEST_FIGURES_FILE = "best-generator.json"
STATISTICS_IMAGES = 1024
"""For the batch norms of a generator that is only judged."""


class JudgeEvery(NamedTuple):
    """Who judges, and after how many images; at ticks."""

    judge: Judge
    images: int


class Judging:
    """Judges the averaged generator every so many images, and keeps the best one in the run."""

    def __init__(self, asked: JudgeEvery | None, state: TrainingState, run: Path, deadline: Deadline) -> None:
        self.asked, self.state, self.run, self.deadline = asked, state, run, deadline
        self._judged_at = state.images_seen
        self._took_s = 0.0

    def figures_if_due(self) -> dict[str, float]:
        """Return the figures of the averaged generator; none where no judgement is due or no time is left."""
        state, asked = self.state, self.asked
        if asked is None or state.images_seen // asked.images == self._judged_at // asked.images:
            return {}
        if self.deadline.training_left_s() < 2 * self._took_s:
            return {}
        self._judged_at, began = state.images_seen, time.monotonic()
        figures: dict[str, float] = {}
        with optional(f"the judgement at {state.images_seen:,} images"), kept_random_state(state.device):
            sampler = Sampler.of(
                state.averaged.module,
                state.recipe,
                tuple(state.class_names),
                images_seen=state.images_seen,
                statistics_images=STATISTICS_IMAGES,
            )
            figures = {name: float(value) for name, value in asked.judge(sampler).items()}
            self._keep_if_best(figures)
        self._took_s = time.monotonic() - began
        return figures

    def _keep_if_best(self, figures: Mapping[str, float]) -> None:
        state, saved = self.state, self.run / BEST_FIGURES_FILE
        if saved.exists() and (self.run / BEST_GENERATOR_FILE).exists():
            before = read_json(saved)
            is_ours = before["images_seen"] <= state.images_seen  # else of a future that was given up
            if is_ours and before["figures"][JUDGED_BY] <= figures[JUDGED_BY]:
                return
        save_averaged(state, self.run / BEST_GENERATOR_FILE)
        write_json(saved, {"images_seen": state.images_seen, "figures": dict(figures)})
