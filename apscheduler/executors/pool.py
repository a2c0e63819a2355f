"""Jobs run in a pool of threads or of processes."""

from __future__ import annotations

import atexit
import os
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._forks import notice_fork
from .._settings import suggest
from ._claims import Claimable
from ._threads import RefusableTask, ThreadPool, read_max_workers
from .base import BaseExecutor, run_job

if TYPE_CHECKING:
    import concurrent.futures

    from ..job import Job
    from ..schedulers.base import BaseScheduler


class BasePoolExecutor(BaseExecutor):
    """Runs jobs in a pool that has the methods of :class:`concurrent.futures.Executor`."""

    _pool: Any

    @abstractmethod
    def __init__(self, pool: Any) -> None:
        super().__init__()
        self._pool = pool

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        future = self._pool.submit(run_job, job, job._jobstore_alias, run_times, self._logger.name)
        future.add_done_callback(partial(self._finish, job, run_times))

    def _finish(
        self, job: Job, run_times: list[datetime], future: concurrent.futures.Future[Any]
    ) -> None:
        if future.cancelled():
            self._fail(job, run_times, AbandonedError(job.id))
        elif (exc := future.exception()) is not None:
            self._fail(job, run_times, exc)
        else:
            self._run_job_success(job.id, future.result())

    def shutdown(self, wait: bool | float = True) -> None:
        self._pool.shutdown(bool(wait))


def _read_pool_kwargs(value: Any, pool: type) -> dict[str, Any]:
    """
    Return the further arguments of a pool.

    :raises TypeError: if they are no mapping, or the pool takes no such argument
    """
    if not value:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError(f"pool_kwargs must be a dict, got {value!r}")

    from inspect import signature  # slow to import, and seldom needed

    known = signature(pool).parameters.keys() - {"max_workers"}
    for name in value:
        if name not in known:
            raise TypeError(
                f"{pool.__name__}.__init__() got an unexpected keyword argument {name!r} in "
                f"pool_kwargs{suggest(name, known)}"
            )

    return dict(value)


class _OwnPoolExecutor(BasePoolExecutor):
    """
    Runs jobs in the threads of a pool of ours.

    :param make_pool: returns a new pool
    """

    _pool: Any  # a ThreadPool

    def __init__(self, make_pool: Callable[[], ThreadPool]) -> None:
        self._make_pool = make_pool
        super().__init__(make_pool())

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._pool._shutdown:  # the scheduler is started anew
            self._pool = self._make_pool()

    def after_fork(self) -> None:
        super().after_fork()
        self._pool = self._make_pool()

    def _execute(self, task: _Task) -> None:
        try:
            task.pool.execute(task)
            self._taken = task.run_times
        except BaseException:  # Ctrl+C, or the pool refused it
            if not task.claim():
                self._taken = task.run_times
            raise

    @abstractmethod
    def _make_runs(self, task: Any) -> None:
        """Make the runs of a task, and report what became of them; called in a thread."""

    def shutdown(self, wait: bool | float = True) -> None:
        _refuse_all(deque(self._pool.shutdown(wait)))


class _Task(RefusableTask, Claimable):
    """The runs of one submission, claimed by whoever tells what became of them."""

    def __init__(self, executor: _OwnPoolExecutor, job: Job, run_times: list[datetime]) -> None:
        super().__init__()
        self.job = job
        self.run_times = run_times
        self.pool = executor._pool  # it may get another one while this waits, by a restart
        self._executor = executor

    def __call__(self) -> None:
        if self.claim():
            self._executor._make_runs(self)

    def refuse(self, exc: BaseException) -> None:
        if self.claim():
            self._executor._fail(self.job, self.run_times, exc)


def _refuse_all(tasks: deque[Any]) -> None:
    """Tell that these are not going to be run; Ctrl+C keeps no other from being told."""
    try:
        while tasks:
            task = tasks.popleft()
            if isinstance(task, _Task):  # the program may give tasks to the pool, too
                task.refuse(AbandonedError(task.job.id))
    finally:
        if tasks:
            _refuse_all(tasks)


