"""What the page of questions says about shutting down holds where jobs wait for a worker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED
from apscheduler.executors.pool import AbandonedError, ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from tests.recorder import PATIENCE, Recorder

JOBS = 3


class Busy:
    """A scheduler whose only worker has begun with one of three jobs that it was handed."""

    def __init__(self) -> None:
        self.may_end = Event()
        self.scheduler = BackgroundScheduler(executors={"default": ThreadPoolExecutor(1)})
        self.recorder = Recorder(self.scheduler)
        self.scheduler.start()
        for _ in range(JOBS):
            self.scheduler.add_job(self.may_end.wait, args=[PATIENCE])
        self.recorder.wait_for(EVENT_JOB_SUBMITTED, JOBS)


@pytest.fixture
def busy() -> Iterator[Busy]:
    busy = Busy()
    yield busy
    busy.may_end.set()


@pytest.mark.parametrize("wait", [True, PATIENCE])
def test_what_waits_for_a_worker_runs_during_the_shutdown(busy: Busy, wait: bool | float) -> None:
    stopping = Thread(target=busy.scheduler.shutdown, args=[wait])
    stopping.start()
    while busy.scheduler.running:
        time.sleep(0.001)
    assert not busy.recorder.of(EVENT_JOB_EXECUTED)

    busy.may_end.set()
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert len(busy.recorder.of(EVENT_JOB_EXECUTED)) == JOBS


def test_what_has_not_begun_when_the_time_is_up_does_not_run(busy: Busy) -> None:
    busy.scheduler.shutdown(0.1)

    errors = busy.recorder.wait_for(EVENT_JOB_ERROR, JOBS - 1)
    assert {type(event.exception) for event in errors} == {AbandonedError}


def test_without_waiting_what_was_handed_over_runs_all_the_same(busy: Busy) -> None:
    busy.scheduler.shutdown(wait=False)
    assert not busy.recorder.of(EVENT_JOB_EXECUTED)

    busy.may_end.set()
    assert len(busy.recorder.wait_for(EVENT_JOB_EXECUTED, JOBS)) == JOBS
