"""Help for tests: a scheduler whose clock the test moves, and suites that plugins have to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._manual import ManualScheduler

if TYPE_CHECKING:
    from ._jobstores import JobStoreContract, PersistentJobStoreContract
    from ._schedulers import SchedulerContract

__all__ = (
    "JobStoreContract",
    "ManualScheduler",
    "PersistentJobStoreContract",
    "SchedulerContract",
)

_SUITES = {
    "JobStoreContract": "_jobstores",
    "PersistentJobStoreContract": "_jobstores",
    "SchedulerContract": "_schedulers",
}


def __getattr__(name: str) -> Any:
    # The suites need pytest, which those who only want the scheduler need not have.
    if name not in _SUITES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from importlib import import_module

    import pytest

    module = f"{__name__}.{_SUITES[name]}"
    pytest.register_assert_rewrite(module)
    return getattr(import_module(module), name)
