"""APScheduler 3.11.3 itself, for the tests that run beside it; only subprocesses import it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

RELEASE = "3.11.3"


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the release alone; what it needs besides is here anyway."""
    folder = os.environ.get("APSCHEDULER_311")
    if folder:
        return Path(folder)

    target = tmp_path_factory.mktemp("release")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    done = subprocess.run(
        [*command, "--target", str(target), f"APScheduler=={RELEASE}"],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        words = f"APScheduler {RELEASE} could not be installed: {done.stderr.strip()[-300:]}"
        if os.environ.get("CI"):
            pytest.fail(words, pytrace=False)
        pytest.skip(words)

    return target
