"""Jobs run in a pool of threads or of processes."""

from __future__ import annotations

import atexit
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache, partial
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._log import log_may_fail
from .._settings import suggest
from ._claims import Claimable
from ._threads import RefusableTask, ThreadPool, read_max_workers
from .base import BaseExecutor, run_job

if TYPE_CHECKING:
    import concurrent.futures

    from ..job import Job
    from ..schedulers.base import BaseScheduler


# So many seconds a process that is terminated has to clean up; then it is killed.
TERMINATION_SECONDS = 1.0

# So often a run is handed to workers that die before they begin it, as those do whose initializer
# fails; then it is told as an error.
ATTEMPTS = 3


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
        settings = _read_pool_kwargs(pool_kwargs, ThreadPool)
        self._make_pool = partial(ThreadPool, read_max_workers(max_workers), **settings)
        super().__init__(self._make_pool())

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._pool._shutdown:  # the scheduler is started anew
            self._pool = self._make_pool()

    def after_fork(self) -> None:
        super().after_fork()
        self._pool = self._make_pool()

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        task = _ThreadTask(self, job, run_times)
        try:
            self._pool.execute(task)
            self._taken = run_times
        except BaseException:  # Ctrl+C, or the pool refused it
            if not task.claim():
                self._taken = run_times
            raise

    def shutdown(self, wait: bool | float = True) -> None:
        for task in self._pool.shutdown(wait):
            if isinstance(task, _ThreadTask):  # the program may give tasks to the pool, too
                task.refuse(AbandonedError(task.job.id))


