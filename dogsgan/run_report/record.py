"""Record of a run, read from its folder or from the whole `out` for its page and its model card."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogsgan.config import Recipe
from dogsgan.errors import DogsganError
from dogsgan.files import read_json
from dogsgan.training.log import read_log
from dogsgan.training.run_folder import INIT_FILE, REALS_FILE, read_recipe

REPORT_FILE = "report.json"
MOST_GRIDS = 6
"""Grids of samples that are shown, spread over the run."""


@dataclass(frozen=True)
class RunRecord:
    """The files and figures of a run; what is not there is empty or None."""

    out: Path
    """Where `run` left everything, or the run folder itself."""
    run: Path
    recipe: Recipe
    log: tuple[dict[str, Any], ...]
    """The lines of its ticks."""
    stages: Mapping[str, Any] = field(default_factory=dict)
    """`report.json` of `dogsgan run`."""

    @classmethod
    def open(cls, path: Path) -> "RunRecord":
        """Read a run from the folder of `dogsgan run` or from a run folder.

        Raises:
            DogsganError: there is no run, or its recipe or report is damaged.
        """
        path = Path(path)
        run = path / "run"
        saved = read_recipe(run)
        if saved is None:
            run, saved = path, read_recipe(path)
        if saved is None:
            raise DogsganError(f"no run in {path}: name the folder of `dogsgan run`, or a run folder")
        out = path if run != path or not (path.parent / REPORT_FILE).is_file() else path.parent
        stages = read_json(out / REPORT_FILE) if (out / REPORT_FILE).is_file() else {}
        if not isinstance(stages, dict):
            raise DogsganError(f"{out / REPORT_FILE} is not a report of `dogsgan run`: remove it")
        return cls(out, run, saved[0], tuple(read_log(run)), stages)

    @property
    def images_seen(self) -> int:
        """Images that the run was trained on, by its log."""
        return max((int(line["images_seen"]) for line in self.log), default=0)

    @property
    def hours(self) -> float:
        """Hours that training took by the clock, over all its calls."""
        return max((float(line.get("elapsed_s") or 0) for line in self.log), default=0.0) / 3600

    def stage(self, name: str) -> dict[str, Any]:
        """Return what `report.json` says of a stage; empty where it did not run."""
        found = self.stages.get(name)
        return found if isinstance(found, dict) else {}

    def grids(self) -> list[tuple[str, Path]]:
        """Return the grids that tell the run's story, each with its caption."""
        start = [("untrained", self.run / INIT_FILE)]
        samples = sorted(path for path in (self.run / "samples").glob("*.png") if path.stem.isdigit())
        places = sorted({round(index * (len(samples) - 1) / (MOST_GRIDS - 1)) for index in range(MOST_GRIDS)})
        shown = [samples[place] for place in places] if samples else []
        over_time = [(f"{int(path.stem):,} images seen", path) for path in shown]
        reals = [("training pictures, in the same places", self.run / REALS_FILE)]
        return [(caption, path) for caption, path in [*start, *over_time, *reals] if path.is_file()]


def duration(hours: float) -> str:
    """Return hours for people, as `3.5 hours` or `12 minutes`."""
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"
