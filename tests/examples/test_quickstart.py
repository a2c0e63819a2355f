"""The program of the README: it runs, it finds its jobs again, and it stops cleanly."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.recorder import PATIENCE

ROOT = Path(__file__).parent.parent.parent
COMMAND = [sys.executable, "-u", str(ROOT / "examples" / "quickstart.py")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}
RUN = re.compile(r"\d\d:\d\d:\d\d  (\w+) +(-?\d+\.\d) ms late")


def run(directory: Path, *arguments: str) -> str:
    """Run the program to its end; return what it printed."""
    ended = subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_it_prints_each_run_with_its_lateness_and_ends_by_itself(tmp_path: Path) -> None:
    first, *runs, last = run(tmp_path, "--seconds", "3.5").splitlines()
    assert first == "Found in quickstart.sqlite: no jobs yet"
    assert {match[1] for match in map(RUN.fullmatch, runs) if match} == {
        "interval",
        "cron",
        "once",
    }
    assert all(float(match[2]) > 0 for match in map(RUN.fullmatch, runs) if match)
    assert re.fullmatch(
        rf"{len(runs)} runs, 0 of them failed; half of them were at most .* ms late", last
    )


def test_a_second_start_finds_its_jobs(tmp_path: Path) -> None:
    run(tmp_path, "--seconds", "0")
    first, *_ = run(tmp_path, "--seconds", "0").splitlines()
    found = first.removeprefix("Found in quickstart.sqlite: ").split(", ")
    assert sorted(found) == ["cron", "interval", "once"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to one process")
def test_ctrl_c_stops_it_without_a_traceback(tmp_path: Path) -> None:
    program = subprocess.Popen(
        [*COMMAND, "--seconds", str(PATIENCE)],
        cwd=tmp_path,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stdout is not None
    program.stdout.readline()
    assert RUN.fullmatch(program.stdout.readline().strip())
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=PATIENCE)
    assert (program.returncode, err) == (0, "")
    assert "Stopped by Ctrl+C" in out
    assert out.splitlines()[-1].endswith("ms late")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to one process")
def test_so_does_it_before_the_scheduler_has_started(tmp_path: Path) -> None:
    # The job store imports SQLAlchemy, which takes a while; this one takes until the signal.
    (tmp_path / "sqlalchemy").mkdir()
    (tmp_path / "sqlalchemy" / "__init__.py").write_text("""
import os, signal
os.kill(os.getpid(), signal.SIGINT)
""")
    ended = subprocess.run(
        COMMAND,
        cwd=tmp_path,
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.splitlines() == ["Stopped by Ctrl+C", "No runs"]