class _ThreadTask(RefusableTask, Claimable):
    """The runs of one submission, claimed by whoever tells what became of them."""

    def __init__(self, executor: ThreadPoolExecutor, job: Job, run_times: list[datetime]) -> None:
        super().__init__()
        self.job = job
        self._executor = executor
        self._run_times = run_times

    def __call__(self) -> None:
        if self.claim():
            self._executor._run(self.job, self._run_times)

    def refuse(self, exc: BaseException) -> None:
        if self.claim():
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
        from concurrent.futures import ProcessPoolExecutor as Pool
        from multiprocessing import get_context

        self._max_workers = read_max_workers(max_workers)
        settings = _read_pool_kwargs(pool_kwargs, Pool)
        self._settings = {"mp_context": get_context("spawn"), **settings}
        self._is_shut_down = False  # no more is taken
        self._leaves_all = False  # what waits is handed to the pool, which sees to it
        self._is_abandoned = False  # what has not begun is not to begin
        self._begin_anew()
        super().__init__(self._make_pool())
        _process_executors.add(self)
        _prepare_for_exit()

    def _begin_anew(self) -> None:
        from multiprocessing import get_context

        self._turns = threading.RLock()  # guards what is below
        self._has_changed = threading.Condition(self._turns)
        # The pool of Python is given only what its workers can begin at once, for it fails
        # whatever it has when one of them dies; the rest waits here.
        self._waiting: deque[_Submission] = deque()
        self._places: list[int | None] = list(range(self._max_workers))  # those that are free
        self._begun = (self._settings["mp_context"] or get_context()).RawArray(
            "b", max(self._max_workers, 1)
        )
        # The threads that get over the death of a worker, and whether each has begun.
        self._recoveries: dict[threading.Thread, threading.Event] = {}

    def _make_pool(self) -> Any:
        from concurrent.futures import ProcessPoolExecutor

        from . import _worker

        settings = dict(self._settings)
        initializer = settings.pop("initializer", None)
        initargs = settings.pop("initargs", ())
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, got {initializer!r}")

        pool = ProcessPoolExecutor(
            self._max_workers,
            **settings,
            initializer=_worker.prepare,
            initargs=(self._begun, initializer, initargs),
        )
        self._remains = _Remains(pool)
        return pool

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        with self._turns:
            if self._is_shut_down:  # the scheduler is started anew
                self._pool = self._make_pool()
                self._is_shut_down = self._leaves_all = self._is_abandoned = False

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        from ._worker import pack

        try:
            packed = pack((run_job, job, job._jobstore_alias, run_times, self._logger.name))
        except Exception as exc:
            self._fail(job, run_times, exc)
            return

        submission = _Submission(job, run_times, packed)
        try:
            with self._turns:
                if self._is_shut_down:
                    raise RuntimeError("The pool of processes has been shut down")
                self._waiting.append(submission)
            self._hand_over()
            self._taken = run_times
        except BaseException:
            if not self._withdraw(submission):
                self._taken = run_times
            raise

    def _withdraw(self, submission: _Submission) -> bool:
        """Take a submission back when Ctrl+C has struck; False if the pool has it."""
        with self._turns:
            if submission in self._waiting:
                self._waiting.remove(submission)
            return not submission.attempts

    def _hand_over(self) -> None:
        """Give the pool as much as it has workers that are free."""
        while True:
            with self._turns:
                if self._recoveries or not self._waiting:
                    return
                if not self._places and not self._leaves_all:
                    return
                submission = self._waiting.popleft()
                place = submission.place = self._places.pop() if self._places else None
                if place is not None:
                    self._begun[place] = 0
                try:
                    future = self._submit_to_pool(submission)
                except BaseException as exc:
                    self._free(submission)
                    then = partial(self._fail, submission.job, submission.run_times, exc)
                else:
                    self._remains.manager = self._pool._executor_manager_thread
                    self._remains.futures[future] = submission
                    then = partial(self._follow, future, submission, self._remains)
            then()  # without the lock: a future that is done calls back at once

    def _follow(
        self, future: concurrent.futures.Future[bytes], submission: _Submission, remains: _Remains
    ) -> None:
        future.add_done_callback(partial(self._end_turn, submission, remains))
        # Before Python 3.12, a pool forgets what it is given while it finds out that it is broken.
        if remains.pool._broken and not future.done():
            self._start_recovery(remains)

    def _submit_to_pool(self, submission: _Submission) -> concurrent.futures.Future[bytes]:
        from concurrent.futures.process import BrokenProcessPool

        from ._worker import work

        submission.attempts += 1
        future: concurrent.futures.Future[bytes]
        try:
            future = self._pool.submit(work, submission.place, submission.packed)
        except BrokenProcessPool:
            self._replace_pool()
            future = self._pool.submit(work, submission.place, submission.packed)
        return future

    def _replace_pool(self) -> None:
        with log_may_fail:
            self._logger.warning("A worker process died; starting a new pool of processes")
        self._pool = self._make_pool()

    def _free(self, submission: _Submission) -> None:
        with self._turns:
            if submission.place is not None:
                self._places.append(submission.place)
                submission.place = None
                self._has_changed.notify_all()

    def _end_turn(
        self,
        submission: _Submission,
        remains: _Remains,
        future: concurrent.futures.Future[bytes],
    ) -> None:
        """Called when the pool is done with a submission; ``remains`` are those of its pool."""
        from concurrent.futures.process import BrokenProcessPool

        from ._worker import unpack

        remains.futures.pop(future, None)
        error: BaseException | None
        if future.cancelled():
            error = AbandonedError(submission.job.id)
        else:
            error = future.exception()

        if isinstance(error, BrokenProcessPool):
            # The pool calls this with its lock held, and its other workers are still alive.
            submission.error = error
            if remains.add(submission):
                self._start_recovery(remains)
            return

        self._free(submission)
        if not self._leaves_all:
            self._hand_over()
        job, run_times = submission.job, submission.run_times
        if error is not None:
            self._fail(job, run_times, error)
            return

        try:
            events = unpack(future.result())
        except BaseException as exc:
            self._fail(job, run_times, exc)
        else:
            self._run_job_success(job.id, events)

    def _start_recovery(self, remains: _Remains) -> None:
        thread = threading.Thread(target=self._recover, args=(remains,))
        begun = self._recoveries[thread] = threading.Event()
        try:
            thread.start()
        except (RuntimeError, MemoryError):  # no more threads can be had
            del self._recoveries[thread]
            for submission in remains.take():
                self._free(submission)
                submission.fail(self)
        finally:
            begun.set()

    def _recover(self, remains: _Remains) -> None:
        """
        Replace a pool of which a worker died; then run what it had not begun.

        Whether a run has begun can be told only when no worker is left that might begin it.
        """
        remains.end_workers()
        lost = []
        with self._turns:
            if self._pool is remains.pool and not (self._leaves_all or self._is_abandoned):
                self._replace_pool()
            remains.add_forgotten()
            # Taken last: one that comes later starts a recovery of its own.
            for submission in reversed(remains.take()):
                if self._may_run_again(submission):
                    self._waiting.appendleft(submission)
                else:
                    lost.append(submission)
                self._free(submission)
            del self._recoveries[threading.current_thread()]
            self._has_changed.notify_all()
        self._hand_over()
        if self._leaves_all:
            self._pool.shutdown(wait=False)  # it may be a new one
        for submission in reversed(lost):
            submission.fail(self)

    def _may_run_again(self, submission: _Submission) -> bool:
        if self._is_abandoned or submission.place is None or self._begun[submission.place]:
            return False
        return submission.attempts < ATTEMPTS

    def after_fork(self) -> None:
        super().after_fork()
        # multiprocessing would wait for the workers at exit, and they are no children of this one.
        for worker in list((self._pool._processes or {}).values()):
            _children_of_this_process().discard(worker)
        self._begin_anew()  # also the locks, which may be held for ever
        self._pool = self._make_pool()

    def shutdown(self, wait: bool | float = True) -> None:
        deadline = None if isinstance(wait, bool) else monotonic() + wait
        with self._turns:
            self._is_shut_down = True
        # Listeners are called in the thread that looks after the pool; it cannot wait for itself.
        if threading.current_thread() is self._remains.manager:
            wait, deadline = False, None
        if deadline is None:
            self._leave_all(wait=bool(wait))
        else:
            self._shutdown_by(deadline)

    def _leave_all(self, wait: bool) -> None:
        """Hand the pool all that waits; it ends when that is done."""
        if wait:
            self._join_recoveries()
        with self._turns:
            self._leaves_all = True
        self._hand_over()
        self._pool.shutdown(wait=False)
        if wait:
            self._join_pools()

    def _shutdown_by(self, deadline: float) -> None:
        """Let runs begin and end until the deadline; then drop them, and end the processes."""
        with self._turns:
            if not self._leaves_all:
                self._has_changed.wait_for(self._is_idle, max(deadline - monotonic(), 0.0))
        if self._leaves_all:
            self._remains.join_pool(deadline)
        with self._turns:
            self._is_abandoned = True
            waiting, self._waiting = self._waiting, deque()
        for submission in waiting:
            self._fail(submission.job, submission.run_times, AbandonedError(submission.job.id))

        self._pool.shutdown(wait=False, cancel_futures=True)
        self._remains.end_workers_by(deadline)

    def _is_idle(self) -> bool:
        are_free = len(self._places) >= self._max_workers
        return are_free and not (self._waiting or self._recoveries)

    def _join_pools(self) -> None:
        """Wait until all is done; when a worker dies, that is in a new pool."""
        while True:
            remains = self._remains
            if remains.manager is not None:
                remains.manager.join()
            self._join_recoveries()
            if remains is self._remains:
                return

    def _join_recoveries(self) -> None:
        for thread, begun in list(self._recoveries.items()):
            if thread is not threading.current_thread():
                begun.wait()
                if thread.is_alive():
                    thread.join()

    def _leave_to_pool(self) -> None:
        """At exit, hand over all that waits: the pool does what it has, and takes no more."""
        self._join_recoveries()
        with self._turns:
            self._places += [None] * len(self._waiting)
        self._hand_over()


