"""What an executor is, and how it runs a job."""

from __future__ import annotations

import logging
import traceback
from abc import ABCMeta, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from functools import lru_cache, partial
from types import AsyncGeneratorType, FunctionType, GeneratorType, MethodType, TracebackType
from typing import TYPE_CHECKING, Any

from .._context import current_job, current_run_time, current_scheduler
from .._log import log_may_fail
from ..events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    JobExecutionEvent,
)

if TYPE_CHECKING:
    from contextvars import Token

    from ..job import Job
    from ..schedulers.base import BaseScheduler


class MaxInstancesReachedError(Exception):
    """As many runs of the job as its ``max_instances`` allows are going on."""

    def __init__(self, job: Job) -> None:
        super().__init__(
            f'Job "{job.id}" has already reached its maximum number of instances '
            f"({job.max_instances})"
        )


class LoopEndedError(RuntimeError):
    """The event loop ended before the run did, or was about to, as the interpreter exited."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f'The event loop ended before the run of job "{job_id}" did')


class BaseExecutor(metaclass=ABCMeta):
    """
    Runs the jobs that a scheduler hands to it.

    A subclass writes :meth:`_do_submit_job`, which sees to it that :func:`run_job` (or
    :func:`run_coroutine_job`) is called and, in the end, one of :meth:`_run_job_success` and
    :meth:`_run_job_error`.
    """

    _scheduler: BaseScheduler | None = None
    _lock: Any = None  # made by the scheduler, since frameworks have locks of their own
    _logger: logging.Logger = logging.getLogger("apscheduler.executors")
    # The last run times that were taken for good: what becomes of them will be told, whatever
    # submit_job() raises. Ctrl+C may be raised anywhere.
    _taken: list[datetime] | None = None

    def __init__(self) -> None:
        super().__init__()
        self._instances: defaultdict[str, int] = defaultdict(int)  # job id -> runs going on

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        """
        Called when the scheduler starts, or the executor is added to a running one.

        :param scheduler: the scheduler that is starting this executor
        :param alias: the name that the scheduler knows the executor by
        """
        self._scheduler = scheduler
        self._lock = scheduler._create_lock()
        self._logger = logging.getLogger(f"apscheduler.executors.{alias}")

    def shutdown(self, wait: bool | float = True) -> None:  # noqa: B027
        """
        Stop taking jobs, and free what the executor holds. It may be started again.

        :param wait: True to wait until the running jobs have ended, False not to wait, or the
            number of seconds to wait before they are left behind
        """

    def after_fork(self) -> None:
        """Called in a forked child, which has none of the threads that ran the jobs."""
        self._instances.clear()  # the lock, which may be held for ever, is made anew by start()

    def submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """
        Run a job once for each run time.

        :param run_times: the times that the runs were scheduled for, oldest first
        :raises MaxInstancesReachedError: if ``max_instances`` runs of the job are going on
        """
        if self._lock is None:
            raise RuntimeError("This executor has not been started yet")

        is_counted = 0
        try:
            with self._lock:
                if not self.has_room(job):
                    raise MaxInstancesReachedError(job)
                self._instances[job.id] = is_counted = self._instances.get(job.id, 0) + 1

            self._do_submit_job(job, run_times)
            self._taken = run_times
        except BaseException:
            if is_counted and self._taken is not run_times:
                self._release(job.id)
            raise

    def has_room(self, job: Job) -> bool:
        """Tell whether one more run of the job may start now."""
        return self._instances.get(job.id, 0) < job.max_instances

    def runs_inline(self) -> bool:
        """Tell whether :meth:`submit_job` returns only when the job has run."""
        return False

    @abstractmethod
    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        """Have the job run; return without waiting for it."""

    def _run_job_success(self, job_id: str, events: Sequence[JobExecutionEvent]) -> None:
        """Called when the runs of a submission are over, with what became of each."""
        self._release(job_id)
        self._dispatch(events)

    def _run_job_error(
        self, job_id: str, exc: BaseException, traceback: TracebackType | None = None
    ) -> None:
        """Called when a submission failed as a whole; errors of the job itself are events."""
        self._release(job_id)
        with log_may_fail:
            self._logger.error(
                "Error running job %s", job_id, exc_info=(type(exc), exc, traceback)
            )

    def _run(
        self,
        job: Job,
        run_times: list[datetime],
        cancels: Callable[[BaseException], bool] | None = None,
    ) -> list[JobExecutionEvent]:
        """
        Run the job in this very thread, and report what became of it; return that, too.

        :param cancels: as for :func:`run_job`
        """
        alias = job._jobstore_alias
        try:
            events = run_job(job, alias, run_times, self._logger.name, cancels)
        except BaseException as exc:
            self._fail(job, run_times, exc)
            return [_error_event(job, alias, run_time, exc) for run_time in run_times]

        self._run_job_success(job.id, events)
        return events

    def _fail(self, job: Job, run_times: list[datetime], exc: BaseException) -> None:
        """Report that a submission failed as a whole, and with it every run of it."""
        self._run_job_error(job.id, exc, exc.__traceback__)
        alias = job._jobstore_alias
        self._dispatch([_error_event(job, alias, run_time, exc) for run_time in run_times])

    def _dispatch(self, outcomes: Iterable[JobExecutionEvent]) -> None:
        scheduler = self._scheduler
        assert scheduler is not None  # submit_job() made sure of it
        may_tell = getattr(scheduler, "_may_tell", None)  # a stand-in has what 3.x had, at most
        for event in outcomes:
            if may_tell is None or may_tell(event):
                scheduler._dispatch_event(event)

    def _release(self, job_id: str) -> None:
        with self._lock:
            going_on = self._instances.pop(job_id, 0) - 1
            if going_on > 0:
                self._instances[job_id] = going_on


def run_job(
    job: Job,
    jobstore_alias: str | None,
    run_times: list[datetime],
    logger_name: str,
    cancels: Callable[[BaseException], bool] | None = None,
) -> list[JobExecutionEvent]:
    """
    Call the job once for each run time, and return what became of each run.

    A coroutine function is run to its end by an event loop of its own.

    :param jobstore_alias: alias of the store that holds the job, for the events
    :param run_times: the times that the runs were scheduled for, oldest first
    :param logger_name: name of the logger to report to
    :param cancels: tells whether what one run raised keeps the others from being made
    """
    runs = Runs(job, jobstore_alias, logger_name)
    for run_time in runs.due(run_times):
        with runs.recording(run_time) as outcome:
            outcome.retval = complete(job.func(*job.args, **job.kwargs), job.func)
        if cancels is not None and outcome.exception is not None and cancels(outcome.exception):
            runs.cancel(outcome.exception)

    return runs.events


async def run_coroutine_job(
    job: Job, jobstore_alias: str | None, run_times: list[datetime], logger_name: str
) -> list[JobExecutionEvent]:
    """Do as :func:`run_job` does for a coroutine function, in the event loop that is running."""
    runs = Runs(job, jobstore_alias, logger_name)
    await runs.make_coroutine_runs(run_times)
    return runs.events


# Loggers last as long as the program; getLogger() takes a lock that all threads share.
_logger_by_name = lru_cache(maxsize=256)(logging.getLogger)


class Runs:
    """
    The runs of one submission: passes over the missed ones, and notes what became of each.

    :param clock: returns the current time, an aware datetime; None for the computer's clock
    """

    def __init__(
        self,
        job: Job,
        jobstore_alias: str | None,
        logger_name: str,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self.job = job
        self.jobstore_alias = jobstore_alias
        self.logger = _logger_by_name(logger_name)
        self.events: list[JobExecutionEvent] = []
        self._clock = clock
        self._cancelled_by: BaseException | None = None

    def due(self, run_times: Sequence[datetime]) -> Iterator[datetime]:
        """Iterate over the runs that are to be made; the others get their event at once."""
        for run_time in run_times:
            if self._cancelled_by is not None:
                self._note_error(run_time, self._cancelled_by)
            elif self._is_missed(run_time):
                self._note(EVENT_JOB_MISSED, run_time)
            else:
                yield run_time

    def recording(self, run_time: datetime) -> Outcome:
        """Return a context in which to make one run: its result or error becomes an event."""
        return Outcome(self, run_time)

    def recording_awaited(self, run_time: datetime) -> Outcome:
        """Do as :meth:`recording` does, in a coroutine: it may be thrown away."""
        return _AwaitedOutcome(self, run_time)

    async def make_coroutine_runs(self, run_times: Sequence[datetime]) -> None:
        """Make the runs of a coroutine function, in the event loop that is running."""
        from asyncio import CancelledError  # slow to import, and loaded by now

        job = self.job
        for run_time in self.due(run_times):
            with self.recording_awaited(run_time) as outcome:
                outcome.retval = await job.func(*job.args, **job.kwargs)
            if isinstance(outcome.exception, CancelledError) and _is_task_cancelled():
                self.cancel(outcome.exception)

    def cancel(self, exc: BaseException) -> None:
        """Make no more runs; those that remain fail for the same reason."""
        self._cancelled_by = exc

    def _is_missed(self, run_time: datetime) -> bool:
        grace_time = self.job.misfire_grace_time
        if grace_time is None:
            return False

        now = self._clock() if self._clock else datetime.now(timezone.utc)
        late = now.astimezone(timezone.utc) - run_time.astimezone(timezone.utc)
        if late <= timedelta(seconds=grace_time):
            return False

        with log_may_fail:
            self.logger.warning('Run time of job "%s" was missed by %s', self.job, late)
        return True

    def _note(self, code: int, run_time: datetime, retval: Any = None) -> None:
        self.events.append(
            JobExecutionEvent(code, self.job.id, self.jobstore_alias, run_time, retval)
        )

    def _note_error(self, run_time: datetime, exc: BaseException) -> None:
        self.events.append(_error_event(self.job, self.jobstore_alias, run_time, exc))


class Outcome:
    """The context of one run; ``retval`` is set to what the job returned."""

    __slots__ = ("_run_time", "_runs", "_tokens", "exception", "retval")

    retval: Any
    exception: BaseException | None
    _tokens: tuple[Token[Job], Token[datetime], Token[BaseScheduler] | None]

    def __init__(self, runs: Runs, run_time: datetime) -> None:
        self._runs = runs
        self._run_time = run_time

    def __enter__(self) -> Outcome:
        job = self._runs.job
        scheduler = getattr(job, "_scheduler", None)  # None in a worker process
        self._tokens = (
            current_job.set(job),
            current_run_time.set(self._run_time),
            None if scheduler is None else current_scheduler.set(scheduler),
        )
        logger = self._runs.logger
        if logger.isEnabledFor(logging.INFO):
            with log_may_fail:
                logger.info('Running job "%s" (scheduled at %s)', job, self._run_time)

        return self

    def __exit__(
        self, cls: type[BaseException] | None, exc: BaseException | None, tb: Any
    ) -> bool:
        self._leave_context()
        self.exception = exc
        runs = self._runs
        if exc is None:
            runs._note(EVENT_JOB_EXECUTED, self._run_time, self.retval)
            if runs.logger.isEnabledFor(logging.INFO):
                with log_may_fail:
                    runs.logger.info('Job "%s" executed successfully', runs.job)
            return True

        with log_may_fail:
            runs.logger.error('Job "%s" raised an exception', runs.job, exc_info=exc)
        runs._note_error(self._run_time, exc)
        if isinstance(exc, Exception):  # else its frames tell whether a signal handler raised it
            traceback.clear_frames(tb)  # what they hold would live as long as the exception
        return True

    def _leave_context(self) -> None:
        job_token, run_time_token, scheduler_token = self._tokens
        current_job.reset(job_token)
        current_run_time.reset(run_time_token)
        if scheduler_token is not None:
            current_scheduler.reset(scheduler_token)


class _AwaitedOutcome(Outcome):
    """The context of one run in a coroutine."""

    __slots__ = ()

    def __exit__(
        self, cls: type[BaseException] | None, exc: BaseException | None, tb: Any
    ) -> bool:
        if not isinstance(exc, GeneratorExit):
            return super().__exit__(cls, exc, tb)

        # The coroutine may be thrown away, anywhere, or the job raises such a thing.
        with suppress(ValueError):  # it is another context
            self._leave_context()
        return False


def _is_task_cancelled() -> bool:
    """Tell whether the task that is running was cancelled, and not only what it waited for."""
    from asyncio import current_task

    cancelling = getattr(current_task(), "cancelling", None)  # since Python 3.11
    return cancelling is None or cancelling() > 0


def _error_event(
    job: Job, jobstore_alias: str | None, run_time: datetime, exc: BaseException
) -> JobExecutionEvent:
    formatted = "".join(traceback.format_tb(exc.__traceback__))
    return JobExecutionEvent(
        EVENT_JOB_ERROR, job.id, jobstore_alias, run_time, exception=exc, traceback=formatted
    )


def complete(result: Any, func: Callable[..., Any]) -> Any:
    """
    Run a coroutine to its end in an event loop of its own; give anything else back.

    :param func: the function of the job, which returned this
    :raises TypeError: if it is a generator function: nobody would iterate over the generator, and
        its body would not run
    """
    if result is None:
        return None  # as most jobs do; the rest takes longer to find out
    if isinstance(result, (GeneratorType, AsyncGeneratorType)):
        _refuse_generator_function(func, result)
        return result  # of a plain function, which has run

    if not isinstance(result, Coroutine):
        return result

    import asyncio  # slow to import, and most programs have no coroutines

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(result)

    # The loop that runs in this thread cannot run another one inside itself; a thread can.
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(copy_context().run, asyncio.run, result).result()


def _refuse_generator_function(
    func: Any, result: GeneratorType[Any, Any, Any] | AsyncGeneratorType[Any, Any]
) -> None:
    from inspect import isasyncgenfunction, isgeneratorfunction, unwrap  # only needed here

    while isinstance(func, partial):
        func = func.func
    func = unwrap(func)  # a decorator does not run the body either
    call = func if isinstance(func, (FunctionType, MethodType)) else type(func).__call__
    if isgeneratorfunction(call) or isasyncgenfunction(call):
        kind = "a generator" if isinstance(result, GeneratorType) else "an asynchronous generator"
        raise TypeError(
            f"{result.__qualname__} is {kind} function: its body was not run, since nothing "
            "iterates over what a job returns; have the job call a function that does"
        )
