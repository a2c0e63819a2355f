"""How an executor runs a job, and what plugins may rely on."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Coroutine, Iterator
from datetime import datetime, timedelta, timezone
from functools import partial, wraps
from queue import Queue
from threading import RLock, Thread
from typing import Any
from unittest.mock import Mock

import pytest

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobExecutionEvent,
)
from apscheduler.executors.base import (
    BaseExecutor,
    MaxInstancesReachedError,
    run_coroutine_job,
    run_job,
)
from apscheduler.executors.debug import DebugExecutor
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.job import Job
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler
from tests import jobs
from tests.recorder import PATIENCE, Recorder

LOGGER = "apscheduler.executors.tests"


@pytest.fixture
def scheduler() -> ManualScheduler:
    scheduler = ManualScheduler()
    scheduler.start()
    return scheduler


class PluginExecutor(BaseExecutor):
    """Written as plugins for 3.x are: it keeps what it gets until the test has it run."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[Job, list[datetime]]] = []

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self.taken.append((job, run_times))

    def run_all(self) -> None:
        for job, run_times in self.taken:
            events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
            self._run_job_success(job.id, events)


class InPlaceExecutor(BaseExecutor):
    """Runs jobs at once, and does not say that it does."""

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        events = run_job(job, job._jobstore_alias, run_times, self._logger.name)
        self._run_job_success(job.id, events)


@pytest.mark.parametrize("mask", [EVENT_JOB_EXECUTED, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED])
def test_a_listener_may_wait_for_a_thread_that_shuts_the_scheduler_down(mask: int) -> None:
    scheduler = BackgroundScheduler(executors={"default": InPlaceExecutor()}, timezone="UTC")
    is_through: list[bool] = []

    def shut_down_elsewhere(event: Any) -> None:
        if event.code == EVENT_JOB_EXECUTED:
            thread = Thread(target=scheduler.shutdown, args=[False], daemon=True)
            thread.start()
            thread.join(PATIENCE)
            is_through.append(not thread.is_alive())

    scheduler.add_listener(shut_down_elsewhere, mask)
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.start()
    scheduler.add_job(jobs.nothing)
    recorder.wait_for(EVENT_JOB_EXECUTED)
    assert is_through == [True]


class TestPlugins:
    def test_one_runs_jobs(self, scheduler: ManualScheduler) -> None:
        plugin = PluginExecutor()
        scheduler.add_executor(plugin, "plugin")
        recorder = Recorder(scheduler, EVENT_JOB_SUBMITTED | EVENT_JOB_EXECUTED)
        scheduler.add_job(jobs.give, args=["result"], executor="plugin", id="job")
        scheduler.run_due()
        assert recorder.names == ["JOB_SUBMITTED"]
        assert plugin._instances == {"job": 1}

        plugin.run_all()
        assert recorder.events[-1].retval == "result"
        assert plugin._instances == {}

    def test_it_knows_its_scheduler_its_lock_and_its_logger(
        self, scheduler: ManualScheduler
    ) -> None:
        plugin = PluginExecutor()
        assert (plugin._scheduler, plugin._lock) == (None, None)
        scheduler.add_executor(plugin, "plugin")
        assert plugin._scheduler is scheduler
        with plugin._lock:
            assert plugin._logger.name == "apscheduler.executors.plugin"

    def test_before_its_start_it_takes_no_job(self, scheduler: ManualScheduler) -> None:
        job = scheduler.add_job(jobs.nothing)
        with pytest.raises(RuntimeError, match="This executor has not been started yet"):
            PluginExecutor().submit_job(job, [])

    def test_it_takes_as_many_runs_as_the_job_allows(self, scheduler: ManualScheduler) -> None:
        plugin = PluginExecutor()
        scheduler.add_executor(plugin, "plugin")
        job = scheduler.add_job(jobs.nothing, "interval", hours=1, max_instances=2, id="job")
        plugin.submit_job(job, [])
        plugin.submit_job(job, [])
        words = r'Job "job" has already reached its maximum number of instances \(2\)'
        with pytest.raises(MaxInstancesReachedError, match=words):
            plugin.submit_job(job, [])

        plugin._run_job_success("job", [])
        plugin.submit_job(job, [])
        assert len(plugin.taken) == 3

    def test_a_submission_that_fails_makes_room_again(self, scheduler: ManualScheduler) -> None:
        class FailingExecutor(BaseExecutor):
            def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
                raise OSError("no room")

        executor = FailingExecutor()
        scheduler.add_executor(executor, "failing")
        job = scheduler.add_job(jobs.nothing, "interval", hours=1)
        for _ in range(2):
            with pytest.raises(OSError, match="no room"):
                executor.submit_job(job, [])

    def test_an_error_of_a_whole_submission_is_logged_and_makes_room_again(
        self, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
    ) -> None:
        plugin = PluginExecutor()
        scheduler.add_executor(plugin, "plugin")
        job = scheduler.add_job(jobs.nothing, "interval", hours=1, id="job")
        plugin.submit_job(job, [])
        plugin._run_job_error("job", OSError("the worker is gone"))
        assert "Error running job job" in caplog.text
        assert "the worker is gone" in caplog.text
        assert plugin._instances == {}


