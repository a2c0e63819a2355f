"""Run Python functions at the times you choose, inside your own process."""

from __future__ import annotations

from ._context import current_job as current_job
from ._context import current_run_time as current_run_time
from ._context import current_scheduler as current_scheduler

release = "3.11.100"  # the same as in setup.cfg
version = release
version_info = (3, 11, 100)
