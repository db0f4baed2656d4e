"""Every command line in README and docs can be parsed, and the outputs that they quote are true."""

import argparse
import re
import shlex
from pathlib import Path

import pytest
from doc_pages import PAGES, commands_of, with_outputs
from run_docs import NARROW, left_out, lines_of_pages, toy

from dogsgan.cli import build_parser, main
from dogsgan.commands.generate import _Target
from dogsgan.commands.options import path


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return a parser and those of all its commands."""
    groups = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    below = [found for group in groups for child in group.choices.values() for found in parsers(child)]
    return [parser, *below]


LINES = [(page.name, line) for page in PAGES for line in commands_of(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("page", "line"), LINES)
def test_the_command_can_be_parsed(page: str, line: str) -> None:
    for form in (line.replace("[", "").replace("]", "").replace("$hurried", ""), toy(line)):
        build_parser().parse_args(shlex.split(form))  # exits where it cannot


def torchrun_lines() -> list[str]:
    pages = [page.read_text(encoding="utf-8").replace("\\\n", " ") for page in PAGES]
    return [
        line for page in pages for line in re.findall(r"^(?:[A-Z_]+=1 )?torchrun (.+)$", page, re.MULTILINE)
    ]


@pytest.mark.parametrize("line", torchrun_lines())
def test_torchrun_reads_its_own_part_of_a_line(line: str) -> None:
    from torch.distributed.run import parse_args

    parsed = parse_args(shlex.split(line))
    assert (parsed.module, parsed.training_script) == (True, "dogsgan")
    assert parsed.training_script_args == shlex.split(line.partition(" dogsgan ")[2])
    assert parsed.standalone != (parsed.rdzv_backend == "c10d" and bool(parsed.rdzv_endpoint))


def test_there_are_as_many_as_there_should_be() -> None:
    assert len(torchrun_lines()) == 2
    assert len(LINES) > 40


def test_a_page_s_commands_are_found() -> None:
    page = """
Text with `dogsgan run
dogs.zip --out out`, `dogsgan kernel build` by name only, and `dogsgan audit …`.

```sh
OMP_NUM_THREADS=1 dogsgan train --data crops \\
    --run run  # a remark
$ .venv/bin/dogsgan check a.zip && ls
```

<!-- output of: dogsgan presets -->
```
not dogsgan run --me
```

    python -m dogsgan cache --clear
"""
    assert sorted(commands_of(page)) == [
        "cache --clear",
        "check a.zip",
        "run dogs.zip --out out",
        "train --data crops --run run",
    ]


def test_only_marked_blocks_are_rewritten() -> None:
    kept = "```\nolder\n```\n"
    page = (
        f"{kept}<!-- output of: dogsgan check a.zip --json -->\n```console\nolder\nstill\n```\nafter\n{kept}"
    )
    asked = []
    written = with_outputs(page, lambda command: asked.append(command) or "newer\nprinted\n")
    assert asked == ["check a.zip --json"]
    assert written == page.replace("older\nstill\n", "newer\nprinted\n")


def test_the_outputs_that_pages_quote_are_what_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")

    def printed(command: str) -> str:
        main(shlex.split(command))
        return capsys.readouterr().out

    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert with_outputs(text, printed) == text, "run python scripts/run_docs.py --write"


def test_what_takes_hours_is_small_and_what_needs_kaggle_is_left_out() -> None:
    assert toy("run dogs.zip --out out --budget 9h") == (
        f"run dogs.zip --out out --budget 9h {NARROW} --out new --images 32 --count 64 --network stand-in"
    )
    assert left_out("kernel push kernels/dogs-sagan --follow") == "needs Kaggle"
    assert not left_out("kernel push kernels/dogs-sagan --dry-run")
    assert all(left_out(line) for _, line in lines_of_pages() if line.startswith(("weights", "kernel sub")))


@pytest.mark.parametrize("parser", parsers(build_parser()), ids=lambda parser: parser.prog)
def test_no_path_may_be_empty(parser: argparse.ArgumentParser) -> None:
    for action in parser._actions:
        if action.type in (Path, path, _Target.parse):
            with pytest.raises(argparse.ArgumentTypeError):
                action.type("")  # type: ignore[operator]


@pytest.mark.parametrize("parser", parsers(build_parser()), ids=lambda parser: parser.prog)
def test_every_help_ends_with_an_example_that_can_be_parsed(parser: argparse.ArgumentParser) -> None:
    said, command, line = (parser.epilog or "").partition("example: dogsgan ")
    assert (said, command) == ("", "example: dogsgan ")
    assert line.startswith(parser.prog.removeprefix("dogsgan").strip())
    build_parser().parse_args(shlex.split(line))
