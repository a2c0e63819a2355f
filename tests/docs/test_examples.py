"""Every example runs, here or in a test of its own, and is listed in examples/README.rst."""

from __future__ import annotations

import ast
import re
import signal
import sys
from pathlib import Path

import pytest

from .pages import DOCS, ROOT, blocks_of
from .programs import EXAMPLES, PATIENCE, output_of, started

FILES = sorted(path.name for path in EXAMPLES.glob("*.py"))
FOLDERS = sorted({path.parent.name for path in EXAMPLES.glob("*/*.py")})


# Name, needs and purpose of each example
LISTED = re.findall(
    r"^   \* - ``([\w/.]+)``\n     -(.*)\n     - (\S.*)$",
    (EXAMPLES / "README.rst").read_text(encoding="utf-8"),
    re.MULTILINE,
)


def test_every_example_is_listed_with_one_line() -> None:
    assert {name for name, _, _ in LISTED} == {*FILES, *(f"{name}/" for name in FOLDERS)}
    assert len(LISTED) == len(FILES) + len(FOLDERS)


@pytest.mark.parametrize(("name", "needs"), [row[:2] for row in LISTED], ids=lambda text: text)
def test_the_list_says_what_an_example_needs(name: str, needs: str) -> None:
    files = [EXAMPLES / name] if name.endswith(".py") else list((EXAMPLES / name).rglob("*.py"))
    wanted = set().union(*map(needs_of, files)) | STARTED_BY.get(name, set())
    assert set(re.findall(r"``(\w+)``", needs)) == wanted
    assert set(re.findall(r"extra ``(\w+)``", needs)) == wanted & EXTRAS


STARTED_BY = {
    "gunicorn_app.py": {"gunicorn"},
    "own_scheduler.py": {"pytest"},
    "tutorial_7_test_schedule.py": {"pytest"},
}
EXTRAS = {"sqlalchemy", "tornado", "twisted", "gevent", "qt"}


def needs_of(file: Path) -> set[str]:
    """Return the packages and extras that a file needs, by what it imports and configures."""
    text = file.read_text(encoding="utf-8")
    imported: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported.add(node.module)

    ours = {name.rpartition(".")[2] for name in imported if name.startswith("apscheduler.")}
    others = {name.partition(".")[0].lower() for name in imported} - {"apscheduler", "pyside6"}
    others -= sys.stdlib_module_names | {path.stem for path in EXAMPLES.rglob("*")}
    if '"type": "sqlalchemy"' in text or '.type": "sqlalchemy' in text:
        others.add("sqlalchemy")

    return others | (ours & EXTRAS)


def test_every_example_is_run_by_a_test() -> None:
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py")
    )
    untested = [name for name in FILES + FOLDERS if Path(name).stem not in tests]
    assert not untested


def test_the_watchdog_reports_the_slow_job_only(tmp_path: Path) -> None:
    _, errors = output_of(tmp_path, EXAMPLES / "watchdog.py")
    assert "Job slow has been running for" in errors
    assert "Job quick" not in errors


def test_metrics_count_every_kind_of_outcome(tmp_path: Path) -> None:
    output, _ = output_of(tmp_path, EXAMPLES / "metrics.py")
    for line in (r"error: \d", r"executed: \d", r"left out: \d", r"longest run: \d"):
        assert re.search(f"^{line}", output, re.MULTILINE), output


def test_it_says_why_jobs_do_not_run(tmp_path: Path) -> None:
    output, _ = output_of(tmp_path, EXAMPLES / "why_not.py")
    assert output.splitlines() == [
        "The scheduler is not running: start() was not called, or not in this process",
        "later: waits for the scheduler to start",
        "paused: waits for the scheduler to start",
        "later: runs next at 2099-01-01 00:00:00+00:00",
        "paused: is paused: resume() lets it go on",
    ]


def test_the_trigger_of_the_extending_page_fires_as_the_page_says(tmp_path: Path) -> None:
    output, _ = output_of(tmp_path, EXAMPLES / "own_trigger.py")
    (shown,) = [block for block in blocks_of(DOCS / "extending.rst") if block.kind == "text"]
    assert output == shown.text


def test_the_executor_of_the_extending_page_runs_jobs(tmp_path: Path) -> None:
    output, _ = output_of(tmp_path, EXAMPLES / "own_executor.py")
    assert output == "Hello from a thread of my own\n"


def test_the_scheduler_of_the_frameworks_page_passes_the_suite(tmp_path: Path) -> None:
    options = ["-q", "-p", "no:cacheprovider"]
    output, _ = output_of(tmp_path, "-m", "pytest", *options, EXAMPLES / "own_scheduler.py")
    assert re.search(r"^\d\d passed in", output, re.MULTILINE), output


def test_a_web_process_adds_jobs_and_another_runs_them(tmp_path: Path) -> None:
    with started(tmp_path, EXAMPLES / "web_and_scheduler.py", "scheduler") as scheduler:
        assert scheduler.stdout is not None
        web = "import web_and_scheduler; web_and_scheduler.serve_web()"
        assert output_of(tmp_path, "-c", web) == ("", "")
        assert scheduler.stdout.readline() == "Mail to ada@example.com\n"
        scheduler.send_signal(signal.SIGINT)
        _, errors = scheduler.communicate(timeout=PATIENCE)
        assert "Traceback" not in errors


def test_a_django_command_runs_jobs_until_it_is_told_to_stop(tmp_path: Path) -> None:
    pytest.importorskip("django", reason="pip install django")
    manage = EXAMPLES / "django_site" / "manage.py"
    output_of(tmp_path, manage, "migrate", "--verbosity", "0")
    with started(tmp_path, manage, "runjobs") as command:
        assert command.stdout is not None
        assert command.stdout.readline() == "Running jobs; press Ctrl+C to stop\n"
        assert command.stdout.readline() == "Deleted 0 sessions\n"
        command.send_signal(signal.SIGTERM)
        output, errors = command.communicate(timeout=PATIENCE)
        assert output.splitlines()[-1] == "Stopped", errors
        assert command.returncode == 0
