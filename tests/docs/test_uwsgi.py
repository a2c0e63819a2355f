"""
The configurations of uWSGI on the page about workers, each tried with uWSGI.

The one that can be had as a wheel always has threads; what happens without them is tested with a
stand-in, in tests/schedulers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .pages import DOCS, blocks_of
from .programs import EXAMPLES, PATIENCE, started
from .test_workers import Answers, Server, free_address, line_of, runners

pytest.importorskip("pyuwsgi", reason="pip install pyuwsgi")

IN_WORKERS, BESIDE_THEM = [
    block.text for block in blocks_of(DOCS / "howto" / "workers.rst") if block.kind == "ini"
]
WORKERS = 4

SCHEDULER = """
import os
from apscheduler.schedulers.blocking import BlockingScheduler

def tick():
    print("tick in process", os.getpid(), flush=True)

scheduler = BlockingScheduler()
scheduler.add_job(tick, "interval", seconds=0.1)
scheduler.start()
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with the application that the page names."""
    package = tmp_path / "myapp"
    package.mkdir()
    (package / "__init__.py").touch()
    application = (EXAMPLES / "gunicorn_app.py").read_text(encoding="utf-8")
    (package / "web.py").write_text(application, encoding="utf-8")
    (package / "scheduler.py").write_text(SCHEDULER, encoding="utf-8")
    return tmp_path


@contextmanager
def uwsgi(site: Path, configuration: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    assert f"workers = {WORKERS}\n" in configuration
    (site / "uwsgi.ini").write_text(configuration, encoding="utf-8")
    # The page starts "python": that of the environment.
    folder = Path(sys.executable).parent
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    address = free_address()
    program = ["-c", "import pyuwsgi; pyuwsgi.run()"]
    arguments = ["--ini", "uwsgi.ini", "--http-socket", address]
    # Workers end with it, should it be killed, and its log is no longer than the pipe it goes to.
    arguments += ["--no-orphans", "--disable-logging"]
    with started(site, *program, *arguments) as process:
        try:
            yield Server(process, f"http://{address}/")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)  # SIGTERM would reload it
                process.communicate(timeout=PATIENCE)


def one_runs_jobs(answers: Answers) -> bool:
    return len(answers) == WORKERS and len(runners(answers)) == 1


def test_with_threads_one_of_the_workers_runs_the_jobs(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with uwsgi(site, IN_WORKERS, monkeypatch) as server:
        answers = server.wait_for(one_runs_jobs)
        states = sorted(state for state, _ in answers.values())
        assert states == ["running", *["stopped"] * (WORKERS - 1)]
        assert "Traceback" not in server.stop(signal.SIGINT)


def test_a_process_of_its_own_runs_the_jobs_and_is_watched(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (site / "myapp" / "web.py").write_text("def app(*_): return []\n", encoding="utf-8")
    with uwsgi(site, BESIDE_THEM, monkeypatch) as server:
        first = runner(server.process)
        os.kill(first, signal.SIGKILL)
        while (second := runner(server.process)) == first:
            pass  # what it has printed before
        assert second != server.process.pid


def runner(server: subprocess.Popen[str]) -> int:
    """Return the process that made the next run that is printed."""
    while not (line := line_of(server)).startswith("tick in process"):
        assert line, "uWSGI has ended"
    return int(line.split()[-1])
