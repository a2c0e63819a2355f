"""Jobs run at once, in the thread of the scheduler."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from .base import BaseExecutor

if TYPE_CHECKING:
    from ..job import Job


class DebugExecutor(BaseExecutor):
    """Runs each job in the thread that hands it over, which waits until it has ended."""

    def runs_inline(self) -> bool:
        return True

    def _do_submit_job(self, job: Job, run_times: list[datetime]) -> None:
        self._taken = run_times  # whatever strikes now, it is told
        self._run(job, run_times)
