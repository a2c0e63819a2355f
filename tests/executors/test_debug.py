"""The executor that runs jobs in the thread that hands them over."""

from __future__ import annotations

import threading

from apscheduler.events import EVENT_JOB_EXECUTED
from apscheduler.executors.debug import DebugExecutor
from apscheduler.schedulers.blocking import BlockingScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import PATIENCE, Recorder


def test_a_job_runs_before_its_submission_returns() -> None:
    scheduler = ManualScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(threading.get_ident)
    scheduler.add_job(jobs.give_later, args=["from a coroutine"])
    scheduler.run_due()
    results = {event.retval for event in recorder.events}
    assert results == {threading.get_ident(), "from a coroutine"}


def test_a_job_may_wait_for_a_thread_that_shuts_the_scheduler_down() -> None:
    scheduler = BlockingScheduler(executors={"default": DebugExecutor()})
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)

    def shut_down() -> str:
        thread = threading.Thread(target=scheduler.shutdown, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        return "alive" if thread.is_alive() else "done"

    scheduler.add_job(shut_down)
    scheduler.start()

    assert [event.retval for event in recorder.events] == ["done"]
