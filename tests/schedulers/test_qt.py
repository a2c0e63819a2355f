"""What QtScheduler does beyond SchedulerContract."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from threading import Thread, get_ident
from time import monotonic
from typing import Any

import pytest

from apscheduler.schedulers.qt import BINDINGS, QtCore, QtScheduler
from tests.recorder import PATIENCE

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def app() -> Any:
    return QtCore.QCoreApplication.instance() or QtCore.QCoreApplication([])


@pytest.fixture
def scheduler(app: Any) -> Iterator[QtScheduler]:
    with QtScheduler() as scheduler:
        yield scheduler


def until(condition: Callable[[], object]) -> None:
    """Let the event loop of this thread run until the condition holds."""
    deadline = monotonic() + PATIENCE
    while not condition():
        assert monotonic() < deadline
        QtCore.QCoreApplication.processEvents()


def test_it_has_one_timer_however_often_it_is_woken(scheduler: QtScheduler) -> None:
    said: list[int] = []
    for number in range(20):
        scheduler.add_job(said.append, args=[number])
        until(lambda: number in said)  # noqa: B023  # called before the next one

    (timer,) = scheduler._relay.findChildren(QtCore.QTimer)
    assert timer is scheduler._timeout
    assert timer.isActive()
    assert timer.isSingleShot()


def test_its_timer_is_precise_and_set_for_a_minute_at_the_most(scheduler: QtScheduler) -> None:
    scheduler.add_job(print, "interval", hours=1)
    until(lambda: scheduler._timeout is not None)
    timer = scheduler._timeout
    assert timer.timerType() == QtCore.Qt.TimerType.PreciseTimer
    assert timer.interval() == 60_000


def test_a_signal_may_be_a_job_and_its_slot_is_called_in_the_thread_of_its_object(
    scheduler: QtScheduler,
) -> None:
    class Window(QtCore.QObject):
        asked = (getattr(QtCore, "Signal", None) or QtCore.pyqtSignal)(str)

        def show(self, word: str) -> None:
            shown.append((word, get_ident()))

    shown: list[tuple[str, int]] = []
    window = Window()
    window.asked.connect(window.show)
    scheduler.add_job(window.asked.emit, args=["word"])
    until(lambda: shown)
    assert shown == [("word", get_ident())]


def test_no_timer_is_left_after_a_shutdown(app: Any) -> None:
    scheduler = QtScheduler()
    scheduler.start()
    until(lambda: scheduler._timeout is not None)
    timer = scheduler._timeout
    scheduler.shutdown()
    assert not timer.isActive()
    assert scheduler._timeout is None


def test_it_may_be_started_by_a_thread_that_has_no_event_loop(app: Any) -> None:
    said: list[str] = []
    scheduler = QtScheduler()
    scheduler.add_job(said.append, args=["ran"])
    thread = Thread(target=scheduler.start)
    thread.start()
    thread.join()
    until(lambda: said)
    scheduler.shutdown()
    assert said == ["ran"]


def test_it_may_be_started_before_the_application_is_built() -> None:
    program = (
        "from PySide6.QtCore import QCoreApplication\n"
        "from apscheduler.schedulers.qt import QtScheduler\n"
        "scheduler = QtScheduler()\n"
        "scheduler.start()\n"
        "app = QCoreApplication([])\n"
        "scheduler.add_job(app.quit)\n"
        "app.exec()\n"
        "scheduler.shutdown()\n"
        "print('done')"
    )
    pytest.importorskip("PySide6")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("done\n", 0), done.stderr


def test_the_window_of_a_program_may_be_closed_while_jobs_wait(app: Any) -> None:
    with QtScheduler() as scheduler:
        scheduler.add_job(print, "interval", hours=1)
        scheduler.add_job(app.quit)
        app.exec()

    assert not scheduler.running


def test_runs_moved_on_while_the_application_ends_are_told() -> None:
    program = """
import threading
from apscheduler.schedulers.qt import QtCore, QtScheduler
from apscheduler.events import EVENT_JOB_MISSED
from apscheduler.jobstores.memory import MemoryJobStore

ended = threading.Event()

class Slow(MemoryJobStore):
    def may_block(self):
        return True
    def get_due_jobs(self, now):
        app.quit()
        ended.wait()
        return super().get_due_jobs(now)

app = QtCore.QCoreApplication([])
scheduler = QtScheduler(jobstores={"default": Slow()})
scheduler.add_listener(lambda event: print("missed", event.job_id), EVENT_JOB_MISSED)
scheduler.add_job(print, id="job")
scheduler.start()
app.exec()
ended.set()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("missed job\n", 0), done.stderr


def test_the_exit_does_not_wait_for_a_job_store_that_a_shutdown_has_given_up() -> None:
    program = """
import threading
from apscheduler.schedulers.qt import QtCore, QtScheduler
from apscheduler.jobstores.memory import MemoryJobStore

asked = threading.Event()

class Hanging(MemoryJobStore):
    def may_block(self):
        return True
    def get_due_jobs(self, now):
        asked.set()
        threading.Event().wait()

app = QtCore.QCoreApplication([])
scheduler = QtScheduler(jobstores={"default": Hanging()})
scheduler.start()
while not asked.is_set():
    app.processEvents()
scheduler.shutdown(wait=False)
print("shut down")
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.stdout, done.returncode) == ("shut down\n", 0), done.stderr


def test_one_that_is_woken_before_it_starts_does_nothing(app: Any) -> None:
    scheduler = QtScheduler()
    scheduler.wakeup()
    assert scheduler._timeout is None


def test_after_a_timer_could_not_be_had_it_may_be_started(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(parent: Any) -> None:
        raise MemoryError

    scheduler = QtScheduler()
    with monkeypatch.context() as patch:
        patch.setattr(QtCore, "QTimer", fail)
        with pytest.raises(MemoryError):
            scheduler.start()

    scheduler.start()
    assert scheduler.running
    scheduler.shutdown()


@pytest.mark.parametrize("binding", BINDINGS[1:])
@pytest.mark.timeout(300)
def test_it_behaves_the_same_with_other_bindings(binding: str) -> None:
    if find_spec(binding) is None:
        pytest.skip(f"{binding} is not installed")

    program = (
        f"import sys, pytest, {binding}\n"
        "arguments = ['-q', '-p', 'no:cacheprovider', 'tests/contracts/test_schedulers.py']\n"
        "code = pytest.main([*arguments, '-k', 'TestQtScheduler'])\n"
        f"assert sys.modules['apscheduler.schedulers.qt'].QtCore.__name__ == '{binding}.QtCore'\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
