"""Parts that fail as told: a job store, an executor, a listener, and what decides when."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from enum import Enum, auto
from random import Random
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.job import Job
from apscheduler.jobstores.base import BaseJobStore, ConflictingIdError, JobLookupError
from apscheduler.schedulers.base import BaseScheduler


class InjectedError(Exception):
    """What parts raise here on purpose."""


class Fault(Enum):
    """How an operation fails."""

    BEFORE = auto()  # it had no effect
    HALFWAY = auto()  # of a batch, the first half took effect; otherwise as BEFORE
    AFTER = auto()  # it took effect, but its answer was lost


class Faults:
    """
    Decides which operations fail, and how.

    :param probability: that an operation fails; may be changed at any time
    :param seed: the same one makes the same decisions
    :param kinds: how operations fail
    :param only: names of the operations that may fail; empty for all
    :param limit: how many operations fail at most; None for any number
    :param error: what they raise
    """

    def __init__(
        self,
        probability: float,
        seed: int = 0,
        kinds: Sequence[Fault] = tuple(Fault),
        only: Collection[str] = (),
        limit: int | None = None,
        error: type[BaseException] = InjectedError,
    ) -> None:
        self.probability = probability
        self.error = error
        self.limit = limit
        self.injected: Counter[str] = Counter()
        self._random = Random(seed)
        self._kinds = kinds
        self._only = only

    def strike(self, operation: str) -> Fault | None:
        """Return how this operation is to fail; None if it is to work."""
        if self._only and operation not in self._only:
            return None
        if self.limit is not None and self.injected.total() >= self.limit:
            return None
        if self._random.random() >= self.probability:
            return None

        self.injected[operation] += 1
        return self._random.choice(self._kinds)


class FaultyStore(BaseJobStore):
    """A job store of which any operation may fail, around one that works."""

    def __init__(self, inner: BaseJobStore, faults: Faults) -> None:
        self.inner = inner
        self.faults = faults

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self.inner.start(scheduler, alias)

    def shutdown(self) -> None:
        self.inner.shutdown()

    def lookup_job(self, job_id: str) -> Job | None:
        return self._do("lookup_job", job_id)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return self._do("get_due_jobs", now)

    def get_next_run_time(self) -> datetime | None:
        return self._do("get_next_run_time")

    def get_next_run_time_after(self, now: datetime) -> datetime | None:
        return self._do("get_next_run_time_after", now)

    def get_all_jobs(self) -> list[Job]:
        return self._do("get_all_jobs")

    def add_job(self, job: Job) -> None:
        self._do("add_job", job)

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        self._do_all("add_jobs", jobs)

    def update_job(self, job: Job) -> None:
        self._do("update_job", job)

    def update_jobs(self, jobs: Iterable[Job]) -> list[str]:
        return self._do_all("update_jobs", list(jobs))

    def remove_job(self, job_id: str) -> None:
        self._do("remove_job", job_id)

    def remove_jobs(self, job_ids: Iterable[str]) -> list[str]:
        return self._do_all("remove_jobs", list(job_ids))

    def remove_all_jobs(self) -> None:
        self._do("remove_all_jobs")

    def _do(self, operation: str, *args: Any) -> Any:
        fault = self.faults.strike(operation)
        if fault is Fault.BEFORE or fault is Fault.HALFWAY:
            raise self.faults.error(f"{operation} was not done")

        answer = getattr(self.inner, operation)(*args)
        if fault is Fault.AFTER:
            raise self.faults.error(f"the answer of {operation} was lost")

        return answer

    def _do_all(self, operation: str, items: Sequence[Any]) -> Any:
        fault = self.faults.strike(operation)
        if fault is Fault.BEFORE:
            raise self.faults.error(f"{operation} was not done")

        part = items[: len(items) // 2] if fault is Fault.HALFWAY else items
        answer = getattr(self.inner, operation)(part)
        if fault is not None:
            raise self.faults.error(f"{operation} was done for {len(part)} of {len(items)}")

        return answer


class BytesStore(BaseJobStore):
    """
    Keeps jobs as bytes that outlive the scheduler, as a database does.

    It has the methods that 3.x plugins have, and no other.
    """

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}

    def lookup_job(self, job_id: str) -> Job | None:
        row = self.rows.get(job_id)
        return None if row is None else self._load(row)

    def get_due_jobs(self, now: datetime) -> list[Job]:
        return [job for job in self._waiting_jobs() if job.next_run_time <= now]

    def get_next_run_time(self) -> datetime | None:
        return next((job.next_run_time for job in self._waiting_jobs()), None)

    def get_all_jobs(self) -> list[Job]:
        paused = [job for job in self._load_all() if job.next_run_time is None]
        return self._waiting_jobs() + paused

    def add_job(self, job: Job) -> None:
        if job.id in self.rows:
            raise ConflictingIdError(job.id)
        self.rows[job.id] = pickle.dumps(job.__getstate__())

    def update_job(self, job: Job) -> None:
        if job.id not in self.rows:
            raise JobLookupError(job.id)
        self.rows[job.id] = pickle.dumps(job.__getstate__())

    def remove_job(self, job_id: str) -> None:
        if self.rows.pop(job_id, None) is None:
            raise JobLookupError(job_id)

    def remove_all_jobs(self) -> None:
        self.rows.clear()

    def _waiting_jobs(self) -> list[Any]:
        waiting = [job for job in self._load_all() if job.next_run_time is not None]
        return sorted(waiting, key=lambda job: job.next_run_time)

    def _load_all(self) -> list[Any]:
        return [self._load(row) for row in self.rows.values()]

    def _load(self, row: bytes) -> Job:
        job = Job.__new__(Job)
        job.__setstate__(pickle.loads(row))
        job._scheduler = self._scheduler  # type: ignore[assignment]  # the store was started
        job._jobstore_alias = self._alias
        return job


class FaultyExecutor(BaseExecutor):
    """An executor that sometimes refuses a job, before one that runs it."""

    def __init__(self, inner: BaseExecutor, faults: Faults) -> None:
        super().__init__()
        self.inner = inner
        self.faults = faults

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self.inner.start(scheduler, alias)

    def shutdown(self, wait: bool | float = True) -> None:
        self.inner.shutdown(wait)

    def has_room(self, job: Job) -> bool:
        return self.inner.has_room(job)

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        if self.faults.strike("submit_job"):
            raise self.faults.error("the executor is out of order")
        self.inner.submit_job(job, run_times)

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        raise AssertionError("submit_job() goes to the inner executor")


def faulty_listener(faults: Faults) -> Callable[[Any], None]:
    """Return a listener that sometimes raises what is no Exception."""

    def listen(event: Any) -> None:
        if faults.strike("listener"):
            raise BaseException("a listener on purpose")

    return listen
