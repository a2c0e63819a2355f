"""The jobs of the shop."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.contrib.sessions.models import Session
from django.db import close_old_connections
from django.utils import timezone

P = ParamSpec("P")
R = TypeVar("R")


def with_fresh_connections(func: Callable[P, R]) -> Callable[P, R]:
    """
    Do for a job what Django does for a request: drop database connections that are of no use.

    Each thread of the pool keeps a connection. Django closes old ones around requests only.
    """

    @wraps(func)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        close_old_connections()
        try:
            return func(*args, **kwargs)
        finally:
            close_old_connections()

    return run


@with_fresh_connections
def clear_sessions() -> int:
    deleted, _ = Session.objects.filter(expire_date__lt=timezone.now()).delete()
    print(f"Deleted {deleted} sessions", flush=True)
    return int(deleted)
