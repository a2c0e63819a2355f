"""The examples of the frameworks run, each in its own process with its real server or loop."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLES = ROOT / "examples"
PATIENCE = 60  # seconds


class Server:
    """An example that serves HTTP in a process of its own."""

    def __init__(self, example: str, folder: Path, *arguments: str) -> None:
        self.port = _free_port()
        self.process = subprocess.Popen(
            [sys.executable, EXAMPLES / example, *arguments],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": str(self.port)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # a reloader has a process of its own
        )

    def get(self) -> Any:
        """Return what the front page says; None if nobody answers yet."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/", timeout=PATIENCE) as answer:
                return json.load(answer)
        except (URLError, ConnectionError):
            assert self.process.poll() is None, self.process.communicate()[0]
            return None

    def post(self, path: str) -> Any:
        request = Request(f"http://127.0.0.1:{self.port}{path}", method="POST")
        with urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    def wait_for(self, condition: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            page = self.get()
            if page is not None and condition(page):
                return page
            time.sleep(0.05)
        raise AssertionError(f"waited in vain for {self.process.args!r}, it says {page}")

    def stop(self, number: int) -> str:
        """Send a signal to the process; return what it has printed."""
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=PATIENCE)
        assert "Traceback" not in output, output
        return output


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(example: str, folder: Path, *arguments: str) -> Iterator[Server]:
    server = Server(example, folder, *arguments)
    try:
        yield server
    finally:
        try:
            os.killpg(server.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        with server.process:  # closes its output, and waits for its end
            pass


def has_run_twice(page: Any) -> bool:
    return bool(page["beats"] >= 2)


def has_run_on_the_loop_and_in_a_thread(page: Any) -> bool:
    return len(page["kinds"]) == 2


@pytest.mark.parametrize(
    ("example", "number", "has_run"),
    [
        ("wsgi_app.py", signal.SIGINT, has_run_twice),
        ("wsgi_app.py", signal.SIGTERM, has_run_twice),
        ("aiohttp_app.py", signal.SIGTERM, has_run_twice),
        ("tornado_web.py", signal.SIGTERM, has_run_on_the_loop_and_in_a_thread),
        ("twisted_web.py", signal.SIGTERM, has_run_on_the_loop_and_in_a_thread),
        ("gevent_wsgi.py", signal.SIGTERM, has_run_twice),
    ],
)
def test_jobs_run_beside_requests_until_a_signal_ends_both(
    tmp_path: Path, example: str, number: signal.Signals, has_run: Callable[[Any], bool]
) -> None:
    with serving(example, tmp_path) as server:
        server.wait_for(has_run)
        server.stop(number)


def test_fastapi_runs_jobs_and_its_requests_add_some(tmp_path: Path) -> None:
    with serving("fastapi_app.py", tmp_path) as server:
        server.wait_for(lambda page: True)
        assert server.post("/remind?text=tea&seconds=0.1")["job"]
        server.wait_for(has_run_twice)
        assert "Reminder: tea" in server.stop(signal.SIGTERM)


def test_flask_runs_jobs_in_the_process_that_serves(tmp_path: Path) -> None:
    with serving("flask_app.py", tmp_path, "--reload") as server:
        page = server.wait_for(has_run_twice)
        assert page["runs_jobs"]
        assert page["process"] != server.process.pid  # that one only watches the files


def test_of_two_flask_processes_one_runs_the_jobs(tmp_path: Path) -> None:
    with serving("flask_app.py", tmp_path) as first:
        first.wait_for(has_run_twice)
        with serving("flask_app.py", tmp_path) as second:
            assert second.wait_for(lambda page: True)["runs_jobs"] is False


def test_a_job_updates_the_label_of_a_qt_window(tmp_path: Path) -> None:
    pytest.importorskip("PySide6")
    screenshot = tmp_path / "window.png"
    done = subprocess.run(
        [sys.executable, EXAMPLES / "qt_window.py", "--screenshot", screenshot],
        env={**os.environ, "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"\d\d:\d\d:\d\d\n", done.stdout)
    assert screenshot.read_bytes().startswith(b"\x89PNG")
