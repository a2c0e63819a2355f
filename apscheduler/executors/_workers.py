"""A pool of threads, each of which has a worker process make the runs that it is given."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import get_context, process
from multiprocessing.connection import wait
from threading import Condition, Lock
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._context import starting_worker
from .._forks import after_fork_in_child
from .._log import log_may_fail
from ._messages import receive_message, send_message
from ._threads import ThreadPool
from ._worker import BEGUN, FAREWELL, HELD_BACK, MainModule, Preparation, serve, unpack

if TYPE_CHECKING:
    from ..events import JobExecutionEvent

# So many seconds a process that is terminated has to clean up; then it is killed.
TERMINATION_SECONDS = 1.0

# So often a run is given to workers that die before they begin it; then it is told as an error.
ATTEMPTS = 3

# So often a thread looks whether its worker is alive: what a job has started may hold open all
# that would tell of its death.
LOOK_SECONDS = 1.0

# So long it may take until a thread that has waited for a process, too, has noted its exit code.
NOTE_SECONDS = 1.0

ENDED = "The worker process was ended by the shutdown of the scheduler while it made this run"

Outcome = tuple["list[JobExecutionEvent]", "BaseException | None"]


class WorkerPool(ThreadPool):
    """
    Threads that have processes make runs. Of a worker that dies, only its own run is lost.

    There are never more workers at work than threads. They are started by these, so that no signal
    strikes whoever submits a run while one is being started.

    :param mp_context: what :func:`multiprocessing.get_context` returns; None for the default
    :param initializer: called in each process before its first run; if it raises, that run fails
    :param initargs: arguments of ``initializer``
    :param max_tasks_per_child: after so many submissions a process is replaced; None for no limit
    """

    logger = logging.getLogger("apscheduler.executors")

    def __init__(
        self,
        max_workers: int,
        mp_context: Any = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_tasks_per_child: int | None = None,
    ) -> None:
        super().__init__(max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError(f"initializer must be a callable, got {initializer!r}")
        limit: Any = max_tasks_per_child
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise ValueError(
                f"max_tasks_per_child must be a positive integer, or None, got {limit!r}"
            )

        self._mp_context = mp_context or get_context()
        self._preparation = MainModule(), initializer, initargs
        self._max_tasks = limit
        self._changes = Condition(Lock())  # guards what is below
        self._workers: set[Worker] = set()  # all whose processes may be there
        self._idle: list[Worker] = []
        self._ended = 0  # threads
        self._is_abandoned = False
        _worker_pools.add(self)

    def make_runs(self, packed: bytes) -> Outcome | None:
        """
        Have a worker make the runs of a submission; called in a thread of the pool.

        :param packed: what :func:`._worker.serve` takes
        :return: the events, and None or why there are none: :exc:`BrokenProcessPool` if the worker
            died, or its initializer failed. Without both, None: the workers were ended before the
            runs began
        :raises OSError: if no process can be started, and there is none
        """
        attempts = 0
        while (worker := self._take()) is not None:
            attempts += 1
            try:
                outcome: Outcome = unpack(worker.ask(packed))
                return outcome
            except WorkerDiedError as exc:
                # Whoever keeps it is not to keep what the traceback refers to.
                error = exc.with_traceback(None)
            finally:
                self._give_back(worker)
            if self._is_abandoned:  # it was not by itself that it died
                return ([], BrokenProcessPool(ENDED)) if error.had_begun else None
            with log_may_fail:
                self.logger.warning("%s; another one is started when it is needed", error)
            if error.had_begun or attempts == ATTEMPTS:
                return [], error

        return None

    def _take(self) -> Worker | None:
        """Return a worker that has nothing to do, or a new one; None if all were ended."""
        is_told = False
        while True:
            with self._changes:
                if self._is_abandoned:
                    return None
                worker = self._idle_worker()
                if worker is not None:
                    return worker
                self._workers = {other for other in self._workers if other.is_alive()}
                worker = Worker()
                self._workers.add(worker)  # a forked child closes what it has inherited of it
            try:
                return worker if self._start(worker) else None
            except (OSError, MemoryError):
                if not self._has_workers():
                    raise
                if not is_told:
                    is_told = True
                    self._tell_of_no_further_worker()
            with self._changes:
                if not self._idle:
                    self._changes.wait(LOOK_SECONDS)  # another thread gives one back

    def _idle_worker(self) -> Worker | None:
        while self._idle:
            worker = self._idle.pop()
            if worker.is_alive() and worker.tasks != self._max_tasks:
                return worker
            worker.end()
        return None

    def _has_workers(self) -> bool:
        with self._changes:
            return bool(self._workers)

    def _tell_of_no_further_worker(self) -> None:
        with log_may_fail:
            self.logger.warning(
                "No further worker process can be started; those that run do all the work",
                exc_info=True,
            )

    def _start(self, worker: Worker) -> bool:
        """Start a worker; tell whether it may go on, or all were ended meanwhile."""
        may_go_on = False
        try:
            worker.start(self._mp_context, Preparation(self._preparation))
            with self._changes:
                may_go_on = not self._is_abandoned
        finally:
            if not may_go_on:
                worker.kill()
                with self._changes:
                    self._workers.discard(worker)
        return may_go_on

    def _give_back(self, worker: Worker) -> None:
        with self._changes:
            if not worker.is_closed:
                self._idle.append(worker)
            self._changes.notify()

    def _work(self, asleep: Lock) -> None:
        try:
            super()._work(asleep)
        finally:
            self._end_idle_workers()

    def _end_idle_workers(self) -> None:
        """
        End workers as a thread ends, but leave one to each of the others.

        Such a thread may wait for it, with a run, while no further process can be had.
        """
        with self._changes:
            self._ended += 1
            others = len(self._threads) - self._ended
            surplus = self._idle[others:]
            del self._idle[others:]
        for worker in surplus:
            worker.end()
        for worker in surplus:
            worker.join()
        with self._changes:
            self._workers.difference_update(surplus)

    def end_workers_by(self, deadline: float) -> None:
        """
        Wait until the workers have ended; then terminate all that go on, and kill the deaf.

        Return when it is told what became of their runs, or a second later.
        """
        self.shutdown(False)  # Ctrl+C may have come before
        with self._changes:
            self._is_abandoned = True
            self._changes.notify_all()
            workers = [worker for worker in self._workers if worker.is_started]
        _join_all(workers, deadline)
        for worker in _alive(workers):
            worker.process.terminate()
        _join_all(workers, max(deadline, monotonic()) + TERMINATION_SECONDS)
        for worker in _alive(workers):
            worker.process.kill()
        _join_all(workers, monotonic() + TERMINATION_SECONDS)
        self._join(TERMINATION_SECONDS)

    def finish(self) -> None:
        """Wait for all that was submitted, unless the time for that is over; end the workers."""
        if self._is_abandoned:
            self.end_workers_by(monotonic())  # Ctrl+C may have left some
        else:
            self.shutdown()

    def leave_to_parent(self) -> None:
        """Called in a forked child: the workers are those of the parent process."""
        # multiprocessing would wait for them at exit, and they are no children of this one.
        children: set[Any] = getattr(process, "_children", set())  # there is no public name for it
        for worker in list(self._workers):
            children.discard(worker.process)
            worker.leave_to_parent()


class Worker:
    """A process that makes the runs of one submission after the other."""

    process: Any = None
    is_started = False
    _connection: Any = None
    _other_end: Any = None
    _preparation: Preparation | None = None

    def __init__(self) -> None:
        self.tasks = 0  # how many it was given

    def start(self, context: Any, preparation: Preparation) -> None:
        """
        Start the process.

        :param context: of :mod:`multiprocessing`
        :raises OSError: if no process can be had
        """
        self._connection, self._other_end = context.Pipe()
        self._preparation = preparation
        in_new_worker = starting_worker.set(self)
        try:
            self.process = context.Process(target=serve, args=(preparation, self._other_end))
            # What is spawned has no such handlers, and threads and processes that its main module
            # starts would inherit what is blocked.
            is_forked = context.get_start_method() == "fork"
            with _signals_held_back() if is_forked else nullcontext():
                self.process.start()
            self.is_started = True
        finally:
            starting_worker.reset(in_new_worker)
            self._other_end.close()  # so that it tells of the death of the process

    def ask(self, packed: bytes) -> bytes:
        """
        Have it make runs, and return its answer.

        :raises WorkerDiedError: if it died meanwhile, or let go of its connection and was killed
        """
        self.tasks += 1
        had_begun = False
        answer: bytes | None = None
        try:
            self._prepare()
            send_message(self._connection, packed, self._receive)
            had_begun = self._receive() == BEGUN
            answer = receive_message(self._connection, self._receive)
        except (EOFError, OSError):
            pass  # it says no more, and refers to all that is to be freed
        finally:
            if answer is None:
                self.kill()

        if answer is None:
            raise WorkerDiedError.of(self._exit_code(), had_begun)
        return answer

    def _prepare(self) -> None:
        if self._preparation is not None and self._preparation.packed is not None:
            send_message(self._connection, self._preparation.packed, self._receive)
            self._receive()
        self._preparation = None

    def _receive(self) -> bytes:
        ends = [self._connection, self.process.sentinel]
        while not (ready := wait(ends, LOOK_SECONDS)) and self.process.is_alive():
            pass
        # What a dead process has sent is still there.
        if self._connection not in ready and not self._connection.poll():
            raise EOFError("the process is dead")

        received: bytes = self._connection.recv_bytes()
        return received

    @property
    def is_closed(self) -> bool:
        return bool(self._connection.closed)

    def is_alive(self) -> bool:
        """Tell whether it may do anything, now or when it has started."""
        if not self.is_started:
            return True
        # The first tells it also where the program has children reaped by somebody else, the
        # second also where a child of a job holds open what tells the first.
        return not wait([self.process.sentinel], 0) and bool(self.process.is_alive())

    def join(self, timeout: float | None = None) -> None:
        self.process.join(timeout)

    def _exit_code(self) -> int | None:
        """Return it once the process is dead; None if somebody else has children reaped."""
        deadline = monotonic() + NOTE_SECONDS
        while self.process.exitcode is None and monotonic() < deadline:
            sleep(0.001)
        code: int | None = self.process.exitcode
        return code

    def close(self) -> None:
        """Let go of it; it ends unless a forked process holds the connection, too."""
        if self._connection is not None:
            self._connection.close()

    def leave_to_parent(self) -> None:
        """Called in a forked child, or neither it nor the parent would notice the other's end."""
        ends = [self._connection]
        if self is not starting_worker.get():  # else that is what this very process has of it
            ends.append(self._other_end)
        for end in ends:
            with suppress(OSError):  # another thread was just closing it
                if end is not None:
                    end.close()

    def end(self) -> None:
        """Let it end when it has nothing to do."""
        with suppress(OSError):  # it is dead
            self._connection.send_bytes(FAREWELL)
        self.close()

    def kill(self) -> None:
        """Make sure that it does nothing more."""
        self.close()
        if not self.is_started:
            return
        self.process.join(0)  # most often it is dead; then it has an exit code of its own
        self.process.kill()
        self.process.join(TERMINATION_SECONDS)


