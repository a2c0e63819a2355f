"""Jobs run on a Tornado IOLoop."""

from __future__ import annotations

from functools import partial
from typing import Any

from .asyncio import AsyncIOExecutor

try:
    from tornado.gen import is_coroutine_function
except ImportError as exc:  # pragma: no cover
    raise ImportError("TornadoExecutor needs Tornado: pip install apscheduler[tornado]") from exc


class TornadoExecutor(AsyncIOExecutor):
    """
    Runs coroutines, native ones and Tornado's, on the IOLoop, and other functions in threads.

    :param max_workers: how many functions that are no coroutines may run at once
    """

    def __init__(self, max_workers: int = 10) -> None:
        super().__init__(max_workers)

    def _is_coroutine_function(self, func: Any) -> bool:
        inner = func
        while isinstance(inner, partial):
            inner = inner.func

        return super()._is_coroutine_function(func) or bool(is_coroutine_function(inner))
