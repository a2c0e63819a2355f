"""Each step of the tutorial runs as the page says, and prints what the page shows."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
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


# What the page shows below these is compared by the tests below.
COMPARED = [
    "examples/tutorial_1_first_job.py",
    "examples/tutorial_2_schedules.py",
    "examples/tutorial_3_background.py",
    "examples/tutorial_4_persistent.py stand up",
    "examples/tutorial_4_persistent.py",
    "examples/tutorial_5_observed.py",
    "-m pytest examples/tutorial_7_test_schedule.py",
]


def test_every_text_of_the_page_is_compared() -> None:
    texts = [block for block in TUTORIAL if block.kind == "text"]
    assert [shown(command) for command in COMPARED] == [text.text.splitlines() for text in texts]


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


@contextmanager
def serving(cwd: Path) -> Iterator[Client]:
    """Start the web application, and stop it in the end by Ctrl+C."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    client = Client(port)
    process = start("tutorial_6_web.py", cwd, PORT=str(port))
    try:
        client.wait(process)
        yield client
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    pytest.importorskip("flask", reason="pip install flask")
    with serving(tmp_path_factory.mktemp("web")) as client:
        yield client


def test_step_6_serves_jobs_that_survive_a_restart(tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="pip install flask")
    stretch = {"id": "stretch", "text": "stretch your legs", "seconds": 60}
    with serving(tmp_path) as client:
        status, job = client("POST", "/jobs", stretch)
        assert (status, len(job["next_run_times"])) == (201, 3)
        assert client("POST", "/jobs", stretch)[0] == 409
        assert client("POST", "/jobs/stretch/run")[0] == 200
        assert client.runs_of("stretch")[0]["result"] == "Reminder: stretch your legs"
        assert client("POST", "/jobs/nothing/run")[0] == 404

    with serving(tmp_path) as client:
        assert [job["id"] for job in client("GET", "/jobs")[1]] == ["stretch"]
        assert client("DELETE", "/jobs/stretch")[0] == 204
        assert client("GET", "/jobs") == (200, [])


def curl() -> argparse.ArgumentParser:
    """Return what reads those options of curl that the page uses."""
    parser = argparse.ArgumentParser(prog="curl", exit_on_error=False)
    parser.add_argument("-X", dest="method", default="GET")
    parser.add_argument("-H", dest="header")
    parser.add_argument("-d", dest="body", default="null")
    parser.add_argument("url")
    return parser


def requests_of_the_page() -> list[argparse.Namespace]:
    (block,) = [block for block in TUTORIAL if block.kind == "sh" and "curl" in block.text]
    commands = [shlex.split(line) for line in block.text.replace("\\\n", " ").splitlines()]
    assert all(command[0] == "curl" for command in commands)
    return [curl().parse_args(command[1:]) for command in commands]


def test_step_6_answers_the_requests_of_the_page(tmp_path: Path) -> None:
    pytest.importorskip("flask", reason="pip install flask")
    (answer,) = [json.loads(block.text) for block in TUTORIAL if block.kind == "json"]
    answers: dict[str, tuple[int, Any]] = {}
    with serving(tmp_path) as client:
        for request in requests_of_the_page():
            assert request.header in (None, "Content-Type: application/json")
            path = request.url.removeprefix("http://127.0.0.1:8000")
            if path == "/runs":
                client.runs_of("stretch")
            answers[f"{request.method} {path}"] = client(
                request.method, path, json.loads(request.body)
            )

    assert {request: status for request, (status, _) in answers.items()} == {
        "POST /jobs": 201,
        "POST /jobs/stretch/run": 200,
        "GET /jobs": 200,
        "GET /runs": 200,
        "DELETE /jobs/stretch": 204,
    }
    assert [job["id"] for job in answers["GET /jobs"][1]] == ["stretch"]
    ((run,), (shown_run,)) = answers["GET /runs"][1], answers_without_times(answer)
    assert answers_without_times([run]) == [shown_run]


def answers_without_times(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**run, "due": without_digits([run["due"]])[0]} for run in runs]


@pytest.mark.parametrize(
    "body",
    [
        {"id": "stretch", "text": "stretch your legs"},
        {"id": "stretch", "text": "stretch your legs", "seconds": "sixty"},
        {"id": "stretch", "text": "stretch your legs", "seconds": -60},
        ["stretch"],
    ],
)
def test_step_6_says_what_it_cannot_use(body: object, web: Client) -> None:
    status, answer = web("POST", "/jobs", body)
    assert (status, list(answer)) == (400, ["error"])


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
    (summary,) = shown("-m pytest examples/tutorial_7_test_schedule.py")
    assert without_digits([summary.split(" in ")[0]])[0] == "0 passed"
    assert summary.split(" in ")[0] in done.stdout