class WorkerDiedError(BrokenProcessPool):
    """A worker process died before it had made the runs of a submission."""

    had_begun = False

    @classmethod
    def of(cls, exit_code: int | None, had_begun: bool) -> WorkerDiedError:
        when = "while it made this run" if had_begun else "before it began this run"
        error = cls(f"A worker process was terminated abruptly {when} (exit code {exit_code})")
        error.had_begun = had_begun
        return error


_worker_pools: WeakSet[WorkerPool] = WeakSet()


def _leave_to_parent() -> None:
    """Called in a forked child, where schedulers may have made pools of its own by now."""
    for pool in list(_worker_pools):
        if pool._process_id != os.getpid():
            _worker_pools.discard(pool)
            pool.leave_to_parent()


after_fork_in_child(_leave_to_parent)


def finish_pools() -> None:
    """Finish all pools; multiprocessing would wait at exit for workers that have nothing to do."""
    _finish_all(list(_worker_pools))


def _finish_all(pools: list[WorkerPool]) -> None:
    try:
        while pools:
            pools.pop().finish()
    finally:
        if pools:  # Ctrl+C
            _finish_all(pools)


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Have signals wait until a worker that is forked has let go of the program's handlers."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _join_all(workers: Iterable[Worker], deadline: float) -> None:
    for worker in workers:
        worker.join(max(deadline - monotonic(), 0.0))


def _alive(workers: Iterable[Worker]) -> list[Worker]:
    return [worker for worker in workers if worker.is_alive()]
