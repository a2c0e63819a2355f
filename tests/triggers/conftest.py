"""How many examples the property tests of the triggers try."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

HERE = Path(__file__).parent
EXHAUSTIVE = os.environ.get("APSCHEDULER_TEST_EXHAUSTIVE") == "1"

settings.register_profile(
    "triggers",
    max_examples=10_000 if EXHAUSTIVE else 150,
    deadline=None,  # the machines of CI are slow now and then
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("triggers")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lift the limit of time for one test when it tries thousands of examples."""
    if EXHAUSTIVE:
        for item in items:
            if item.path.parent == HERE:
                item.add_marker(pytest.mark.timeout(0))
