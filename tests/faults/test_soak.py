"""The short form of the soak test; its module tells how to run the long ones."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--minutes", "0.2", "--jobs", "300", "--retry", "0.5"],
        ["--virtual", "4", "--jobs", "60"],
    ],
    ids=["real time", "virtual time"],
)
def test_every_run_is_accounted_for_and_nothing_grows(arguments: list[str]) -> None:
    # In a process of its own: what is measured is its memory, and its threads.
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "every run is accounted for, and nothing grew"
