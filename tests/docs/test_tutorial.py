"""Each step of the tutorial runs as the page says, and prints what the page shows."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pytest

from .pages import DOCS, ROOT, blocks_of

EXAMPLES = ROOT / "examples"
TUTORIAL = list(blocks_of(DOCS / "tutorial.rst"))
PATIENCE = 30  # seconds

# Processes by the name of their program, each with its directory
Started = dict[str, tuple[subprocess.Popen[str], Path]]


def start(name: str, cwd: Path, *args: str, **env: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(EXAMPLES / name), *args],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **env},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(name: str, cwd: Path, *args: str) -> list[str]:
    return printed_by(start(name, cwd, *args))


def printed_by(process: subprocess.Popen[str]) -> list[str]:
    output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    # Jobs run in threads, and print() writes the end of the line after the line: two that print at
    # once may share a line, and leave an empty one behind.
    output = re.sub(r"(?<=.)(?=Reminder: )", "\n", output)
    return [line for line in output.splitlines() if line]


@pytest.fixture(scope="module")
def first_starts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    """The programs that take their time, started together."""
    started = {}
    for name, args in {
        "tutorial_1_first_job.py": [],
        "tutorial_3_background.py": [],
        "tutorial_4_persistent.py": ["stand", "up"],
        "tutorial_5_observed.py": [],
    }.items():
        cwd = tmp_path_factory.mktemp(name.removesuffix(".py"))
        started[name] = start(name, cwd, *args), cwd
    yield started
    for process, _ in started.values():
        if process.poll() is None:
            process.kill()
            process.communicate()


def shown(*command: str) -> list[str]:
    """Return the lines that the page shows below a command."""
    line = " ".join([".venv/bin/python", *command])
    position = next(
        number
        for number, block in enumerate(TUTORIAL)
        if block.kind == "sh" and line in block.text.splitlines()
    )
    output = TUTORIAL[position + 1]
    assert output.kind == "text", f"{output}: what the command prints"
    return output.text.splitlines()


def without_digits(lines: list[str]) -> list[str]:
    return [re.sub(r"\d+", "0", line) for line in lines]


def test_step_1_ticks_until_ctrl_c(first_starts: Started) -> None:
    process, _ = first_starts["tutorial_1_first_job.py"]
    assert process.stdout is not None
    first = [process.stdout.readline().rstrip() for _ in range(2)]  # the second is a tick
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE)
    assert errors == ""
    printed = [*first, *output.splitlines()]

    expected = [line.removeprefix("^C") for line in shown("examples/tutorial_1_first_job.py")]
    assert sorted(set(without_digits(printed))) == sorted(set(without_digits(expected)))


def test_step_2_previews_the_schedules_that_the_page_shows(tmp_path: Path) -> None:
    name = "tutorial_2_schedules.py"
    assert run(name, tmp_path) == shown(f"examples/{name}")


def test_step_3_greets_is_changed_pauses_and_ends(first_starts: Started) -> None:
    name = "tutorial_3_background.py"
    printed = without_digits(printed_by(first_starts[name][0]))
    expected = without_digits(shown(f"examples/{name}"))
    # How often it greets within some seconds is up to the machine.
    assert list(dict.fromkeys(printed)) == list(dict.fromkeys(expected))


def test_step_4_finds_its_jobs_again(first_starts: Started) -> None:
    name = "tutorial_4_persistent.py"
    process, cwd = first_starts[name]
    first = printed_by(process)
    assert set(first) == set(shown(f"examples/{name}", "stand", "up"))
    assert first.count("Reminder: drink some water") == 2

    second = run(name, cwd)
    found = [line for line in second if line.startswith("Found")]
    assert sorted(without_digits(found)) == [
        'Found "drink some water", next at 0:0:0',
        'Found "stand up", next at 0:0:0',
    ]
    assert set(without_digits(second)) == set(without_digits(shown(f"examples/{name}")))
    assert (cwd / "reminders.sqlite").is_file()


def test_step_5_tells_what_became_of_each_run(first_starts: Started) -> None:
    process, _ = first_starts["tutorial_5_observed.py"]
    output, errors = process.communicate(timeout=PATIENCE)
    printed = [re.sub(r"\d+\.\d+", "0", line) for line in output.splitlines()]
    expected = shown("examples/tutorial_5_observed.py")
    assert set(printed) == {re.sub(r"\d+\.\d+", "0", line) for line in expected}
    assert "RuntimeError: the sensor does not answer" in errors
    assert "maximum number of running instances reached" in errors


class Client:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        try:
            with urlopen(Request(self.url + path, data, headers, method=method)) as response:
                return response.status, json.loads(response.read() or b"null")
        except HTTPError as exc:
            with exc:
                return exc.code, json.loads(exc.read() or b"null")

    def wait(self, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            try:
                self("GET", "/runs")
                return
            except URLError:
                time.sleep(0.05)  # nothing tells when a server begins to listen

        raise TimeoutError(self.url)

    def runs_of(self, job_id: str) -> list[Any]:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            runs = [run for run in self("GET", "/runs")[1] if run["job"] == job_id]
            if runs:
                return runs
            time.sleep(0.05)

        raise TimeoutError(f"{job_id} did not run")


def test_step_6_serves_jobs_that_survive_a_restart(tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="pip install flask")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    client = Client(port)
    stretch = {"id": "stretch", "text": "stretch your legs", "seconds": 60}
    process = start("tutorial_6_web.py", tmp_path, PORT=str(port))
    try:
        client.wait(process)
        status, job = client("POST", "/jobs", stretch)
        assert (status, len(job["next_run_times"])) == (201, 3)
        assert client("POST", "/jobs", stretch)[0] == 409
        assert client("POST", "/jobs/stretch/run")[0] == 200
        assert client.runs_of("stretch")[0]["result"] == "Reminder: stretch your legs"
        assert client("POST", "/jobs/nothing/run")[0] == 404
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)

    process = start("tutorial_6_web.py", tmp_path, PORT=str(port))
    try:
        client.wait(process)
        assert [job["id"] for job in client("GET", "/jobs")[1]] == ["stretch"]
        assert client("DELETE", "/jobs/stretch")[0] == 204
        assert client("GET", "/jobs") == (200, [])
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)


def test_step_7_passes(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            EXAMPLES / "tutorial_7_test_schedule.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
