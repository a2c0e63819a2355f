"""A server process: start it, wait until it answers, kill it, start it again on the same data."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import pytest

START_TIMEOUT = 60  # seconds; a busy CI machine needs some, a healthy one under two
STOP_TIMEOUT = 15


class MissingServerError(Exception):
    """The server is not on this machine; the message says what to install."""


class Server(ABC):
    """One server for the whole test run; tests may kill and restart it at will.

    A subclass says how to find the program, how to start it and how to ask whether it answers.
    Where the environment variable ``variable`` is set, the server that it names is used instead;
    that one is never started, stopped or killed by us.
    """

    name: ClassVar[str]
    #: Environment variable naming a server that already runs
    variable: ClassVar[str]
    #: What to install when the server is missing
    install: ClassVar[str]
    #: The signal that asks for an orderly shutdown
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM

    def __init__(self) -> None:
        self.external = os.environ.get(self.variable)
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._directory: tempfile.TemporaryDirectory[str] | None = None

    # What each server says of itself

    @property
    @abstractmethod
    def address(self) -> str:
        """Where clients connect, in the form that ``variable`` takes."""

    @abstractmethod
    def fresh(self) -> dict[str, Any]:
        """Return job store arguments that lead to an empty place of the caller's own."""

    @abstractmethod
    def _command(self, directory: Path) -> list[str]:
        """Return the command line that runs the server in the foreground."""

    @abstractmethod
    def _ping(self) -> None:
        """Raise unless the server answers a client."""

    def _prepare(self, directory: Path) -> None:  # noqa: B027 (most servers need nothing)
        """Make the data directory, once, before the first start."""

    # What tests do with it

    @property
    def running(self) -> bool:
        if self.external:
            return True

        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server unless it runs; return when it answers.

        :raises MissingServerError: if its program or its driver is not installed
        """
        if self.external:
            self._ping()
            return

        if self.running:
            return

        if self._directory is None:
            self._make_directory()

        self._launch()
        self._wait_until_ready()

    def stop(self, timeout: float = STOP_TIMEOUT) -> None:
        """Ask the server to shut down, and wait until it has; kill it after so many seconds."""
        if self._process is None:
            return

        self._process.send_signal(self.stop_signal)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

        self._process = None

    def kill(self) -> None:
        """Take the server away without a warning, as a power cut would."""
        if self.external:
            pytest.skip(f"{self.variable} names a server that is not ours to kill")

        if self._process is not None and self._process.poll() is None:
            # The group, because PostgreSQL's own children would outlive it for a moment.
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(STOP_TIMEOUT)

        self._process = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the server hang: it is there, and answers nobody."""
        if self.external:
            pytest.skip(f"{self.variable} names a server that is not ours to stop")

        processes = self._processes()
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            for pid in processes:
                _wait_until_stopped(pid)
            yield
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        """Return the ids of all processes of the server."""
        return [] if self._process is None else [self._process.pid]

    def restart(self) -> None:
        """Stop the server if it runs; start it again on the same port and data."""
        if self.external:
            pytest.skip(f"{self.variable} names a server that is not ours to restart")

        self.stop()
        self.start()

    def close(self) -> None:
        """Stop the server and remove its data, which nobody needs to be orderly."""
        self.stop(timeout=1)
        if self._directory is not None:
            self._directory.cleanup()
            self._directory = None

    # How it is done

    def _fresh_name(self) -> str:
        """Return a name that no test used before, after reviving a server that one left dead."""
        self.start()
        return f"test_{uuid4().hex[:16]}"

    def _make_directory(self) -> None:
        directory = tempfile.TemporaryDirectory(prefix=f"apscheduler-{self.name.lower()}-")
        try:
            self._prepare(Path(directory.name))
        except BaseException:
            directory.cleanup()
            raise

        self._directory = directory

    def _launch(self) -> None:
        assert self._directory is not None
        directory = Path(self._directory.name)
        with open(directory / "log", "ab") as log:
            self._process = subprocess.Popen(
                self._command(directory),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl+C is for pytest, which then stops the servers in its own time.
                start_new_session=True,
            )

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                self._ping()
                return
            except MissingServerError:
                self.kill()
                raise
            except Exception as exc:
                self.check_that_it_runs(exc)
                if time.monotonic() > deadline:
                    self.kill()
                    words = f"{self.name} did not answer within {START_TIMEOUT} s"
                    raise self._start_error(words) from exc

            time.sleep(0.02)

    def check_that_it_runs(self, cause: Exception | None = None) -> None:
        """Raise an error with the end of the server's log if it was started and has ended."""
        if self._process is not None and self._process.poll() is not None:
            words = f"{self.name} ended with code {self._process.returncode}"
            raise self._start_error(words) from cause

    def _start_error(self, words: str) -> RuntimeError:
        assert self._directory is not None
        log = (Path(self._directory.name) / "log").read_text(errors="replace")
        return RuntimeError(f"{words}; the end of its log:\n{log[-4000:]}")

    def _missing(self) -> MissingServerError:
        return MissingServerError(
            f"{self.name} is not installed: {self.install}, "
            f"or set {self.variable} to the address of one that runs"
        )

    def _driver(self, module: str) -> None:
        """Raise MissingServerError unless the client library is installed."""
        if find_spec(module) is None:
            raise MissingServerError(
                f'the Python package for {self.name} is missing: pip install "apscheduler[test]"'
            )

    def _program(self, name: str, package: str | None = None, inside: str = "") -> str:
        """Return the path of a program, from a wheel's directory or else from PATH."""
        spec = find_spec(package) if package else None
        for root in (spec and spec.submodule_search_locations) or ():
            path = Path(root) / inside / name
            if path.exists():
                return str(path)

        # Debian keeps servers where the PATH of an ordinary user does not lead.
        path_in_system = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if path_in_system is None:
            raise self._missing()

        return path_in_system


def _wait_until_stopped(pid: int) -> None:
    """Wait for all threads of a process: one on another processor may answer for a moment yet."""
    while any(state not in "TXZ" for state in _states_of(pid)):
        time.sleep(0.001)


def _states_of(pid: int) -> Iterator[str]:
    """Yield the state of each thread of a process, see proc(5); none on a system without /proc."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError):  # the thread has ended
            yield stat.read_text().rpartition(")")[2].split()[0]


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def run(command: list[str], **options: Any) -> None:
    """Run a command to its end; raise RuntimeError with what it printed if it fails."""
    done = subprocess.run(command, capture_output=True, check=False, **options)
    if done.returncode:
        output = (done.stdout + done.stderr).decode(errors="replace")
        raise RuntimeError(f"{command[0]} ended with code {done.returncode}:\n{output[-4000:]}")
