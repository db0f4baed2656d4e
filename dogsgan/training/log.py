"""Log of a run: lines of figures in `log.jsonl`, one a tick and some between, and the plot of them."""

import contextlib
import json
from pathlib import Path
from typing import Any

from dogsgan.files import atomic_path, write_text

LOG_FILE, PLOT_FILE = "log.jsonl", "losses.png"
PROCESSOR_S = "processor_s"
"""In a line: the processor seconds of the run so far, those of all threads, over all its calls."""
BETWEEN = "between_ticks"
"""Marks a line that was written because time had passed, and not because a tick was due."""


def append_line(run: Path, line: dict[str, Any]) -> None:
    """Add one line to the log."""
    with (run / LOG_FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read_log(run: Path, *, between: bool = False) -> list[dict[str, Any]]:
    """Return the log's complete lines, one a tick, and those `between` them; what a kill cut is left out."""
    lines = []
    path = run / LOG_FILE
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        with contextlib.suppress(json.JSONDecodeError):
            line = json.loads(text)
            if not isinstance(line, dict) or type(line.get("images_seen")) is not int:
                continue
            if between or not line.get(BETWEEN):
                lines.append(line)
    return lines


def cut_log(run: Path, *, images_seen: int) -> None:
    """Drop the lines beyond `images_seen`: a resumed run writes them again."""
    kept = [line for line in read_log(run, between=True) if line["images_seen"] <= images_seen]
    write_text(run / LOG_FILE, "".join(json.dumps(line) + "\n" for line in kept))


def plot_losses(run: Path) -> None:
    """Draw both losses and the mean logits over images seen to `losses.png`, once there is a line."""
    lines = read_log(run, between=True)
    if not lines:
        return
    from matplotlib.figure import Figure  # only here: its import takes a second

    figure = Figure(figsize=(9, 4), layout="constrained")
    images = [line["images_seen"] for line in lines]
    panels = (
        ("loss", {"discriminator": "discriminator_loss", "generator": "generator_loss"}),
        ("mean logit", {"real": "real_logit", "generated": "fake_logit"}),
    )
    for axes, (title, curves) in zip(figure.subplots(1, 2), panels, strict=True):
        for label, key in curves.items():
            axes.plot(images, [line[key] for line in lines], label=label)
        axes.set(xlabel="images seen", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    with atomic_path(run / PLOT_FILE) as partial:
        figure.savefig(partial, format="png", dpi=100)