class ThreadPoolExecutor(_OwnPoolExecutor):
    """
    Runs jobs in a pool of threads, a coroutine function in an event loop of its own.

    :param max_workers: how many jobs may run at once; the others wait for their turn
    :param pool_kwargs: ``thread_name_prefix``, ``initializer`` and ``initargs``, as in
        :class:`concurrent.futures.ThreadPoolExecutor`. If ``initializer`` raises, the runs that
        its thread was to make are told as errors (``EVENT_JOB_ERROR``); it is called again for
        those that come next.
    """

    def __init__(
        self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        settings = _read_pool_kwargs(pool_kwargs, ThreadPool)
        super().__init__(partial(ThreadPool, read_max_workers(max_workers), **settings))

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._execute(_Task(self, job, run_times))

    def _make_runs(self, task: _Task) -> None:
        self._run(task.job, task.run_times)


class ProcessPoolExecutor(_OwnPoolExecutor):
    """
    Runs jobs in a pool of processes, a coroutine function in an event loop of its own.

    Function, arguments, results and errors of the jobs have to be picklable. Each process is
    started afresh ("spawn"), so the program's main module has to be importable without effect:
    keep what starts the scheduler below ``if __name__ == "__main__":``. A scheduler that another
    module starts when it is imported refuses to start in these processes.

    If a process dies, the run that it was at is told as an error (``EVENT_JOB_ERROR``), and
    another process takes its place. A run that it had not begun is given to that one; if three in
    a row die before they begin it, it is told as an error, too.

    If ``initializer`` raises, the runs that its process was to make are told as errors; it is
    called again, in the same process, for those that come next.

    SIGTERM ends a process, and SIGINT (Ctrl+C) raises KeyboardInterrupt in a job unless the
    program ignores it, also if the process is forked from a program that has handlers for them;
    ``initializer`` may set others. A process that waits for a job ignores SIGINT.

    :param max_workers: how many jobs may run at once; the others wait for their turn
    :param pool_kwargs: ``mp_context``, ``initializer``, ``initargs`` and ``max_tasks_per_child``,
        as in :class:`concurrent.futures.ProcessPoolExecutor`, the last on any version of Python
    """

    _pool: Any  # a WorkerPool

    def __init__(
        self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        # Slow to import, and most programs use threads.
        from multiprocessing import get_context

        from ._workers import WorkerPool

        settings = _read_pool_kwargs(pool_kwargs, WorkerPool)
        settings = {"mp_context": get_context("spawn"), **settings}
        super().__init__(partial(WorkerPool, read_max_workers(max_workers), **settings))
        _process_executors.add(self)
        _prepare_for_exit(os.getpid())

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self._pool.logger = self._logger

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        from ._worker import pack

        try:
            packed = pack((run_job, job, job._jobstore_alias, run_times, self._logger.name))
        except Exception as exc:
            self._taken = run_times  # what becomes of them is told now
            self._fail(job, run_times, exc)
        else:
            self._execute(_PackedTask(self, job, run_times, packed))

    def _make_runs(self, task: _PackedTask) -> None:
        try:
            events, error = task.pool.make_runs(task.packed) or ([], AbandonedError(task.job.id))
        except BaseException as exc:
            events, error = [], exc
        if error is None:
            self._run_job_success(task.job.id, events)
        else:
            self._fail(task.job, task.run_times, error)

    def shutdown(self, wait: bool | float = True) -> None:
        deadline = None if isinstance(wait, bool) else monotonic() + wait
        try:
            super().shutdown(wait)
        except BaseException:  # Ctrl+C: there is no more time
            deadline = deadline and 0.0
            raise
        finally:
            if deadline is not None:
                self._pool.end_workers_by(deadline)


class _PackedTask(_Task):
    """The same, as it is sent to a worker process."""

    def __init__(
        self, executor: _OwnPoolExecutor, job: Job, run_times: list[datetime], packed: bytes
    ) -> None:
        super().__init__(executor, job, run_times)
        self.packed = packed


_process_executors: WeakSet[ProcessPoolExecutor] = WeakSet()


@cache
def _prepare_for_exit(process_id: int) -> None:
    """
    Register what is to be done before multiprocessing waits for the processes that are left.

    It does that in a handler of :mod:`atexit`; threading has a registry for what comes before all
    of these, which calls the last one first. In a process of its own it does so before that.
    """
    from multiprocessing.util import Finalize

    register = getattr(threading, "_register_atexit", atexit.register)
    register(_take_the_last_jobs)
    Finalize(None, _take_the_last_jobs, exitpriority=100)


def _take_the_last_jobs() -> None:
    from ._workers import finish_pools

    notice_fork()
    for executor in list(_process_executors):
        if executor._scheduler is not None:
            executor._scheduler._before_exit()
    finish_pools()


class AbandonedError(RuntimeError):
    """The scheduler was shut down before the run began."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f'The run of job "{job_id}" had not begun when the scheduler shut down')
