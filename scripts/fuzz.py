"""Throw damaged files of every kind at the package: the laws of `tests/test_bad_input.py`, many times over.

    python scripts/fuzz.py [--examples 2000] [--only checkpoint] [--seed N]

A failure is printed with the smallest input that shows it; the seed finds it again. Inputs that fail are kept
in `.hypothesis` and tried first in the next test run.
"""

import argparse
import os
import secrets
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests" / "test_bad_input.py"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--examples", type=int, default=2000, help="for each law (default: 2000)")
    parser.add_argument(
        "--only", default="", help="the laws whose name holds this text, as pytest -k takes it"
    )
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    command = [sys.executable, "-m", "pytest", str(TESTS), "-k", options.only]
    command += [f"--hypothesis-seed={options.seed}", "--show-capture=no", "--tb=short"]
    environment = {**os.environ, "DOGSGAN_FUZZ_EXAMPLES": str(options.examples)}
    return subprocess.run(command, env=environment, cwd=TESTS.parents[1], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
