"""The scheduler that has the thread that starts it to itself."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_SCHEDULER_STARTED
from apscheduler.schedulers import SchedulerAlreadyRunningError
from apscheduler.schedulers.blocking import BlockingScheduler
from tests import jobs
from tests.programs import run_program
from tests.recorder import PATIENCE, Recorder

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def scheduler() -> Iterator[BlockingScheduler]:
    scheduler = BlockingScheduler(timezone=timezone.utc)
    yield scheduler
    if scheduler.running:
        scheduler.shutdown(wait=False)


def test_start_returns_when_a_job_shuts_the_scheduler_down(scheduler: BlockingScheduler) -> None:
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(jobs.give, args=["ran"], id="first")
    soon = datetime.now(timezone.utc) + timedelta(milliseconds=50)
    scheduler.add_job(scheduler.shutdown, "date", run_date=soon)
    scheduler.start()
    assert not scheduler.running
    assert recorder.events[0].retval == "ran"


def test_it_can_be_started_again(scheduler: BlockingScheduler) -> None:
    recorder = Recorder(scheduler, EVENT_SCHEDULER_STARTED)
    for _ in range(3):
        scheduler.add_job(scheduler.shutdown)
        scheduler.start()
    assert len(recorder.events) == 3


def test_start_does_not_return_before_the_running_jobs_have_ended(
    scheduler: BlockingScheduler,
) -> None:
    recorder = Recorder(scheduler)
    both_run = threading.Barrier(2, timeout=PATIENCE)
    never = threading.Event()

    def stop() -> None:
        both_run.wait()
        scheduler.shutdown()

    def run_on() -> None:
        both_run.wait()
        never.wait(0.2)  # goes on for a while

    scheduler.add_job(stop)
    scheduler.add_job(run_on)
    scheduler.start()
    names = recorder.names
    assert names.index("JOB_EXECUTED") < names.index("SCHEDULER_SHUTDOWN")


def test_start_returns_when_another_thread_shuts_the_scheduler_down(
    scheduler: BlockingScheduler,
) -> None:
    started = Recorder(scheduler, EVENT_SCHEDULER_STARTED)

    def stop() -> None:
        started.wait_for(EVENT_SCHEDULER_STARTED)
        scheduler.shutdown()

    thread = threading.Thread(target=stop)
    thread.start()
    scheduler.start()
    thread.join()
    assert not scheduler.running


def test_while_it_runs_it_is_not_started_again(scheduler: BlockingScheduler) -> None:
    errors: list[Exception] = []

    def start_again(event: Any) -> None:
        try:
            scheduler.start()
        except SchedulerAlreadyRunningError as exc:
            errors.append(exc)
        scheduler.shutdown()

    scheduler.add_listener(start_again, EVENT_SCHEDULER_STARTED)
    scheduler.start()
    assert len(errors) == 1


def test_it_may_be_started_paused(scheduler: BlockingScheduler) -> None:
    recorder = Recorder(scheduler)

    def resume(event: Any) -> None:
        scheduler.add_job(scheduler.shutdown)
        scheduler.resume()

    scheduler.add_listener(resume, EVENT_SCHEDULER_STARTED)
    scheduler.start(paused=True)
    names = recorder.names
    assert names.index("SCHEDULER_RESUMED") < names.index("JOB_SUBMITTED")


def test_the_loop_looks_at_least_once_a_minute(scheduler: BlockingScheduler) -> None:
    """So that a clock that was set, or a computer that slept, is noticed."""
    waits: list[float | None] = []

    class WatchedEvent(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout)
            if len(waits) == 3:
                scheduler.shutdown()
            return False

    class Watched(BlockingScheduler):
        def _main_loop(self) -> None:
            self._event = WatchedEvent()
            super()._main_loop()

    scheduler = Watched(timezone=timezone.utc)
    scheduler.add_job(jobs.nothing, "interval", hours=1)
    scheduler.start()
    assert waits == [0, 60, 60]


def test_ctrl_c_may_strike_while_a_loop_holds_the_lock_of_an_event_of_its_own() -> None:
    class Interrupted(BlockingScheduler):
        def _main_loop(self) -> None:
            self._event = threading.Event()
            self._event._cond.acquire()  # as Event.clear() does
            raise KeyboardInterrupt

    scheduler = Interrupted(timezone=timezone.utc)
    with pytest.raises(KeyboardInterrupt):
        scheduler.start()
    scheduler.shutdown()
    assert not scheduler.running


@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends no signal to one process")
def test_ctrl_c_raises_keyboard_interrupt_from_start() -> None:
    program = (
        "from apscheduler.schedulers.blocking import BlockingScheduler\n"
        "scheduler = BlockingScheduler()\n"
        "scheduler.add_job(print, args=['ready'], kwargs={'flush': True})\n"
        "scheduler.add_job(print, 'interval', hours=1)\n"
        "try:\n"
        "    scheduler.start()\n"
        "except KeyboardInterrupt:\n"
        "    print('stopped by the user')\n"
        "    scheduler.shutdown()\n"
        "    print('running:', scheduler.running)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert (out, err) == ("stopped by the user\nrunning: False\n", "")
    assert process.returncode == 0


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="Windows has none")
def test_a_signal_that_another_thread_takes_is_handled_soon(tmp_path: Path) -> None:
    result = run_program(TAKEN_BY_A_THREAD, tmp_path)
    assert (result.stdout, result.stderr) == ("asked to stop\n", "")


TAKEN_BY_A_THREAD = """
import signal, threading
from apscheduler.schedulers.blocking import BlockingScheduler

def stop(*args):
    print("asked to stop")
    scheduler.shutdown()

signal.signal(signal.SIGTERM, stop)
scheduler = BlockingScheduler()
strike = threading.Timer(0.3, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
strike.start()  # in a thread that is not the scheduler's, while that one waits
scheduler.add_job(print, "interval", hours=1)
scheduler.start()
"""
