"""How often the stores ask their servers when many jobs are concerned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import monitoring
from redis import Connection
from sqlalchemy import event

from apscheduler.jobstores.etcd import EtcdJobStore
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.jobstores.persistent import PersistentJobStore
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import HOUR, NOW, many_due_jobs, record, runs

COUNT = 2000
# Redis has a connection to set up and scripts to load, and etcd takes 128 keys in a request.
FEW = range(2, 50)

SPECS: list[dict[str, Any]] = [
    {"func": record, "trigger": "interval", "hours": 1, "id": f"{i}", "replace_existing": True}
    for i in range(COUNT)
]

trips: list[object] = []


class Commands(monitoring.CommandListener):
    def started(self, event: Any) -> None:
        trips.append(event.command_name)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def noting(method: Callable[..., Any]) -> Callable[..., Any]:
    def noting_method(*args: Any, **kwargs: Any) -> Any:
        trips.append(method)
        return method(*args, **kwargs)

    return noting_method


@pytest.fixture(params=["sqlite", "redis_server", "mongodb", "etcd"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def store(
    kind: str,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> PersistentJobStore:
    """Return a store over each kind of server; ``trips`` tells what it asks for."""
    if kind == "sqlite":
        sql = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
        event.listen(sql.engine, "before_cursor_execute", lambda *args: trips.append(args[2]))
        return sql

    place = request.getfixturevalue(kind).fresh()
    if kind == "mongodb":
        return MongoDBJobStore(event_listeners=[Commands()], **place)
    if kind == "redis_server":
        sent = noting(Connection.send_packed_command)
        monkeypatch.setattr(Connection, "send_packed_command", sent)
        return RedisJobStore(**place)

    etcd = EtcdJobStore(**place)
    client = type(etcd.client)  # the store makes another one when it is started again
    for name in ("transaction", "get_range_response"):
        monkeypatch.setattr(client, name, noting(getattr(client, name)))
    return etcd


@pytest.fixture
def scheduler(store: PersistentJobStore) -> Iterator[ManualScheduler]:
    runs.clear()
    scheduler = ManualScheduler(now=NOW)
    scheduler.add_jobstore(store)
    yield scheduler
    with suppress(Exception):
        scheduler.shutdown()


def trips_of(action: Callable[[], object]) -> int:
    trips.clear()
    action()
    return len(trips)


def test_two_thousand_jobs_are_looked_up_and_then_added_or_replaced_together(
    scheduler: ManualScheduler,
) -> None:
    scheduler.start()
    for _ in range(2):
        assert trips_of(lambda: scheduler.add_jobs(SPECS)) in FEW
    assert len(scheduler.get_jobs()) == COUNT


def test_two_thousand_pending_jobs_are_looked_up_together_at_the_start(
    scheduler: ManualScheduler,
) -> None:
    scheduler.start()
    scheduler.add_jobs(SPECS)
    scheduler.shutdown()
    for spec in SPECS:
        scheduler.add_job(**spec)

    assert trips_of(scheduler.start) in FEW
    assert len(scheduler.get_jobs()) == COUNT


def test_two_thousand_due_jobs_are_moved_on_together(
    scheduler: ManualScheduler,
) -> None:
    scheduler.start()
    many_due_jobs(scheduler, COUNT)
    scheduler._clock += HOUR
    assert trips_of(scheduler.run_due) in FEW
    assert len(runs) == COUNT