class _Submission:
    """The runs of one submission, on their way to a worker process."""

    def __init__(self, job: Job, run_times: list[datetime], packed: bytes) -> None:
        self.job = job
        self.run_times = run_times
        self.packed = packed
        self.place: int | None = None  # where the worker notes that it has begun
        self.attempts = 0
        self.error: BaseException | None = None

    def fail(self, executor: ProcessPoolExecutor) -> None:
        assert self.error is not None
        executor._fail(self.job, self.run_times, self.error)


class _Remains:
    """What a pool had when one of its workers died."""

    manager: threading.Thread | None = None  # looks after the pool

    def __init__(self, pool: Any) -> None:
        self.pool = pool
        # What it was given, and is not done with.
        self.futures: dict[concurrent.futures.Future[bytes], _Submission] = {}
        self._workers = pool._processes  # the pool lets go of it at its shutdown
        self._submissions: list[_Submission] = []
        self._lock = threading.Lock()

    def add(self, submission: _Submission) -> bool:
        """Add a submission, and tell whether it is the first since they were taken."""
        with self._lock:
            self._submissions.append(submission)
            return len(self._submissions) == 1

    def add_forgotten(self) -> None:
        """Add what a broken pool that has ended has not even failed."""
        from concurrent.futures.process import BrokenProcessPool

        for future, submission in list(self.futures.items()):
            if not future.done() and self.futures.pop(future, None) is not None:
                submission.error = BrokenProcessPool("The process pool was broken at submission")
                self.add(submission)

    def take(self) -> list[_Submission]:
        with self._lock:
            taken, self._submissions = self._submissions, []
        return taken

    def join_pool(self, deadline: float) -> None:
        if self.manager is not None:
            self.manager.join(max(deadline - monotonic(), 0.0))

    def end_workers_by(self, deadline: float) -> None:
        """Wait until the workers have ended; then terminate all that go on, and kill the deaf."""
        workers = list(self._workers.values())
        _join_all(workers, deadline)
        for worker in _alive(workers):
            worker.terminate()
        _join_all(workers, max(deadline, monotonic()) + TERMINATION_SECONDS)
        for worker in _alive(workers):
            worker.kill()

    def end_workers(self) -> None:
        """Wait until the pool has ended the workers that are left; kill those that go on."""
        if self.manager is None:
            return
        self.manager.join(TERMINATION_SECONDS)
        # It may have ended by an error itself, and have left them.
        for worker in _alive(list(self._workers.values())):
            worker.kill()
        self.manager.join()


def _join_all(workers: Iterable[Any], deadline: float) -> None:
    for worker in workers:
        worker.join(max(deadline - monotonic(), 0.0))


def _alive(workers: Iterable[Any]) -> list[Any]:
    return [worker for worker in workers if worker.is_alive()]


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
        executor._leave_to_pool()


class AbandonedError(RuntimeError):
    """The scheduler was shut down before the run began."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f'The run of job "{job_id}" had not begun when the scheduler shut down')
