"""The executor that runs jobs in the thread that hands them over."""

from __future__ import annotations

import threading
from datetime import datetime, timezone

from apscheduler.events import EVENT_JOB_EXECUTED, EVENT_SCHEDULER_SHUTDOWN
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import OUTCOMES, PATIENCE, Recorder


def test_a_job_runs_before_its_submission_returns() -> None:
    scheduler = ManualScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(threading.get_ident)
    scheduler.add_job(jobs.give_later, args=["from a coroutine"])
    scheduler.run_due()
    results = {event.retval for event in recorder.events}
    assert results == {threading.get_ident(), "from a coroutine"}


def test_a_job_may_wait_for_a_thread_that_shuts_the_scheduler_down_without_waiting() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)

    def shut_down() -> str:
        thread = threading.Thread(target=scheduler.shutdown, args=[False], daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return "alive" if thread.is_alive() else "done"

    scheduler.add_job(shut_down)
    scheduler.start()

    assert [event.retval for event in recorder.events] == ["done"]


def test_a_shutdown_in_another_thread_waits_for_it_and_leaves_the_rest_to_its_thread() -> None:
    scheduler = BackgroundScheduler(
        executors={"default": DebugExecutor(), "pool": ThreadPoolExecutor(1)}
    )
    recorder = Recorder(scheduler, OUTCOMES | EVENT_SCHEDULER_SHUTDOWN)
    begun, release = threading.Event(), threading.Event()

    def hold() -> int:
        begun.set()
        assert release.wait(PATIENCE)
        return threading.get_ident()

    scheduler.start(paused=True)
    at = datetime.now(timezone.utc)
    scheduler.add_job(hold, next_run_time=at, id="1")
    scheduler.add_job(threading.get_ident, next_run_time=at, id="2")
    scheduler.add_job(release.set, next_run_time=at, id="3", executor="pool")
    assert scheduler._thread is not None
    loop = scheduler._thread.ident
    scheduler.resume()
    assert begun.wait(PATIENCE)
    scheduler.shutdown()  # hands over the third one, with which the first one ends

    told = [(getattr(event, "job_id", None), event.code) for event in recorder.events]
    assert sorted(told[:-1]) == [(id, EVENT_JOB_EXECUTED) for id in "123"]
    assert told[-1] == (None, EVENT_SCHEDULER_SHUTDOWN)
    assert {e.job_id: e.retval for e in recorder.of(OUTCOMES)} == {"1": loop, "2": loop, "3": None}


def test_a_shutdown_that_does_not_wait_for_it_leaves_the_rest_to_its_thread_too() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, OUTCOMES | EVENT_SCHEDULER_SHUTDOWN)
    begun, release = threading.Event(), threading.Event()

    def hold() -> int:
        begun.set()
        assert release.wait(PATIENCE)
        return threading.get_ident()

    at = datetime.now(timezone.utc)
    scheduler.add_job(hold, next_run_time=at, id="1")
    scheduler.add_job(threading.get_ident, next_run_time=at, id="2")
    loop = threading.Thread(target=scheduler.start)
    loop.start()
    assert begun.wait(PATIENCE)
    scheduler.shutdown(wait=False)
    assert [event.code for event in recorder.events] == [EVENT_SCHEDULER_SHUTDOWN]

    release.set()
    loop.join(PATIENCE)
    assert [(e.job_id, e.retval) for e in recorder.events[1:]] == [
        ("1", loop.ident),
        ("2", loop.ident),
    ]
