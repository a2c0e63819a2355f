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
