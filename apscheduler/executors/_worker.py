"""What a worker process does: it unpacks the runs of a job, makes them, and packs the outcome."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from datetime import date, timedelta
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from multiprocessing.spawn import import_main_path
from typing import Any

from .._context import importing_in_worker
from .._forks import after_fork_in_child
from ..events import EVENT_JOB_ERROR, JobExecutionEvent
from ._messages import GO_ON, receive_message, send_message

# Results of these types need no trial of whether they can be unpickled.
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, date, timedelta})

# What a worker sends as it begins with a submission, before its answer; in one piece.
BEGUN = b"begun"

# Signals that wait while a worker is forked, until it knows what to do with them.
HELD_BACK = frozenset({signal.SIGINT, signal.SIGTERM})

# What it is sent to end; it ends, too, when the other end of the connection is closed.
FAREWELL = b""


class TransferError(RuntimeError):
    """The result or error of a run cannot be sent from its process to the scheduler's."""


class MainModule:
    """
    Lets a new process find the functions of the main module, as it is unpickled there.

    :mod:`multiprocessing` tells of it, too, but not once the program has come to its end: by then
    Python has forgotten its file.
    """

    def __init__(self) -> None:
        main = sys.modules["__main__"]
        file = getattr(main, "__file__", None)
        is_module = getattr(main, "__spec__", None) is not None  # of which Python knows the name
        self._path = None if file is None or is_module else os.path.abspath(file)

    def __reduce__(self) -> tuple[Any, ...]:
        return _import_main, (self._path,)


def _import_main(path: str | None) -> None:
    if path is not None and sys.modules["__main__"].__name__ != "__mp_main__":
        import_main_path(path)


class Preparation:
    """
    What a worker has to know before its first run. One that is forked inherits it.

    Any other is sent it as a message when it runs: :mod:`multiprocessing`, while it starts a
    process, does not notice that this one is dead. Yet it is packed while the process is started,
    for only then can locks and queues be.

    :param parts: the main module, the initializer or None, and its arguments
    """

    def __init__(self, parts: tuple[Any, ...] | None = None) -> None:
        self._parts = parts
        self.packed: bytes | None = None  # None if it need not be sent

    def __reduce__(self) -> tuple[Any, ...]:
        self.packed = pack(self._parts)
        return Preparation, ()

    def receive(self, connection: Connection) -> None:
        """Called in the worker."""
        if self._parts is None:
            self.packed = receive_message(connection, connection.recv_bytes)
            connection.send_bytes(GO_ON)

    def initialize(self) -> None:
        if self._parts is None:
            assert self.packed is not None
            self._parts = _import_and_unpack(self.packed)
            self.packed = None  # it may be large
        _, initializer, initargs = self._parts
        if initializer is not None:
            initializer(*initargs)


def serve(preparation: Preparation, connection: Connection) -> None:
    """
    Answer each submission with what became of its runs, until there is a ``FAREWELL``.

    A submission is packed: the function to call (:func:`run_job`) and its arguments. The answer is
    ``BEGUN``, then packed the events, and None or the error for which there are none.

    Ctrl+C reaches the processes of a terminal, too. It is for an initializer or a job, not for a
    worker that waits.

    :param preparation: has the initializer, which is called before the first submission. While it
        fails, each submission is answered with its error, and it is called again
    """
    at_interrupt = _reset_signals()
    context = Context()  # a process that is forked inside a job has inherited that of the job
    # A child that a job leaves behind would hide the end of this process for a while, and give
    # answers, too, if it came back here.
    after_fork_in_child(connection.close)
    with suppress(EOFError, OSError):  # the scheduler's process has ended
        preparation.receive(connection)
        error, at_interrupt = _initialize(context, preparation, at_interrupt)
        while True:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            packed = receive_message(connection, connection.recv_bytes)
            if packed == FAREWELL:
                return
            connection.send_bytes(BEGUN)
            if error is None:
                answer = _make_runs(context, packed, at_interrupt)
            else:
                answer = pack(([], error))
            send_message(connection, answer, connection.recv_bytes)
            if error is not None:
                error, at_interrupt = _initialize(context, preparation, at_interrupt)


def _reset_signals() -> Any:
    """
    Ignore SIGINT, and return what it is to do to a job; have SIGTERM end this process.

    A process that is forked has inherited handlers, which are for the program's own process: those
    of an event loop would even have the loop in there do what is asked of this process.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # not on Windows
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
    return signal.SIG_IGN if before == signal.SIG_IGN else signal.default_int_handler


def _initialize(
    context: Context, preparation: Preparation, at_interrupt: Any
) -> tuple[Exception | None, Any]:
    """Return the error, or None, and what SIGINT is to do to a job; the initializer may say so."""
    error = None
    signal.signal(signal.SIGINT, at_interrupt)
    try:
        context.run(preparation.initialize)
    except BaseException as exc:
        from concurrent.futures.process import BrokenProcessPool

        words = "".join(traceback.format_exception(type(exc), exc, exc.__traceback__))
        error = BrokenProcessPool(
            f"The initializer of a worker process failed, or could not be unpickled:\n{words}"
        )

    return error, signal.getsignal(signal.SIGINT) or signal.SIG_DFL


def _make_runs(context: Context, packed: bytes, at_interrupt: Any) -> bytes:
    try:
        run, *arguments = _import_and_unpack(packed)
        events = _call_interruptible(partial(context.run, run, *arguments), at_interrupt)
        return pack(([_sendable(event) for event in events], None))
    except BaseException as exc:
        return pack(([], exc if _survives(exc) else TransferError(_describe(exc))))


def _call_interruptible(call: Callable[[], Any], at_interrupt: Any) -> Any:
    signal.signal(signal.SIGINT, at_interrupt)
    try:
        return call()
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def pack(thing: Any) -> bytes:
    return bytes(ForkingPickler.dumps(thing))  # knows how to send sockets and connections, too


def unpack(packed: bytes) -> Any:
    return pickle.loads(packed)


def _import_and_unpack(packed: bytes) -> Any:
    token = importing_in_worker.set(True)
    try:
        return unpack(packed)
    finally:
        importing_in_worker.reset(token)


def _sendable(event: JobExecutionEvent) -> JobExecutionEvent:
    """Return the event, or one that says what it was if it cannot be sent."""
    if event.exception is not None:
        if not _survives(event.exception):
            event.exception = TransferError(
                f"The job raised {_describe(event.exception)}, which cannot be sent from its "
                f"process to the scheduler's:\n{event.traceback}"
            )
    elif type(event.retval) not in PLAIN and not _survives(event.retval):
        error = TransferError(
            f"The job ran, but its result {_describe(event.retval)} cannot be sent from its "
            "process to the scheduler's; have the job return something that can be pickled"
        )
        return JobExecutionEvent(
            EVENT_JOB_ERROR,
            event.job_id,
            event.jobstore,
            event.scheduled_run_time,
            exception=error,
            traceback="",
        )

    return event


def _survives(thing: Any) -> bool:
    """Tell whether a thing can be pickled and unpickled."""
    try:
        unpack(pack(thing))
    except Exception:
        return False
    return True


def _describe(thing: Any) -> str:
    try:
        return repr(thing)
    except Exception:
        return f"<{type(thing).__qualname__}>"
