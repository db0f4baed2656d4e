"""Every command line in README and docs is one that the parser takes."""

import re
import shlex
from pathlib import Path

import pytest

from dogsgan.cli import build_parser

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:^|[\s`/(])dogsgan ((?:[a-z]+)(?: [^`\n|;&#]*)?)")
NAMED_ONLY = re.compile(r"[a-z ]+")  # `dogsgan kernel build`, in a sentence


def commands_of(page: Path) -> list[str]:
    """Return the command lines of a page, from blocks of code (joined over `\\`) and from backticks."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    fenced = r"```[a-z]*\n(.*?)```"
    lines = [line for block in re.findall(fenced, text, flags=re.DOTALL) for line in block.splitlines()]
    lines += re.findall(r"^    (?!    ).*$", text, flags=re.MULTILINE)
    lines += re.findall(r"`(dogsgan [^`]+)`", re.sub(fenced, "", text, flags=re.DOTALL))
    found = [match.group(1).strip() for line in lines for match in COMMAND.finditer(line)]
    return [line for line in found if "…" not in line and not NAMED_ONLY.fullmatch(line)]


LINES = [(page.name, line) for page in PAGES for line in commands_of(page)]


@pytest.mark.parametrize(("page", "line"), LINES)
def test_the_command_can_be_parsed(page, line):
    words = shlex.split(re.sub(r"[\[\]]|\$\w+", "", line))
    build_parser().parse_args(words)  # exits where it cannot


def test_there_are_as_many_as_there_should_be():
    assert len(LINES) > 40
