"""Jobs in greenlets."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from datetime import timedelta
from typing import Any

import gevent
import pytest
from gevent.event import Event

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.gevent import GeventExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.schedulers.gevent import GeventScheduler
from tests.recorder import Recorder

logging.getLogger("gevent").setLevel(logging.CRITICAL)


def until_executed(recorder: Recorder, count: int = 1) -> None:
    with gevent.Timeout(30):
        while recorder.names.count("JOB_EXECUTED") < count:
            gevent.sleep(0.001)


def test_jobs_that_are_due_together_run_side_by_side() -> None:
    all_run = Event()
    running = 0

    def job() -> None:
        nonlocal running
        running += 1
        if running == 20:
            all_run.set()
        assert all_run.wait(30)

    with GeventScheduler() as scheduler:
        recorder = Recorder(scheduler)
        scheduler.add_jobs([{"func": job}] * 20)
        until_executed(recorder, 20)

    assert running == 20


@pytest.mark.parametrize("wait", [True, 30])
def test_a_shutdown_waits_for_greenlets(wait: bool | float) -> None:
    begun, goes_on = Event(), Event()

    def job() -> None:
        begun.set()
        goes_on.wait()

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(job)
    assert begun.wait(30)
    gevent.spawn_later(0.01, goes_on.set)
    scheduler.shutdown(wait)
    assert recorder.names[-2:] == ["JOB_EXECUTED", "SCHEDULER_SHUTDOWN"]


def test_after_so_many_seconds_it_kills_them_and_tells_of_each_run() -> None:
    begun = Event()
    runs: list[str] = []

    def job() -> None:
        runs.append("run")
        begun.set()
        Event().wait(60)

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    overdue = scheduler._now() - timedelta(seconds=2)
    settings: dict[str, Any] = {"start_date": overdue, "next_run_time": overdue}
    scheduler.add_job(job, "interval", seconds=1, coalesce=False, **settings)
    assert begun.wait(30)
    scheduler.shutdown(0.01)

    errors = recorder.of(EVENT_JOB_ERROR)
    assert runs == ["run"]
    assert len(errors) >= 3
    assert {type(event.exception) for event in errors} == {gevent.GreenletExit}
    assert recorder.names[-1] == "SCHEDULER_SHUTDOWN"


@pytest.mark.parametrize("wait", [False, 0.01])
def test_a_shutdown_cancels_coroutines(wait: bool | float) -> None:
    begun, cleaned_up = threading.Event(), threading.Event()

    async def job() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cleaned_up.set()

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(job)
    with gevent.Timeout(30):
        while not begun.is_set():
            gevent.sleep(0.001)
    scheduler.shutdown(wait)
    assert cleaned_up.wait(30)
    (event,) = recorder.of(EVENT_JOB_ERROR)
    assert isinstance(event.exception, gevent.GreenletExit)


def test_a_shutdown_that_need_not_wait_kills_greenlets_but_not_its_own() -> None:
    begun = Event()

    def first() -> None:
        begun.set()
        Event().wait(60)

    scheduler = GeventScheduler()
    recorder = Recorder(scheduler)
    scheduler.start()
    scheduler.add_job(first, id="first")
    assert begun.wait(30)
    scheduler.add_job(scheduler.shutdown, args=[False], id="second")
    until_executed(recorder)
    (event,) = recorder.of(EVENT_JOB_ERROR)
    assert event.job_id == "first"
    assert recorder.of(EVENT_JOB_EXECUTED)[0].job_id == "second"


@pytest.mark.parametrize("scheduler_class", [BackgroundScheduler, BlockingScheduler])
def test_a_scheduler_whose_thread_gives_greenlets_no_turn_is_told_what_to_use(
    scheduler_class: Any,
) -> None:
    scheduler = scheduler_class(executors={"default": GeventExecutor()})
    with pytest.raises(TypeError, match="use GeventScheduler, or have gevent"):
        scheduler.start()
    assert not scheduler.running


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_coroutines_overlap_and_other_greenlets_have_their_turn(patch: str) -> None:
    program = f"""
{patch}
import asyncio, threading, gevent
from apscheduler import current_job
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.schedulers.gevent import GeventScheduler

begun, told = [], []

async def job():
    begun.append(current_job.get().id)
    while len(begun) < 12 or not turns:
        await asyncio.sleep(0.001)
    return current_job.get().id

async def fail():
    await asyncio.sleep(0)
    raise LookupError("as is to be expected")

async def cancel():
    raise asyncio.CancelledError

turns = []
with GeventScheduler() as scheduler:
    scheduler.add_listener(told.append, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    for number in range(12):
        scheduler.add_job(job, id=str(number))
    scheduler.add_job(fail, id="fail")
    scheduler.add_job(cancel, id="cancel")
    with gevent.Timeout(30):
        while len(begun) < 12:
            gevent.sleep(0.001)
        turns.append("the hub")
        while len(told) < 14:
            gevent.sleep(0.001)

errors = {{e.job_id: type(e.exception).__name__ for e in told if e.code == EVENT_JOB_ERROR}}
print(sorted(errors.items()))
print(sorted(int(e.retval) for e in told if e.code == EVENT_JOB_EXECUTED) == list(range(12)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == ("[('cancel', 'CancelledError'), ('fail', 'LookupError')]\nTrue\n"), (
        done.stderr
    )
    assert done.returncode == 0


@pytest.mark.parametrize("patch", ["", "from gevent import monkey; monkey.patch_all()"])
def test_runs_that_the_exit_of_the_interpreter_cuts_off_are_told(patch: str) -> None:
    program = f"""
{patch}
import gevent
from gevent.event import Event
from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.gevent import GeventExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.schedulers.gevent import GeventScheduler

begun = Event()

def job():
    begun.set()
    Event().wait()

scheduler = GeventScheduler()
scheduler.add_listener(lambda event: print("cut off", event.job_id), EVENT_JOB_ERROR)
scheduler.start()
scheduler.add_job(job, id="job")
begun.wait()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("cut off job\n", 0), done.stderr


def test_one_that_is_killed_before_it_began_is_told_as_well() -> None:
    class Scheduler(GeventScheduler):
        """Stops before the greenlets that it has spawned get their turn."""

        def _process_jobs(self) -> float | None:
            wait_seconds = super()._process_jobs()
            for greenlet in self._lookup_executor("default")._greenlets:  # type: ignore[attr-defined]
                greenlet.kill(block=False)
            return wait_seconds

    scheduler = Scheduler()
    recorder = Recorder(scheduler)
    scheduler.add_job(pytest.fail, args=["the job ran"])
    scheduler.start()
    with gevent.Timeout(30):
        while "JOB_ERROR" not in recorder.names:
            gevent.sleep(0.001)
    scheduler.shutdown()
    assert isinstance(recorder.of(EVENT_JOB_ERROR)[0].exception, gevent.GreenletExit)
