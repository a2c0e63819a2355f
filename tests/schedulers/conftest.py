"""Schedulers on a clock of their own, and what they tell."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from apscheduler.testing import ManualScheduler
from tests.recorder import Recorder

MARCH_1 = datetime(2030, 3, 1, 8, tzinfo=timezone.utc)


@pytest.fixture
def stopped() -> ManualScheduler:
    """A scheduler that has not been started; its clock shows 08:00 UTC on 1 March 2030."""
    return ManualScheduler(now=MARCH_1)


@pytest.fixture
def scheduler(stopped: ManualScheduler) -> ManualScheduler:
    """The same, started."""
    stopped.start()
    return stopped


@pytest.fixture
def recorder(scheduler: ManualScheduler) -> Recorder:
    """Remembers what the started scheduler tells."""
    return Recorder(scheduler)
