"""What importing the library costs a program at its start."""

from __future__ import annotations

import os
import subprocess
import sys
from statistics import median

from ._timing import timed

IMPORT = "import apscheduler.schedulers.background"


def background(size: int) -> dict[str, float]:
    """The background scheduler beyond a bare interpreter: the median of so many starts each."""
    _start(IMPORT)  # after which the byte code of either library is there
    differences = [_start(IMPORT) - _start("pass") for _ in range(size)]
    return {"import": median(differences) * 1e3}


def _start(program: str) -> float:
    # A machine may be set up to keep no byte code; then one library's might be old, and be
    # compiled at each start, while the other's was kept when it was installed.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return timed(lambda: subprocess.run([sys.executable, "-c", program], check=True, env=env))
