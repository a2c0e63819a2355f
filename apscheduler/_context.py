"""What a running job can ask about its own run."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from .job import Job
    from .schedulers.base import BaseScheduler

# Outside a run, .get() raises LookupError on each of them.
current_job: ContextVar[Job] = ContextVar("apscheduler.current_job")
current_run_time: ContextVar[datetime] = ContextVar("apscheduler.current_run_time")
# Not set in a worker of a process pool: the scheduler lives in the parent process.
current_scheduler: ContextVar[BaseScheduler] = ContextVar("apscheduler.current_scheduler")

# The worker that is being started, in a process that is forked for it, too: that is no child that
# the program has made.
starting_worker: ContextVar[object] = ContextVar("apscheduler.starting_worker", default=None)

# Whether a worker of a process pool imports modules, to find the function of a job.
importing_in_worker: ContextVar[bool] = ContextVar(
    "apscheduler.importing_in_worker", default=False
)
