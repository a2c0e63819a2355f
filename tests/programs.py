"""Run a program of a test in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.recorder import PATIENCE

ROOT = Path(__file__).parents[1]


def run_program(
    text: str, directory: Path, *arguments: str | Path, ignoring_warnings: bool = False
) -> subprocess.CompletedProcess[str]:
    """
    Run a program to its end; one that hangs fails the test.

    It is in a file, which processes that it spawns can import.
    """
    program = directory / "program.py"
    program.write_text(text)
    options = ["-W", "ignore"] if ignoring_warnings else []
    return subprocess.run(
        [sys.executable, *options, program, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
