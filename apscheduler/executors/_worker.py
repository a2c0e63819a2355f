"""What a worker process does: it unpacks the runs of a job, makes them, and packs the outcome."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextvars import Context
from datetime import date, timedelta
from multiprocessing.reduction import ForkingPickler
from typing import Any

from ..events import EVENT_JOB_ERROR, JobExecutionEvent

# Results of these types need no trial of whether they can be unpickled.
PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, date, timedelta})

_begun: Any = None  # a byte for each place, shared with the parent process; 1 once its work began
# Of its own: a worker that was forked inside a job has inherited the context of that job.
_context = Context()


class TransferError(RuntimeError):
    """The result or error of a run cannot be sent from its process to the scheduler's."""


def prepare(begun: Any, initializer: Callable[..., object] | None, initargs: Any) -> None:
    """Called once in each worker, before its first work."""
    global _begun
    _begun = begun
    if initializer is not None:
        _context.run(initializer, *initargs)


def pack(thing: Any) -> bytes:
    return bytes(ForkingPickler.dumps(thing))  # knows how to send sockets and connections, too


def unpack(packed: bytes) -> Any:
    return pickle.loads(packed)


def work(place: int | None, packed: bytes) -> bytes:
    """
    Make the runs of a submission, and return their events packed.

    Both are packed here and in the executor, since what fails in the unpickling that
    :mod:`concurrent.futures` does breaks the pool, and ends the jobs of the other workers.

    :param place: which byte to set first of all, so that the parent knows that the work has begun
    :param packed: the function to call (:func:`run_job`) and its arguments
    """
    if place is not None:
        _begun[place] = 1
    try:
        run, *arguments = unpack(packed)
        return pack([_sendable(event) for event in _context.run(run, *arguments)])
    except BaseException as exc:
        if _survives(exc):
            raise
        raise TransferError(_describe(exc)) from None


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
