"""Jobs in greenlets."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import gevent
import pytest
from gevent.event import Event

from apscheduler.events import EVENT_JOB_ERROR
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
