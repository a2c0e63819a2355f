"""A thread pool whose threads can be left behind: they never keep the interpreter from exiting."""

from __future__ import annotations

import atexit
import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._forks import after_fork_in_child
from .._log import log_may_fail

if TYPE_CHECKING:
    from concurrent.futures import Future

logger = logging.getLogger("apscheduler.executors")

Task = Callable[[], object]


def read_max_workers(value: Any) -> int:
    """
    Return how many workers a pool may have. A fraction is cut off, as in 3.x, and logged.

    :raises TypeError, ValueError: as ``int()`` does
    """
    words = f"max_workers must be a positive integer, got {value!r}"
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise (TypeError if isinstance(exc, TypeError) else ValueError)(words) from exc

    if isinstance(value, float) and number != value:
        with log_may_fail:
            logger.warning("%s -- the fraction is cut off", words)
    return number


class ThreadPool:
    """
    Runs tasks in at most ``max_workers`` daemon threads, which are started when they are needed.

    Beside :meth:`execute` it has what users of :class:`concurrent.futures.ThreadPoolExecutor`
    expect. At the exit of the interpreter, running and waiting tasks are waited for, unless the
    pool was shut down without waiting for them.

    A task wakes one thread: the one that has slept for the shortest time, and only that one. With
    a queue that all of them wait for, a task would wake one after the other.

    :param thread_name_prefix: begins the name of each thread
    :param initializer: called in each thread before its first task; if it raises, that task is not
        run and fails with an :exc:`InitializerError`, and the next task calls it again
    :param initargs: arguments of ``initializer``
    """

    def __init__(
        self,
        max_workers: int,
        thread_name_prefix: str = "APScheduler",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
    ) -> None:
        if max_workers < 1:
            raise ValueError(f"max_workers must be a positive integer, got {max_workers!r}")
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, got {initializer!r}")

        self._max_workers = max_workers
        self._thread_name_prefix = thread_name_prefix
        self._initialize = partial(initializer, *initargs) if initializer else None
        self._tasks: deque[Task] = deque()  # those that wait
        # With the lock that a thread sleeps on: whoever releases it wakes the thread.
        self._threads: dict[Thread, Lock] = {}
        self._sleeping: list[Lock] = []
        self._shutdown = False
        self._lock = Lock()
        self._process_id = os.getpid()
        _pools.add(self)

    def execute(self, task: Task) -> None:
        """
        Run a task in one of the threads.

        :param task: called without arguments; what it raises is logged
        :raises RuntimeError: if the pool has been shut down
        """
        with self._lock:
            if self._shutdown:
                raise RuntimeError("The thread pool has been shut down and takes no more tasks")

            # If no thread can be had, the task must not be left in the queue: whoever submits it
            # is told, and may do so again.
            if not self._sleeping and len(self._threads) < self._max_workers:
                self._start_thread()
            self._tasks.append(task)
            self._wake_one()

    def _wake_one(self) -> None:
        try:
            if self._sleeping:
                self._sleeping.pop().release()
        except BaseException:  # Ctrl+C: nobody knows whether a thread was woken
            self._wake_all()
            raise

    def _wake_all(self) -> None:
        """Have all threads look for a task, or for the end."""
        self._sleeping.clear()
        for asleep in list(self._threads.values()):
            with suppress(RuntimeError):  # it was woken, and has not noticed yet
                asleep.release()

    def _start_thread(self) -> None:
        asleep = Lock()
        thread = Thread(
            target=self._work,
            args=(asleep,),
            name=f"{self._thread_name_prefix}_{len(self._threads)}",
            daemon=True,
        )
        try:
            self._threads[thread] = asleep
            thread.start()
        except BaseException as exc:
            if thread.ident is None:
                self._threads.pop(thread, None)  # it will never do anything
            # If no more threads can be had, those that run do the task, if there are any.
            if not (self._threads and isinstance(exc, (RuntimeError, MemoryError))):
                raise

    def _work(self, asleep: Lock) -> None:
        # Ctrl+C may have told the pool that it did not start.
        self._threads[current_thread()] = asleep
        initialized = self._initialize is None
        while (task := self._next_task(asleep)) is not None:
            initialized = initialized or self._is_initialized_for(task)
            if initialized:
                self._run(task)
            del task  # what it holds is not kept until the next one comes

    def _next_task(self, asleep: Lock) -> Task | None:
        """Wait for a task and take it; None if there will be no more."""
        while True:
            with self._lock:
                if self._tasks:
                    return self._tasks.popleft()
                if self._shutdown:
                    return None
                asleep.acquire(False)  # it is free if all were woken while this thread was awake
                self._sleeping.append(asleep)
            asleep.acquire()

    def _is_initialized_for(self, task: Task) -> bool:
        """Call the initializer; if it fails, so does the task, and the next one calls it again."""
        assert self._initialize is not None
        try:
            self._initialize()
        except BaseException as exc:
            with log_may_fail:
                logger.exception("The initializer of a thread failed; its task is not run")
            error = InitializerError()
            error.__cause__ = exc
            if isinstance(task, RefusableTask):
                self._run(partial(task.refuse, error))
            return False

        return True

    def _run(self, task: Task) -> None:
        try:
            task()
        except BaseException:
            with log_may_fail:  # else the pool would be without this thread
                logger.exception("A task of the thread pool failed")

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run ``fn(*args, **kwargs)`` in one of the threads, and return its future."""
        from concurrent.futures import Future  # slow to import, and seldom needed

        submission = _Submission(Future(), partial(fn, *args, **kwargs))
        self.execute(submission)
        return submission.future

    def shutdown(self, wait: bool | float = True, *, cancel_futures: bool = False) -> list[Task]:
        """
        Take no more tasks.

        :param wait: True to wait until all tasks are done, those of the calling thread excepted;
            False not to wait; a number of seconds to wait so long and then leave them behind
        :param cancel_futures: whether to drop the tasks that no thread has begun
        :return: the tasks that will never begin
        """
        with self._lock:
            self._shutdown = True
            self._wake_all()
        dropped = self._drop_waiting() if cancel_futures else []

        if wait is not False and not self._join(None if wait is True else float(wait)):
            dropped += self._drop_waiting()
            _pools.discard(self)  # left behind: not waited for at exit either

        return dropped

    def _drop_waiting(self) -> list[Task]:
        with self._lock:
            tasks = list(self._tasks)
            self._tasks.clear()
        for task in tasks:  # without the lock: futures call back
            if isinstance(task, _Submission):
                task.future.cancel()  # whoever waits for it would wait for ever
        return tasks

    def _join(self, seconds: float | None) -> bool:
        deadline = None if seconds is None else monotonic() + seconds
        for thread in self._threads.keys() - {current_thread()}:
            thread.join(None if deadline is None else max(deadline - monotonic(), 0))
            if thread.is_alive():
                return False

        return True


class InitializerError(RuntimeError):
    """A task was not run, for the initializer of its thread failed; the cause is its error."""

    def __init__(self) -> None:
        super().__init__("Not run: the initializer of the thread failed; the cause is its error")


class RefusableTask:
    """A task that is told when it is not going to be run."""

    def __call__(self) -> None:
        raise NotImplementedError

    def refuse(self, exc: BaseException) -> None:
        """Called instead of the task, with the reason that it is not run."""
        raise NotImplementedError


class _Submission(RefusableTask):
    """A task whose result is kept in a future."""

    def __init__(self, future: Future[Any], call: Callable[[], Any]) -> None:
        self.future = future
        self._call = call

    def __call__(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self._call())
        except BaseException as exc:
            self.future.set_exception(exc)

    def refuse(self, exc: BaseException) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_exception(exc)


_pools: WeakSet[ThreadPool] = WeakSet()


def _forget_pools_of_parent() -> None:
    """Called in a forked child: their threads are in the parent, their locks may be held for ever.

    Schedulers may have made pools of its own by now.
    """
    for pool in list(_pools):
        if pool._process_id != os.getpid():
            _pools.discard(pool)


after_fork_in_child(_forget_pools_of_parent)


@atexit.register
def _finish_tasks() -> None:
    for pool in list(_pools):
        pool.shutdown()
