"""What pages do to logging is undone: tests that come later read the log."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def same_levels_of_logging() -> Iterator[None]:
    names = ["", "apscheduler", "apscheduler.executors", "apscheduler.scheduler"]
    levels = [logging.getLogger(name).level for name in names]
    yield
    for name, level in zip(names, levels, strict=True):
        logging.getLogger(name).setLevel(level)
