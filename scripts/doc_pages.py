"""Command lines that README and docs show, and the outputs that they quote."""

import re
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_COMMAND = re.compile(r"(?:^|[\s`/(])dogsgan ((?:[a-z]+)(?: [^`\n|;&#]*)?)")
_NAMED_ONLY = re.compile(r"[a-z ]+")  # `dogsgan kernel build`, in a sentence
_FENCED = re.compile(r"```[a-z]*\n(.*?)```", re.DOTALL)
_OUTPUT = re.compile(r"(<!-- output of: dogsgan ([^\n]+?) -->\n```[a-z]*\n)(.*?)(```)", re.DOTALL)


def commands_of(text: str) -> list[str]:
    """Return the command lines of a page, from blocks of code (joined over `\\`) and from backticks."""
    text = _OUTPUT.sub("", text).replace("\\\n", " ")
    lines = [line for block in _FENCED.findall(text) for line in block.splitlines()]
    lines += re.findall(r"^    (?!    ).*$", text, flags=re.MULTILINE)
    lines += [" ".join(line.split()) for line in re.findall(r"`(dogsgan\s[^`]+)`", _FENCED.sub("", text))]
    found = [" ".join(match.group(1).split()) for line in lines for match in _COMMAND.finditer(line)]
    return [line for line in found if "…" not in line and not _NAMED_ONLY.fullmatch(line)]


def with_outputs(text: str, output_of: Callable[[str], str]) -> str:
    """Return a page whose marked blocks hold what `output_of` gives for the command that the marker names.

    A marker is the line `<!-- output of: dogsgan presets -->`; the fenced block follows at once.
    """
    return _OUTPUT.sub(lambda match: f"{match[1]}{output_of(match[2]).rstrip()}\n{match[4]}", text)
