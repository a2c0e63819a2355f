"""Schedulers as context managers."""

from __future__ import annotations

from typing import TypeVar

from .base import BaseScheduler

Self = TypeVar("Self", bound="WithBlock")


class WithBlock(BaseScheduler):
    """Lets a scheduler whose start() returns at once run for as long as a ``with`` block does."""

    def __enter__(self: Self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self.running:  # it may have been shut down already
            self.shutdown()
