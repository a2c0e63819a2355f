"""Schedulers that run for as long as a ``with`` block does."""

from __future__ import annotations

import pytest

from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.schedulers.base import BaseScheduler
from apscheduler.testing import ManualScheduler


@pytest.fixture(params=[BackgroundScheduler, ManualScheduler])
def scheduler(request: pytest.FixtureRequest) -> BaseScheduler:
    made: BaseScheduler = request.param()
    return made


def test_the_block_starts_it_and_shuts_it_down(scheduler: BaseScheduler) -> None:
    with scheduler as same:  # type: ignore[attr-defined]
        assert same is scheduler
        assert scheduler.running

    assert not scheduler.running


def test_it_is_shut_down_when_the_block_fails(scheduler: BaseScheduler) -> None:
    with pytest.raises(LookupError), scheduler:  # type: ignore[attr-defined]
        raise LookupError("as is to be expected")

    assert not scheduler.running


def test_the_block_may_shut_it_down(scheduler: BaseScheduler) -> None:
    with scheduler:  # type: ignore[attr-defined]
        scheduler.shutdown()

    assert not scheduler.running
