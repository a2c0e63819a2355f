"""Programs of the documentation, each started in a process and a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .pages import ROOT

EXAMPLES = ROOT / "examples"
PATIENCE = 30  # seconds


@contextmanager
def started(cwd: Path, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start Python with a command line; kill it in the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{EXAMPLES}", "HOME": str(cwd)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def output_of(cwd: Path, *command: str | Path) -> tuple[str, str]:
    """Run Python to a good end; return what it printed, and its errors."""
    with started(cwd, *command) as process:
        output, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors
        return output, errors
