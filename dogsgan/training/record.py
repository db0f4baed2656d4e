"""Record of a run, read from its folder or from the whole `out`, and the model card of its generator.

The card is a `README.md` in the form that Hugging Face reads.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dogsgan import __version__
from dogsgan.config import Recipe
from dogsgan.data.cropset import CropSet
from dogsgan.data.layouts import layout_of_kind
from dogsgan.errors import DogsganError, printable
from dogsgan.files import read_json, write_text
from dogsgan.number_text import percent, significant
from dogsgan.tensors import GENERATOR_FILE
from dogsgan.training.run_folder import INIT_FILE, REALS_FILE, read_log, read_recipe

REPORT_FILE = "report.json"
CARD_FILE = "README.md"
MARK = "<!-- written by dogsgan; without this line the file is yours and stays as it is -->"
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
        shown = evenly_spread(self.run / "samples", most=MOST_GRIDS)
        over_time = [(f"{int(path.stem):,} images seen", path) for path in shown]
        reals = [("training pictures, in the same places", self.run / REALS_FILE)]
        return [(caption, path) for caption, path in [*start, *over_time, *reals] if path.is_file()]


def evenly_spread(samples: Path, *, most: int) -> list[Path]:
    """Return at most so many of a run's grids of samples, evenly over it, the first and the last included."""
    grids = sorted(path for path in samples.glob("*.png") if path.stem.isdigit())
    step = max(1.0, (len(grids) - 1) / (most - 1))
    return [grids[round(index * step)] for index in range(min(len(grids), most))]


def duration(hours: float) -> str:
    """Return hours for people, as `3.5 hours` or `12 minutes`."""
    return f"{hours:.1f} hours" if hours >= 2 else f"{hours * 60:.0f} minutes"


def write_card(run: Path, crop_set: CropSet) -> None:
    """Write the card into a run folder, unless somebody has written another one there.

    Figures come from the `report.json` of `dogsgan run`, where there is one.

    Raises:
        DogsganError: the run is damaged, or the card cannot be written.
    """
    path = run / CARD_FILE
    if path.is_file() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        return
    write_text(path, render_card(RunRecord.open(run), crop_set))


def render_card(record: RunRecord, crop_set: CropSet) -> str:
    """Return the card of a run that was trained on `crop_set`."""
    recipe, provenance = record.recipe, crop_set.provenance
    size, task = recipe.data.size_px, "class-conditional" if recipe.model.conditional else "unconditional"
    layout = layout_of_kind(provenance.get("kind"))
    licence = layout.licence if layout else ""
    lines = [
        "---",
        "library_name: dogsgan",
        "pipeline_tag: unconditional-image-generation",
        "tags: [gan, image-generation, dogsgan]",
        f"generator: {GENERATOR_FILE}",
        "---",
        MARK,
        "",
        f"# {recipe.name}: {size}×{size} px, {task}",
        "",
        f"An averaged generator ({recipe.model.architecture}), trained by dogsgan {__version__} on "
        f"{record.images_seen:,} images in {duration(record.hours)}.",
        "",
        "```sh",
        "dogsgan generate . --out images.zip",
        "```",
        "",
        "## Data",
        "",
        f"- {len(crop_set):,} crops ({provenance.get('policy', 'as they were')}) of "
        f"{_plain(provenance.get('description', 'a prepared set'))}",
        f"- Licence: {licence or 'not known to dogsgan: say here whose pictures these are'}",
        f"- Fingerprint of the prepared set: `{crop_set.fingerprint}`",
        "",
        "## Recipe",
        "",
        *_recipe_lines(record),
        "",
        "## Figures",
        "",
        *_figures(record),
        "",
        "## Memorisation",
        "",
        *_memorisation(record),
    ]
    grids = [path for _, path in record.grids() if path.parent.name == "samples"]
    if grids:
        newest = grids[-1].relative_to(record.run).as_posix()
        lines += ["", "## Pictures", "", f"![Generated pictures, not chosen]({newest})"]
    return "\n".join(lines) + "\n"


def _recipe_lines(record: RunRecord) -> list[str]:
    training, model = record.recipe.training, record.recipe.model
    return [
        f"- batches of {training.batch_size}, learning rates {training.generator_lr:g} and "
        f"{training.discriminator_lr:g}, loss {training.loss}",
        f"- attention at {_sizes(model.generator_attention_px)} (generator) and "
        f"{_sizes(model.discriminator_attention_px)} (discriminator), average of half-life "
        f"{training.ema_halflife_images:,} images",
        "- every value: `recipe.json`",
    ]


def _sizes(sizes: tuple[int, ...]) -> str:
    return ", ".join(f"{size} px" for size in sizes) or "no size"


def _figures(record: RunRecord) -> list[str]:
    score = record.stage("score")
    if not score:
        return ["Not scored. `dogsgan run`, or `dogsgan score` on a zip of its pictures, gives them."]
    lines = [
        f"By {_plain(score['description'])}, {score['generated']:,} generated pictures; {score['note']}.",
        "",
        "| figure | value |",
        "| --- | ---: |",
    ]
    metrics: dict[str, Any] = score.get("metrics") or {}
    lines += [f"| {each['title']} | {significant(each['value'], 4)} |" for each in metrics.values()]
    recognition = score.get("recognition")
    if recognition:
        real = recognition.get("real")
        beside = f" (real crops {percent(real['in_classes'])})" if real else ""
        lines.append(
            f"| first guess one of {recognition['classes']} | {percent(recognition['in_classes'])}{beside} |"
        )
    return lines


def _memorisation(record: RunRecord) -> list[str]:
    audit = record.stage("audit")
    if not audit:
        return ["Not audited. `dogsgan audit images.zip --real SOURCE --out DIR` looks for copies."]
    return [
        f"{_plain(audit['verdict'])}. A generated picture's mean distance to the nearest training picture is "
        f"{significant(audit['distance'], 4)}; {audit['note']}."
    ]


def _plain(text: Any) -> str:
    """Return untrusted text on one line, without what Markdown would take for markup."""
    return printable(str(text)).replace("<", "‹").replace("|", "¦").replace("`", "'")
