"""What importing the library costs a program at its start."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

from ._timing import timed


def background(size: int) -> dict[str, float]:
    """The background scheduler beyond a bare interpreter: the median of so many starts each."""
    differences = [
        _start("import apscheduler.schedulers.background") - _start("pass") for _ in range(size)
    ]
    return {"import": median(differences) * 1e3}


def _start(program: str) -> float:
    return timed(lambda: subprocess.run([sys.executable, "-c", program], check=True))
