"""Stores of programs that subclass ours and override what they overrode in 3.x."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import HOUR, NOW, record, running, runs


class Noting(BaseJobStore):
    """Takes note of each job that it is asked for, is given, or loses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.calls: list[str] = []

    def lookup_job(self, job_id: str) -> Job | None:
        self.calls.append(f"lookup {job_id}")
        return super().lookup_job(job_id)  # type: ignore[safe-super]  # of the store beside it

    def add_job(self, job: Job) -> None:
        self.calls.append(f"add {job.id}")
        super().add_job(job)  # type: ignore[safe-super]

    def update_job(self, job: Job) -> None:
        self.calls.append(f"update {job.id}")
        super().update_job(job)  # type: ignore[safe-super]

    def remove_job(self, job_id: str) -> None:
        self.calls.append(f"remove {job_id}")
        super().remove_job(job_id)  # type: ignore[safe-super]


class NotingMemory(Noting, MemoryJobStore):
    pass


class NotingSQL(Noting, SQLAlchemyJobStore):
    pass


@pytest.fixture(params=["memory", "sql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> NotingMemory | NotingSQL:
    if request.param == "memory":
        return NotingMemory()

    return NotingSQL(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


def test_a_method_for_one_job_that_is_overridden_sees_each_job_of_a_pass(
    store: NotingMemory | NotingSQL,
) -> None:
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", ["goes on"], hours=1, id="a")
        scheduler.add_job(record, "date", ["ends"], run_date=NOW + HOUR, id="b")
        store.calls.clear()
        scheduler.advance(HOUR)
        assert sorted(store.calls) == ["remove b", "update a"]
        assert runs == ["goes on", "ends"]


def test_a_method_for_one_job_that_is_overridden_sees_each_job_that_is_added_with_others(
    store: NotingMemory | NotingSQL,
) -> None:
    specs: list[dict[str, Any]] = [
        {"func": record, "id": id, "trigger": "interval", "hours": 1, "replace_existing": True}
        for id in "ab"
    ]
    scheduler = ManualScheduler(now=NOW)
    scheduler.add_jobstore(store)
    for spec in specs:
        scheduler.add_job(**spec)  # pending until the start
    scheduler.start()
    assert store.calls == ["lookup a", "lookup b", "add a", "add b"]

    store.calls.clear()
    scheduler.add_jobs(specs)
    assert store.calls == ["lookup a", "lookup b", "update a", "update b"]
    scheduler.shutdown()


def test_a_missing_job_is_an_error_in_a_subclass_as_well(store: NotingMemory | NotingSQL) -> None:
    with running(store) as scheduler:
        for change in (scheduler.remove_job, scheduler.pause_job):
            with pytest.raises(JobLookupError, match="nobody"):
                change("nobody")


def test_a_subclass_may_override_the_method_for_many_jobs_alone_or_both() -> None:
    class Batches(MemoryJobStore):
        def add_jobs(self, jobs: Sequence[Job]) -> None:
            super().add_jobs(list(reversed(jobs)))

    class Both(NotingMemory):
        def add_job(self, job: Job) -> None:
            super().add_job(job)

        def add_jobs(self, jobs: Sequence[Job]) -> None:
            self.calls.append("many")
            MemoryJobStore.add_jobs(self, jobs)

    specs = [{"func": record, "trigger": "interval", "hours": 1, "id": id} for id in "ab"]
    both = Both()
    for store in (Batches(), both):
        with running(store) as scheduler:
            scheduler.add_jobs(specs)
            assert [job.id for job in scheduler.get_jobs()] == ["a", "b"]
    assert both.calls == ["many"]
