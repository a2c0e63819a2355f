"""Jobs run in a pool of threads or of processes."""

from __future__ import annotations

import atexit
import threading
from abc import abstractmethod
from collections.abc import Mapping
from datetime import datetime
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from ._threads import RefusableTask, ThreadPool
from .base import BaseExecutor, run_job

if TYPE_CHECKING:
    import concurrent.futures

    from ..job import Job
    from ..schedulers.base import BaseScheduler


# So many seconds a process that is terminated has to clean up; then it is killed.
TERMINATION_SECONDS = 1.0


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


class ThreadPoolExecutor(BasePoolExecutor):
    """
    Runs jobs in a pool of threads, a coroutine function in an event loop of its own.

    :param max_workers: how many jobs may run at once; the others wait for their turn
    :param pool_kwargs: ``thread_name_prefix``, ``initializer`` and ``initargs``, as in
        :class:`concurrent.futures.ThreadPoolExecutor`. If ``initializer`` raises, the runs that
        its thread was to make are told as errors (``EVENT_JOB_ERROR``); it is called again for
        those that come next.
    """

    _pool: ThreadPool

    def __init__(
        self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        self._make_pool = partial(ThreadPool, int(max_workers), **(pool_kwargs or {}))
        super().__init__(self._make_pool())

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._pool._shutdown:  # the scheduler is started anew
            self._pool = self._make_pool()

    def after_fork(self) -> None:
        super().after_fork()
        self._pool = self._make_pool()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._pool.execute(_ThreadTask(self, job, run_times))

    def shutdown(self, wait: bool | float = True) -> None:
        for task in self._pool.shutdown(wait):
            assert isinstance(task, _ThreadTask)
            task.refuse(AbandonedError(task.job.id))


class _ThreadTask(RefusableTask):
    """The runs of one submission."""

    def __init__(self, executor: ThreadPoolExecutor, job: Job, run_times: list[datetime]) -> None:
        self.job = job
        self._executor = executor
        self._run_times = run_times

    def __call__(self) -> None:
        self._executor._run(self.job, self._run_times)

    def refuse(self, exc: BaseException) -> None:
        self._executor._fail(self.job, self._run_times, exc)


class ProcessPoolExecutor(BasePoolExecutor):
    """
    Runs jobs in a pool of processes, a coroutine function in an event loop of its own.

    Function, arguments, results and errors of the jobs have to be picklable. Each process is
    started afresh ("spawn"), so the program's main module has to be importable without effect:
    keep what starts the scheduler below ``if __name__ == "__main__":``.

    :param max_workers: how many jobs may run at once; the others wait for their turn
    :param pool_kwargs: further arguments of :class:`concurrent.futures.ProcessPoolExecutor`
    """

    _pool: Any  # a concurrent.futures.ProcessPoolExecutor, of which private parts are needed

    def __init__(
        self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        # Slow to import, and most programs use threads.
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        settings = {"mp_context": get_context("spawn"), **(pool_kwargs or {})}
        self._make_pool = partial(ProcessPoolExecutor, int(max_workers), **settings)
        self._is_shut_down = False
        super().__init__(self._make_pool())
        _process_executors.add(self)
        _prepare_for_exit()

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._is_shut_down:  # the scheduler is started anew
            self._pool = self._make_pool()
            self._is_shut_down = False

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        from concurrent.futures.process import BrokenProcessPool

        try:
            super()._do_submit_job(job, run_times)
        except BrokenProcessPool:
            self._logger.warning("A worker process died; starting a new pool of processes")
            self._pool.shutdown(wait=False)
            self._pool = self._make_pool()
            super()._do_submit_job(job, run_times)

    def after_fork(self) -> None:
        super().after_fork()
        # multiprocessing would wait for the workers at exit, and they are no children of this one.
        for worker in list((self._pool._processes or {}).values()):
            _children_of_this_process().discard(worker)
        self._pool = self._make_pool()

    def shutdown(self, wait: bool | float = True) -> None:
        self._is_shut_down = True
        # Listeners are called in the thread that looks after the pool; it cannot wait for itself.
        if threading.current_thread() is self._pool._executor_manager_thread:
            wait = False
        if isinstance(wait, bool):
            self._pool.shutdown(wait)
        else:
            self._shutdown_within(wait)

    def _shutdown_within(self, seconds: float) -> None:
        """Drop what has not begun, wait for the rest, and end the processes that go on."""
        deadline = monotonic() + seconds
        processes = list(self._pool._processes.values())
        self._pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.join(max(deadline - monotonic(), 0.0))
            if process.is_alive():
                process.terminate()

        for process in processes:
            process.join(TERMINATION_SECONDS)
            if process.is_alive():
                process.kill()


def _children_of_this_process() -> set[Any]:
    """Return what multiprocessing takes for the children of this process."""
    from multiprocessing import process

    children: set[Any] = getattr(process, "_children", set())  # there is no public name for it
    return children


_process_executors: WeakSet[ProcessPoolExecutor] = WeakSet()


@cache
def _prepare_for_exit() -> None:
    """
    Register what is to be done before Python ends its process pools.

    That is before any handler of :mod:`atexit` is called; threading has a registry for it, which
    calls the last one first.
    """
    register = getattr(threading, "_register_atexit", atexit.register)
    register(_take_the_last_jobs)


def _take_the_last_jobs() -> None:
    for executor in list(_process_executors):
        if executor._scheduler is not None:
            executor._scheduler._before_exit()


class AbandonedError(RuntimeError):
    """The scheduler was shut down before the run began."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f'The run of job "{job_id}" had not begun when the scheduler shut down')
