"""The container example ends on SIGTERM, after the job that runs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.recorder import PATIENCE

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to handle")


@pytest.fixture
def container() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, ROOT / "examples" / "container.py"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def read_until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if word in line:
            return
    pytest.fail(f"the program ended before it printed {word!r}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_the_running_job_end(
    container: subprocess.Popen[str], number: signal.Signals
) -> None:
    read_until(container, "working")
    container.send_signal(number)
    printed, errors = container.communicate(timeout=PATIENCE)

    assert printed.splitlines() == [f"stopping because of {number.name}", "... done", "stopped"]
    assert errors == ""
    assert container.returncode == 0


def test_a_signal_ends_an_idle_one(container: subprocess.Popen[str]) -> None:
    read_until(container, "is running")
    container.terminate()
    printed, errors = container.communicate(timeout=PATIENCE)

    assert printed.splitlines() == ["stopping because of SIGTERM", "stopped"]
    assert errors == ""
    assert container.returncode == 0