class StandIn:
    """A scheduler with no more than executors have always asked of one."""

    timezone = timezone.utc

    def __init__(self) -> None:
        self.outcomes: Queue[JobExecutionEvent] = Queue()

    def _create_lock(self) -> Any:
        return RLock()

    def _dispatch_event(self, event: JobExecutionEvent) -> None:
        self.outcomes.put(event)


def mocked_scheduler(mock: Mock) -> Any:
    mock.configure_mock(_create_lock=RLock, timezone=timezone.utc, outcomes=Queue())
    mock._dispatch_event.side_effect = mock.outcomes.put
    return mock


def fail() -> None:
    raise ValueError("the job's own")


@pytest.mark.parametrize("executor_class", [DebugExecutor, ThreadPoolExecutor])
@pytest.mark.parametrize(
    "stand_in",
    [StandIn, partial(mocked_scheduler, Mock()), partial(mocked_scheduler, Mock(BaseScheduler))],
    ids=["of the old names", "any mock", "mock of the class"],
)
def test_the_outcome_is_told_to_what_stands_in_for_a_scheduler(
    scheduler: ManualScheduler, executor_class: type[BaseExecutor], stand_in: Any
) -> None:
    job = scheduler.add_job(fail, "interval", hours=1)
    executor, told = executor_class(), stand_in()
    executor.start(told, "default")
    executor.submit_job(job, [datetime.now(timezone.utc)])
    event = told.outcomes.get(timeout=PATIENCE)
    executor.shutdown()
    assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, ValueError)


def run_sync(job: Job, run_times: list[datetime]) -> list[JobExecutionEvent]:
    return run_job(job, "default", run_times, LOGGER)


def run_async(job: Job, run_times: list[datetime]) -> list[JobExecutionEvent]:
    return asyncio.run(run_coroutine_job(job, "default", run_times, LOGGER))


