"""Of several processes one runs the jobs, and there is always one, whichever way they end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

from .pages import DOCS, blocks_of
from .programs import EXAMPLES, PATIENCE, started

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fcntl")

WORKERS = 3
# What a worker says of itself: its process id, whether its scheduler runs, how many runs it made
Answers = dict[int, tuple[str, int]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_when_the_process_that_runs_jobs_ends_another_takes_over(
    tmp_path: Path, number: signal.Signals
) -> None:
    program = EXAMPLES / "one_scheduler.py"
    with started(tmp_path, program) as first, started(tmp_path, program) as second:
        said = {process: line_of(process) for process in (first, second)}
        runner, other = sorted(said, key=lambda process: "waits" in said[process])
        assert "runs jobs" in said[runner]
        assert "waits" in said[other]
        assert line_of(runner) == f"tick in process {runner.pid}\n"

        runner.send_signal(number)
        _, errors = runner.communicate(timeout=PATIENCE)
        assert errors == ""
        assert line_of(other) == f"tick in process {other.pid}\n"
        other.send_signal(signal.SIGINT)
        _, errors = other.communicate(timeout=PATIENCE)
        assert (other.returncode, errors) == (0, "")


def test_a_process_that_waits_ends_with_ctrl_c(tmp_path: Path) -> None:
    program = EXAMPLES / "one_scheduler.py"
    with started(tmp_path, program) as first:
        assert "runs jobs" in line_of(first)
        with started(tmp_path, program) as second:
            assert "waits" in line_of(second)
            second.send_signal(signal.SIGINT)
            _, errors = second.communicate(timeout=PATIENCE)
            assert (second.returncode, errors) == (0, "")


def test_a_child_that_outlives_its_parent_does_not_hold_the_lock(tmp_path: Path) -> None:
    parent = (
        "import os, signal, time\n"
        "from one_scheduler import *\n"
        "assert start_in_one_process(BackgroundScheduler(), 'scheduler.lock')\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    time.sleep(60)\n"
        "print(child, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with started(tmp_path, "-c", parent) as process:
        child = int(line_of(process))
        try:
            process.wait(timeout=PATIENCE)
            with started(tmp_path, EXAMPLES / "one_scheduler.py") as other:
                assert "runs jobs" in line_of(other)
        finally:
            os.kill(child, signal.SIGKILL)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


class Server:
    """A server with several workers, each of which says what it does."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def wait_for(self, condition: Callable[[Answers], bool]) -> Answers:
        """Ask until the latest answers of the workers are as they should be; return them."""
        answers: Answers = {}
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.process.communicate()[1]
            try:
                with urlopen(self.url, timeout=PATIENCE) as response:
                    worker, state, runs = response.read().decode().split()
                answers[int(worker)] = state, int(runs)
            except (URLError, ConnectionError):
                pass  # nothing tells when a server begins to listen
            if condition(answers):
                return answers
            time.sleep(0.01)

        raise TimeoutError(f"the workers have said {answers}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> str:
        """Stop it; return what it has logged."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=PATIENCE)[1]


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return "127.0.0.1:{1}".format(*free.getsockname())


@contextmanager
def gunicorn(cwd: Path, *arguments: str) -> Iterator[Server]:
    pytest.importorskip("gunicorn", reason="pip install gunicorn")
    address = free_address()
    options = ["--workers", str(WORKERS), "--bind", address]
    with started(cwd, "-m", "gunicorn", *options, *arguments) as process:
        try:
            yield Server(process, f"http://{address}/")
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)  # so that it ends its workers
                process.communicate(timeout=PATIENCE)


def one_runs_jobs(answers: Answers) -> bool:
    """All workers have answered, and one of them runs jobs."""
    return len(answers) == WORKERS and len(runners(answers)) == 1


def runners(answers: Answers) -> list[int]:
    return [worker for worker, (state, runs) in answers.items() if state == "running" and runs]


def without(answers: Answers, workers: Answers) -> Answers:
    return {worker: said for worker, said in answers.items() if worker not in workers}


def test_under_gunicorn_one_of_several_workers_runs_the_jobs(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "gunicorn_app:app") as server:
        answers = server.wait_for(one_runs_jobs)
        assert sorted(state for state, _ in answers.values()) == ["running", "stopped", "stopped"]


def test_after_a_reload_of_gunicorn_one_of_the_new_workers_runs_the_jobs(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "gunicorn_app:app") as server:
        old = server.wait_for(one_runs_jobs)
        (last_to_end,) = runners(old)
        os.kill(last_to_end, signal.SIGSTOP)  # as if it were in the middle of something
        server.process.send_signal(signal.SIGHUP)
        new = server.wait_for(lambda answers: len(without(answers, old)) == WORKERS)
        assert {state for state, _ in without(new, old).values()} == {"stopped"}

        os.kill(last_to_end, signal.SIGCONT)
        new = server.wait_for(lambda answers: one_runs_jobs(without(answers, old)))
        states = sorted(state for state, _ in without(new, old).values())
        assert states == ["running", "stopped", "stopped"]
        assert "Traceback" not in server.stop()


def test_after_a_crash_of_the_worker_that_runs_jobs_another_one_does(tmp_path: Path) -> None:
    with gunicorn(tmp_path, "gunicorn_app:app") as server:
        (crashed,) = runners(server.wait_for(one_runs_jobs))
        os.kill(crashed, signal.SIGKILL)
        gone: Answers = {crashed: ("running", 0)}
        server.wait_for(lambda answers: one_runs_jobs(without(answers, gone)))


def test_with_preload_the_workers_start_one_scheduler_as_the_page_says(tmp_path: Path) -> None:
    (block,) = [
        block
        for block in blocks_of(DOCS / "howto" / "workers.rst")
        if block.kind == "python" and "gunicorn.conf.py" in block.text
    ]
    lock = "/run/myapp/scheduler.lock"
    assert lock in block.text
    (tmp_path / "gunicorn.conf.py").write_text(block.text.replace(lock, "scheduler.lock"))
    (tmp_path / "myapp").mkdir()
    # The application of the example, but without its last act.
    program = (EXAMPLES / "gunicorn_app.py").read_text(encoding="utf-8")
    start = next(line for line in program.splitlines() if line.startswith("start_in_one_process("))
    (tmp_path / "myapp" / "scheduling.py").write_text(program.replace(start, ""), encoding="utf-8")

    with gunicorn(tmp_path, "myapp.scheduling:app") as server:
        answers = server.wait_for(one_runs_jobs)
        assert sorted(state for state, _ in answers.values()) == ["running", "stopped", "stopped"]
        assert "Traceback" not in server.stop()
