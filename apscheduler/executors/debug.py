"""Jobs run at once, in the thread of the scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .base import BaseExecutor

if TYPE_CHECKING:
    from ..job import Job


class DebugExecutor(BaseExecutor):
    """
    Runs each job in the thread that hands it over, which waits until it has ended.

    Ctrl+C during a job of the main thread ends in ``EVENT_JOB_ERROR``, and then gets out of the
    scheduler. Other due runs of the same job are not made then, and told as errors, too.
    """

    def runs_inline(self) -> bool:
        return True

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._taken = run_times  # whatever strikes now, it is told
        try:
            events = self._run(job, run_times, self._is_interrupt)
        finally:
            self._taken = run_times  # a job that shuts down has had others taken meanwhile
        for event in events:
            if event.exception is not None and self._is_interrupt(event.exception):
                raise event.exception

    def _is_interrupt(self, exc: BaseException) -> bool:
        # A test suite may have a stand-in for the scheduler: one without this, or a mock of it.
        is_interrupt = getattr(self._scheduler, "_is_interrupt", None)
        return is_interrupt is not None and is_interrupt(exc) is True
