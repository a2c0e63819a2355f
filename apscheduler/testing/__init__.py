"""Help for tests: a scheduler whose clock the test moves, and suites that plugins have to pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._manual import ManualScheduler

if TYPE_CHECKING:
    from ._jobstores import JobStoreContract, PersistentJobStoreContract

__all__ = ("JobStoreContract", "ManualScheduler", "PersistentJobStoreContract")


def __getattr__(name: str) -> Any:
    # The suites need pytest, which those who only want the scheduler need not have.
    if name not in ("JobStoreContract", "PersistentJobStoreContract"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    import pytest

    pytest.register_assert_rewrite(f"{__name__}._jobstores")
    from . import _jobstores

    return getattr(_jobstores, name)
