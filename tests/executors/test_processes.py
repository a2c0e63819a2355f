"""Worker processes die, and jobs go on in new ones."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor as PoolOfPython
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from apscheduler.events import EVENT_JOB_ERROR, EVENT_JOB_EXECUTED
from apscheduler.executors.pool import ProcessPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from tests.jobs import die, give
from tests.recorder import OUTCOMES, PATIENCE, Recorder

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")

KILLS = 100


@pytest.fixture
def stopped() -> BackgroundScheduler:
    return BackgroundScheduler(executors={"default": ProcessPoolExecutor(1)})


@pytest.fixture
def scheduler(stopped: BackgroundScheduler) -> Iterator[BackgroundScheduler]:
    stopped.start()
    yield stopped
    stopped.shutdown()


def test_the_run_of_a_killed_worker_is_an_error_and_the_next_run_works(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(die, id="killed")
    [error] = recorder.wait_for(EVENT_JOB_ERROR)
    scheduler.add_job(give, args=["well"])
    [result] = recorder.wait_for(EVENT_JOB_EXECUTED)

    assert error.job_id == "killed"
    assert isinstance(error.exception, BrokenProcessPool)
    assert "terminated abruptly" in str(error.exception)
    assert result.retval == "well"


def test_a_worker_that_is_killed_while_it_has_nothing_to_do_costs_no_run(
    scheduler: BackgroundScheduler,
) -> None:
    recorder = Recorder(scheduler)
    scheduler.add_job(os.getpid)
    [first] = recorder.wait_for(EVENT_JOB_EXECUTED)
    os.kill(first.retval, signal.SIGKILL)
    join_threads_of_pools()  # the pool has noticed
    scheduler.add_job(os.getpid)
    [_, second] = recorder.wait_for(EVENT_JOB_EXECUTED, 2)

    assert second.retval != first.retval
    assert not recorder.of(EVENT_JOB_ERROR)


def test_a_hundred_kills_in_a_row_leak_nothing(stopped: BackgroundScheduler) -> None:
    recorder = Recorder(stopped, EVENT_JOB_ERROR | EVENT_JOB_EXECUTED)
    run_and_kill(stopped, recorder, 1)  # what is made once for all is made now
    before = holdings()

    run_and_kill(stopped, recorder, KILLS)

    assert len(recorder.of(EVENT_JOB_ERROR)) == 1 + KILLS
    assert [event.retval for event in recorder.of(EVENT_JOB_EXECUTED)] == ["well"] * 2
    assert holdings() == before


def run_and_kill(scheduler: BackgroundScheduler, recorder: Recorder, kills: int) -> None:
    scheduler.start()
    try:
        for _ in range(kills):
            so_far = len(recorder.events)
            scheduler.add_job(die)
            recorder.wait_for(OUTCOMES, so_far + 1)
        scheduler.add_job(give, args=["well"])
        recorder.wait_for(OUTCOMES, so_far + 2)
    finally:
        scheduler.shutdown()
        join_threads_of_pools()


def holdings() -> dict[str, int]:
    """Count what a pool that was not cleaned up would hold."""
    gc.collect()
    files = Path("/proc/self/fd")
    return {
        "files": len(list(files.iterdir())) if files.exists() else 0,
        "threads": threading.active_count(),
        "processes": len(multiprocessing.active_children()),
        "pools": sum(isinstance(thing, PoolOfPython) for thing in gc.get_objects()),
    }


def join_threads_of_pools() -> None:
    for thread in threading.enumerate():
        if type(thread).__name__ == "_ExecutorManagerThread":
            thread.join(PATIENCE)
            assert not thread.is_alive()
