"""The model card of a run's generator: `README.md` in the form that Hugging Face reads."""

from pathlib import Path
from typing import Any

from dogsgan import __version__
from dogsgan.data.cropset import CropSet
from dogsgan.data.layouts import layout_of_kind
from dogsgan.errors import printable
from dogsgan.files import write_text
from dogsgan.number_text import percent, significant
from dogsgan.run_report.record import RunRecord, duration
from dogsgan.tensors import GENERATOR_FILE

CARD_FILE = "README.md"
MARK = "<!-- written by dogsgan; without this line the file is yours and stays as it is -->"


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
