"""Event codes and event classes."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from apscheduler import events
from apscheduler.events import JobEvent, JobExecutionEvent, JobSubmissionEvent, SchedulerEvent

MARCH_1 = datetime(2030, 3, 1, tzinfo=timezone.utc)
CODES = {
    name: code
    for name, code in vars(events).items()
    if name.startswith("EVENT_") and name not in ("EVENT_ALL", "EVENT_SCHEDULER_START")
}


def test_each_code_is_a_bit_of_its_own_and_all_of_them_make_event_all() -> None:
    joined = 0
    for code in CODES.values():
        assert code.bit_count() == 1
        assert joined & code == 0
        joined |= code

    assert joined == events.EVENT_ALL


def test_the_start_has_two_names() -> None:
    assert events.EVENT_SCHEDULER_START == events.EVENT_SCHEDULER_STARTED


def test_every_name_is_exported() -> None:
    public = {name for name in vars(events) if name.startswith("EVENT_") or name.endswith("Event")}
    assert set(events.__all__) == public


def test_an_event_of_a_part_names_its_alias() -> None:
    event = SchedulerEvent(events.EVENT_EXECUTOR_ADDED, "heavy")
    assert (event.code, event.alias) == (events.EVENT_EXECUTOR_ADDED, "heavy")
    assert SchedulerEvent(events.EVENT_SCHEDULER_PAUSED).alias is None


def test_an_event_of_a_job_names_the_job_and_its_store() -> None:
    event = JobEvent(events.EVENT_JOB_ADDED, "job", "default")
    assert (event.code, event.alias) == (events.EVENT_JOB_ADDED, None)
    assert (event.job_id, event.jobstore) == ("job", "default")


def test_a_submission_names_the_scheduled_times() -> None:
    event = JobSubmissionEvent(events.EVENT_JOB_SUBMITTED, "job", "default", [MARCH_1])
    assert (event.job_id, event.scheduled_run_times) == ("job", [MARCH_1])


def test_an_execution_has_the_result_or_the_error() -> None:
    done = JobExecutionEvent(events.EVENT_JOB_EXECUTED, "job", "default", MARCH_1, retval=42)
    assert (done.scheduled_run_time, done.retval) == (MARCH_1, 42)
    assert (done.exception, done.traceback) == (None, None)

    error = ValueError("no")
    failed = JobExecutionEvent(
        events.EVENT_JOB_ERROR, "job", "default", MARCH_1, exception=error, traceback="tb"
    )
    assert (failed.retval, failed.exception, failed.traceback) == (None, error, "tb")


@pytest.mark.parametrize(
    "event",
    [
        SchedulerEvent(1),
        JobEvent(512, "job", "default"),
        JobSubmissionEvent(32768, "job", "default", []),
        JobExecutionEvent(4096, "job", "default", MARCH_1),
    ],
)
def test_the_repr_has_the_class_and_the_code(event: SchedulerEvent) -> None:
    assert repr(event) == f"<{type(event).__name__} (code={event.code})>"
