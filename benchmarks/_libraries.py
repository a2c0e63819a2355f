"""The two libraries that are compared, each in a folder that goes on PYTHONPATH."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
OURS = HERE.parent
THEIRS = "3.11.3"


def fetch_theirs() -> Path:
    """
    Install APScheduler 3.11.3 into a folder of its own, unless it is there; return the folder.

    The environment variable ``APSCHEDULER_311`` may name such a folder. What the library depends
    on is taken from where this runs, so that both libraries use the same versions.
    """
    if given := os.environ.get("APSCHEDULER_311"):
        return Path(given)

    folder = HERE / ".cache" / f"apscheduler-{THEIRS}"
    if not (folder / "apscheduler").exists():
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        subprocess.run([*pip, "--target", str(folder), f"APScheduler=={THEIRS}"], check=True)

    return folder
