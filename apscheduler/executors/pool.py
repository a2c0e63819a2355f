"""Jobs run in a pool of threads or of processes."""

from __future__ import annotations

import atexit
import threading
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache, partial
from math import inf
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
    from ._process_pool import Remains, Submission


# So often a shutdown that waits looks whether a pool has ended without a word.
LOOK_SECONDS = 1.0


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

    _pool: Any  # a ProcessPool, or None: made when a run comes

    def __init__(
        self, max_workers: int = 10, pool_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        # Slow to import, and most programs use threads.
        from concurrent.futures import ProcessPoolExecutor as PoolOfPython
        from multiprocessing import get_context

        from ._process_pool import make_pool

        self._max_workers = read_max_workers(max_workers)
        settings = _read_pool_kwargs(pool_kwargs, PoolOfPython)
        self._settings = {"mp_context": get_context("spawn"), **settings}
        self._begin_anew()
        pool, self._remains = make_pool(self._max_workers, self._settings)
        super().__init__(pool)
        _process_executors.add(self)
        _prepare_for_exit()

    def _begin_anew(self) -> None:
        # Guards what is below. A pool takes a lock of its own, which it may hold when it fails
        # what it was given: nothing that is called then may want this one.
        self._turns = threading.RLock()
        self._has_changed = threading.Condition(self._turns)
        self._is_shut_down = False  # no more is taken
        # The pool of Python is given only what its workers can begin at once, for it fails
        # whatever it has when one of them dies; the rest waits here.
        self._waiting: deque[Submission] = deque()
        self._places: list[int | None] = list(range(self._max_workers))  # those that are free
        self._untold: set[Submission] = set()  # all that was taken, until its outcome is told
        self._recoveries: set[threading.Thread] = set()  # that get over the death of a worker

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        with self._turns:
            self._is_shut_down = False
            self._has_changed.notify_all()  # who was to end the pool lets it go on

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        from ._process_pool import Submission
        from ._worker import pack

        try:
            packed = pack((run_job, job, job._jobstore_alias, run_times, self._logger.name))
        except Exception as exc:
            self._fail(job, run_times, exc)
            return

        submission = Submission(job, run_times, packed)
        try:
            with self._turns:
                if self._is_shut_down:
                    raise RuntimeError("The pool of processes has been shut down")
                self._untold.add(submission)
                self._waiting.append(submission)
            self._hand_over()
            self._taken = run_times
        except BaseException:
            if not self._withdraw(submission):
                self._taken = run_times
            raise

    def _withdraw(self, submission: Submission) -> bool:
        """Take a submission back when Ctrl+C has struck; False if the pool has it."""
        with self._turns:
            if submission.attempts or submission.teller is not None:
                return False
            if submission in self._waiting:
                self._waiting.remove(submission)
            self._forget(submission)
            return True

    def _hand_over(self) -> None:
        """Give the pool as much as it has workers that are free; by another thread if need be."""
        if threading.current_thread() is not threading.main_thread():
            self._hand_over_now()
            return

        # There, signal handlers raise Ctrl+C and the like. A pool of Python that is interrupted
        # as it takes something, or starts a worker, is spoiled.
        with self._turns:
            is_of_use = self._waiting and self._places
        if is_of_use:
            threading.Thread(target=self._hand_over_now, daemon=False).start()

    def _hand_over_now(self) -> None:
        while (then := self._hand_over_first()) is not None:
            then()  # without the lock: a future that is done calls back at once

    def _hand_over_first(self) -> Callable[[], None] | None:
        """Give the pool what waits first, if anything; return what is to be called then."""
        from concurrent.futures.process import BrokenProcessPool

        with self._turns:
            if not (self._waiting and self._places):
                return None
            if self._pool is not None and self._remains.is_claimed:
                return None  # the pool is broken; whoever gets over that goes on
            submission = self._waiting.popleft()
            submission.place = self._places.pop()
            try:
                future = self._submit_to_pool(submission)
            except BrokenProcessPool:
                self._free(submission)
                self._waiting.appendleft(submission)
                self._start_recovery(self._remains)
                return None
            except BaseException as exc:
                submission.attempts += 1  # it is not withdrawn any more
                self._free(submission)
                return partial(self._tell_error, submission, exc)

            submission.attempts += 1
            remains = self._remains
            # Before Python 3.12, a pool forgets what comes while it finds out that it is broken.
            if _is_broken(self._pool) or remains.is_without_manager():
                self._start_recovery(remains)
            then = partial(self._end_turn, submission, remains)
            return partial(future.add_done_callback, then)

    def _submit_to_pool(self, submission: Submission) -> concurrent.futures.Future[bytes]:
        from ._process_pool import make_pool
        from ._worker import work

        if self._pool is None:
            self._pool, self._remains = make_pool(self._max_workers, self._settings)
        self._remains.prepare_place(submission)
        future: concurrent.futures.Future[bytes] = self._pool.submit(
            work, submission.place, submission.packed
        )
        self._remains.note(self._pool, future, submission)
        return future

    def _free(self, submission: Submission) -> None:
        with self._turns:
            if submission.place is not None:
                self._places.append(submission.place)
                submission.place = None

    def _end_turn(
        self,
        submission: Submission,
        remains: Remains,
        future: concurrent.futures.Future[bytes],
    ) -> None:
        """Called when the pool is done with a submission; ``remains`` are those of its pool."""
        from concurrent.futures.process import BrokenProcessPool

        error: BaseException | None
        if future.cancelled():
            error = AbandonedError(submission.job.id)
        else:
            error = future.exception()
        if isinstance(error, BrokenProcessPool):
            # The pool calls this with its lock held, and its other workers are still alive.
            self._start_recovery(remains)
            return

        remains.given.pop(future, None)
        self._free(submission)
        self._hand_over()
        if error is not None:
            self._tell_error(submission, error)
        else:
            self._tell(submission, partial(self._tell_result, submission, future.result()))

    def _tell(self, submission: Submission, tell: Callable[[], None]) -> None:
        """Tell what became of a submission; who waits for that goes on afterwards."""
        submission.teller = threading.get_ident()
        try:
            tell()
        finally:
            self._forget(submission)

    def _forget(self, submission: Submission) -> None:
        with self._turns:
            self._untold.discard(submission)
            self._has_changed.notify_all()

    def _tell_error(self, submission: Submission, exc: BaseException) -> None:
        self._tell(submission, partial(self._fail, submission.job, submission.run_times, exc))

    def _tell_result(self, submission: Submission, packed: bytes) -> None:
        from ._worker import unpack

        try:
            events = unpack(packed)
        except BaseException as exc:
            self._fail(submission.job, submission.run_times, exc)
        else:
            self._run_job_success(submission.job.id, events)

    def _start_recovery(self, remains: Remains) -> None:
        if not remains.claim():
            return
        try:
            threading.Thread(target=self._recover, args=(remains,), daemon=False).start()
        except (RuntimeError, MemoryError):  # no more threads can be had now
            remains.unclaim()
            with log_may_fail:
                self._logger.exception("A worker process died; its pool cannot be replaced yet")

    def _recover(self, remains: Remains) -> None:
        """
        Get over the death of a worker: run what its pool had not begun.

        Whether a run has begun can be told only when no worker is left that might begin it.
        """
        self._note_recovery(threading.current_thread())
        try:
            remains.clear_away()
        except Exception:
            remains.may_run_again = False  # a worker that is left may do so
            with log_may_fail:
                self._logger.exception("A pool of processes cannot be cleared away")

        lost = self._take_back(remains)
        self._hand_over()
        for submission, error in lost:
            self._tell_error(submission, error)

    def _note_recovery(self, thread: threading.Thread) -> None:
        with self._turns:
            going_on = {other for other in self._recoveries if other.is_alive()}
            self._recoveries = going_on | {thread}

    def _take_back(self, remains: Remains) -> list[tuple[Submission, BaseException]]:
        """Let what a broken pool has not begun wait again; return what has, with the errors."""
        from ._process_pool import ATTEMPTS

        lost = []
        with self._turns:
            if self._remains is remains and self._pool is not None:
                self._pool = None
                with log_may_fail:
                    self._logger.warning("A worker process died; starting a new pool of processes")
            for submission, error in reversed(remains.take()):
                is_lost = not remains.may_run_again or remains.has_begun(submission)
                if is_lost or submission.attempts >= ATTEMPTS:
                    lost.append((submission, error))
                else:
                    self._waiting.appendleft(submission)
                self._free(submission)
            self._has_changed.notify_all()

        return lost[::-1]

    def after_fork(self) -> None:
        super().after_fork()
        self._remains.leave_to_parent()
        self._begin_anew()  # also the locks, which may be held for ever
        self._pool = None  # to make one takes locks of multiprocessing, which may be held as well

    def shutdown(self, wait: bool | float = True) -> None:
        deadline = None if isinstance(wait, bool) else monotonic() + wait
        with self._turns:
            self._is_shut_down = True
            is_telling = threading.get_ident() in {told.teller for told in self._untold}
        # A listener is called in a thread that other runs need to end; it cannot wait for them.
        if wait is False or is_telling:
            threading.Thread(target=self._end_when_told, daemon=False).start()
        elif deadline is None:
            self._end_when_told()
        else:
            self._shutdown_by(deadline)

    def _end_when_told(self) -> None:
        """Wait until all is told, then end the pool; unless the scheduler is started anew."""
        self._wait_until_told()
        with self._turns:
            if not self._is_shut_down:
                return
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True)
        for thread in self._recoveries - {threading.current_thread()}:
            thread.join()

    def _wait_until_told(self, deadline: float = inf) -> None:
        with self._turns:
            while self._untold and self._is_shut_down and (left := deadline - monotonic()) > 0:
                self._has_changed.wait(min(left, LOOK_SECONDS))
                if self._remains.given and self._remains.is_without_manager():
                    self._start_recovery(self._remains)

    def _shutdown_by(self, deadline: float) -> None:
        """Let runs begin and end until the deadline; then drop them, and end the processes."""
        self._wait_until_told(deadline)
        with self._turns:
            pool, self._pool = self._pool, None
            self._remains.may_run_again = False
            waiting, self._waiting = self._waiting, deque()
            for submission in waiting:
                submission.teller = threading.get_ident()
        for submission in waiting:
            self._tell_error(submission, AbandonedError(submission.job.id))

        if pool is not None:
            pool.shutdown(wait=False, cancel_futures=True)
            self._remains.end_workers_by(deadline)

    def _leave_to_pool(self) -> None:
        """At exit, hand over all that waits: the pool does what it has, and takes no more."""
        with self._turns:
            self._has_changed.wait_for(lambda: self._pool is None or not self._remains.is_claimed)
            self._places += [None] * len(self._waiting)
        self._hand_over_now()


def _is_broken(pool: Any) -> bool:
    return bool(pool._broken)


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
