"""What tests of faults share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing: thousands of injected faults would take longer to format than to get over."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


class FailingHandler(logging.Handler):
    """Raises, as some handlers do while the server that they send to is down."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("the log cannot be written")


@pytest.fixture
def failing_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail to log anything at all."""
    monkeypatch.setattr(logging, "raiseExceptions", False)  # thousands of them are not shown
    logger, handler = logging.getLogger("apscheduler"), FailingHandler()
    level = logger.level
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    yield
    logger.removeHandler(handler)
    logger.setLevel(level)
