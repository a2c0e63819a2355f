"""A pool of worker processes, and what is left of it when one of them has died."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from datetime import datetime
from multiprocessing import get_context, process
from time import monotonic
from typing import TYPE_CHECKING, Any

from .._log import log_may_fail
from . import _worker
from ._claims import Claimable

if TYPE_CHECKING:
    from ..job import Job

logger = logging.getLogger("apscheduler.executors")

# So many seconds a process that is terminated has to clean up; then it is killed.
TERMINATION_SECONDS = 1.0

# So often a run is handed to workers that die before they begin it, as those do whose initializer
# fails; then it is told as an error.
ATTEMPTS = 3


class Submission:
    """The runs of one submission, on their way to a worker process."""

    def __init__(self, job: Job, run_times: list[datetime], packed: bytes) -> None:
        self.job = job
        self.run_times = run_times
        self.packed = packed
        self.place: int | None = None  # where the worker notes that it has begun
        self.attempts = 0
        self.teller: int | None = None  # the thread that tells what became of it


class ProcessPool(ProcessPoolExecutor):
    """Refuses a submission for good, or does it; also when no more processes can be had."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        number = self._queue_count
        try:
            return super().submit(fn, *args, **kwargs)
        except BaseException:
            # It was in the queue before a worker was started for it, and might be done later.
            item = self._pending_work_items.get(number)
            if item is not None and not item.future.cancel():
                return item.future
            self._end_if_without_manager()
            raise

    def _adjust_process_count(self) -> None:
        try:
            super()._adjust_process_count()
        except Exception:
            if not self._processes:
                raise
            with log_may_fail:
                logger.warning(
                    "No further worker process can be started; those that run do all the work",
                    exc_info=True,
                )

    def _end_if_without_manager(self) -> None:
        """Begin anew if the thread that would end the workers could not be started."""
        manager: Any = self._executor_manager_thread
        if manager is not None and manager.ident is not None:
            return
        self._executor_manager_thread = None  # type: ignore[assignment]
        while self._processes:
            self._processes.popitem()[1].kill()


class Remains(Claimable):
    """
    What is known of a pool when one of its workers has died; whoever claims it gets over that.

    This does not keep the pool alive: one that is dropped ends its workers.
    """

    manager: Any = None  # the thread that looks after the pool
    may_run_again = True  # what the pool was given, and has not begun

    def __init__(self, pool: Any, begun: Any) -> None:
        super().__init__()
        # What the pool was given, and is not done with.
        self.given: dict[Future[bytes], Submission] = {}
        self._begun = begun
        self._workers: dict[int, Any] = pool._processes
        self._call_queue: Any = pool._call_queue
        self._wakeup: Any = pool._executor_manager_thread_wakeup

    def note(self, pool: Any, future: Future[bytes], submission: Submission) -> None:
        """Note what the pool has taken."""
        self.manager = pool._executor_manager_thread
        self.given[future] = submission

    def is_without_manager(self) -> bool:
        """Tell whether the thread that looks after the pool has ended."""
        return self.manager is not None and not self.manager.is_alive()

    def has_begun(self, submission: Submission) -> bool:
        return submission.place is None or bool(self._begun[submission.place])

    def prepare_place(self, submission: Submission) -> None:
        if submission.place is not None:
            self._begun[submission.place] = 0

    def take(self) -> list[tuple[Submission, BaseException]]:
        """Take what the pool was given and has failed, or forgotten; each with its error."""
        taken = []
        for future, submission in list(self.given.items()):
            error: BaseException | None = BrokenProcessPool("The process pool broke at submission")
            if future.done():
                error = None if future.cancelled() else future.exception()
                if not isinstance(error, BrokenProcessPool):
                    continue  # it is just being told
            if error is not None and self.given.pop(future, None) is not None:
                taken.append((submission, error))

        return taken

    def clear_away(self) -> None:
        """Wait until the pool has ended its workers; kill those that go on, and free the rest."""
        self.manager.join(TERMINATION_SECONDS)
        # It may have ended by an error itself, and have left them.
        workers = list(self._workers.values())
        for worker in _alive(workers):
            worker.kill()
        self.manager.join()
        for worker in workers:
            worker.join()
        if not self._wakeup._closed:  # the last thing that it does
            # The reader first: the thread that feeds the queue may be amid a write.
            self._call_queue._reader.close()
            self._call_queue.close()
            self._call_queue.join_thread()
            self._wakeup.close()

    def end_workers_by(self, deadline: float) -> None:
        """Wait until the workers have ended; then terminate all that go on, and kill the deaf."""
        workers = list(self._workers.values())
        _join_all(workers, deadline)
        for worker in _alive(workers):
            worker.terminate()
        _join_all(workers, max(deadline, monotonic()) + TERMINATION_SECONDS)
        for worker in _alive(workers):
            worker.kill()

    def leave_to_parent(self) -> None:
        """Called in a forked child, which has neither the workers nor the thread."""
        # multiprocessing would wait for the workers at exit, and they are no children of this one.
        children: set[Any] = getattr(process, "_children", set())  # there is no public name for it
        children.difference_update(self._workers.values())
        if self.manager is not None:
            # It would be told that the pool is dropped, with a lock that may be held for ever.
            self.manager.executor_reference = None


def make_pool(max_workers: int, settings: dict[str, Any]) -> tuple[ProcessPool, Remains]:
    """
    Return a pool, and what will be known of it.

    :param settings: arguments of :class:`concurrent.futures.ProcessPoolExecutor`
    :raises TypeError: if the initializer cannot be called
    :raises OSError: if the system has no room for one
    """
    settings = dict(settings)
    initializer = settings.pop("initializer", None)
    initargs = settings.pop("initargs", ())
    if initializer is not None and not callable(initializer):
        raise TypeError(f"initializer must be a callable, got {initializer!r}")

    context = settings["mp_context"] or get_context()
    begun = context.RawArray("b", max(max_workers, 1))
    pool = ProcessPool(
        max_workers,
        **settings,
        initializer=_worker.prepare,
        initargs=(begun, initializer, initargs),
    )
    return pool, Remains(pool, begun)


def _join_all(workers: Iterable[Any], deadline: float) -> None:
    for worker in workers:
        worker.join(max(deadline - monotonic(), 0.0))


def _alive(workers: Iterable[Any]) -> list[Any]:
    return [worker for worker in workers if worker.is_alive()]