class TestRuns:
    """What run_job() and run_coroutine_job() do alike."""

    @pytest.fixture(params=[run_sync, run_async])
    def run(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    def now(self) -> datetime:
        return datetime.now(timezone.utc)

    def make(self, scheduler: ManualScheduler, func: Any, **settings: Any) -> Job:
        return scheduler.add_job(func, "interval", hours=1, id="job", **settings)

    def test_a_result_makes_an_event(
        self, scheduler: ManualScheduler, run: Any, now: datetime
    ) -> None:
        job = self.make(scheduler, jobs.give_later, args=["result"])
        (event,) = run(job, [now])
        assert (event.code, event.job_id, event.jobstore) == (EVENT_JOB_EXECUTED, "job", "default")
        assert (event.scheduled_run_time, event.retval) == (now, "result")

    def test_an_error_makes_an_event_with_its_traceback(
        self, scheduler: ManualScheduler, run: Any, now: datetime, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def fail() -> None:
            raise ValueError("no luck")

        (event,) = run(self.make(scheduler, fail), [now])
        assert event.code == EVENT_JOB_ERROR
        assert str(event.exception) == "no luck"
        assert event.traceback.rstrip().endswith('raise ValueError("no luck")')
        assert 'Job "TestRuns.' in caplog.text
        assert "raised an exception" in caplog.text

    def test_each_run_time_is_run_and_the_late_ones_are_missed(
        self, scheduler: ManualScheduler, run: Any, now: datetime
    ) -> None:
        job = self.make(scheduler, jobs.give_later, args=[1], misfire_grace_time=60)
        times = [now - timedelta(seconds=seconds) for seconds in (300, 200, 30, 0)]
        events = run(job, times)
        assert [event.code for event in events] == [EVENT_JOB_MISSED] * 2 + [
            EVENT_JOB_EXECUTED
        ] * 2
        assert [event.scheduled_run_time for event in events] == times

    def test_an_error_does_not_keep_the_next_run_from_its_turn(
        self, scheduler: ManualScheduler, run: Any, now: datetime
    ) -> None:
        outcomes = iter([ValueError("first"), None])

        async def alternate() -> None:
            outcome = next(outcomes)
            if outcome:
                raise outcome

        events = run(self.make(scheduler, alternate), [now, now])
        assert [event.code for event in events] == [EVENT_JOB_ERROR, EVENT_JOB_EXECUTED]

    def test_what_a_failed_run_held_is_let_go(
        self, scheduler: ManualScheduler, run: Any, now: datetime
    ) -> None:
        class Big:
            """Stands for data that should not be kept as long as the event is."""

        kept: list[weakref.ref[Big]] = []

        async def fail() -> None:
            big = Big()
            kept.append(weakref.ref(big))
            raise ValueError("no luck")

        events = run(self.make(scheduler, fail), [now])
        gc.collect()
        assert events[0].exception is not None
        assert kept[0]() is None


def test_a_plain_function_is_called_in_place(scheduler: ManualScheduler) -> None:
    job = scheduler.add_job(jobs.two, "interval", [1], {"third": 3}, hours=1)
    (event,) = run_sync(job, [datetime.now(timezone.utc)])
    assert event.retval == (1, None, 3)


def numbers() -> Iterator[int]:
    yield 1


async def later_numbers() -> AsyncIterator[int]:
    yield 1


class Numbers:
    def method(self) -> Iterator[int]:
        yield 1

    def __call__(self) -> Iterator[int]:
        yield 1


@wraps(numbers)
def decorated() -> Iterator[int]:
    return numbers()


@pytest.mark.parametrize(
    "func", [numbers, later_numbers, partial(numbers), Numbers().method, Numbers(), decorated]
)
def test_a_generator_that_nobody_runs_is_told_as_an_error(
    scheduler: ManualScheduler, func: Any
) -> None:
    job = scheduler.add_job(func, "interval", hours=1)
    (event,) = run_sync(job, [datetime.now(timezone.utc)])
    assert (event.code, type(event.exception)) == (EVENT_JOB_ERROR, TypeError)
    assert "generator function: its body was not run" in str(event.exception)


@pytest.mark.parametrize("func", [lambda: (n for n in [1]), lambda: numbers(), Numbers])
def test_a_plain_function_that_returns_a_generator_has_run(
    scheduler: ManualScheduler, func: Any
) -> None:
    job = scheduler.add_job(func, "interval", hours=1)
    (event,) = run_sync(job, [datetime.now(timezone.utc)])
    assert event.code == EVENT_JOB_EXECUTED
    result = event.retval.method() if func is Numbers else event.retval
    assert list(result) == [1]


class CompiledCoroutine(Coroutine[Any, Any, str]):
    """Stands for the coroutines of Cython, which have a type of their own."""

    def send(self, value: Any) -> Any:
        raise StopIteration("result")

    def throw(self, *args: Any) -> Any:
        raise AssertionError("it does not wait for anything")

    def __await__(self) -> Any:
        raise AssertionError("it is run by a task")


def test_a_coroutine_of_another_type_is_run(scheduler: ManualScheduler) -> None:
    job = scheduler.add_job(CompiledCoroutine, "interval", hours=1)
    (event,) = run_sync(job, [datetime.now(timezone.utc)])
    assert (event.code, event.retval) == (EVENT_JOB_EXECUTED, "result")


def test_a_coroutine_function_runs_where_a_loop_runs_already(scheduler: ManualScheduler) -> None:
    """A debug executor may be called from a coroutine; its loop cannot run another one."""
    scheduler.add_executor(DebugExecutor(), "debug")
    recorder = Recorder(scheduler, EVENT_JOB_EXECUTED)
    scheduler.add_job(jobs.give_later, args=["result"], executor="debug")

    async def main() -> None:
        scheduler.run_due()

    asyncio.run(main())
    assert [event.retval for event in recorder.events] == ["result"]
