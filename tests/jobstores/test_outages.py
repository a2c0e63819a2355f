"""Servers that fail in the middle of the work: nothing is lost, nothing runs twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import again_and_again
from tests.jobstores.servers import Backend

runs: list[str] = []
runs_elsewhere: list[str] = []


def record(name: str) -> None:
    runs.append(name)


killers: dict[str, Callable[[], None]] = {}  # by the name of the server


def take_down(server: str) -> None:
    killers[server]()


@pytest.fixture
def scheduler(backend: Backend) -> ManualScheduler:
    """A scheduler with its jobs on the server, and others in memory."""
    runs.clear()
    runs_elsewhere.clear()
    scheduler = ManualScheduler(now="2030-01-01", jobstore_retry_interval=10)
    scheduler.add_jobstore(backend.make_store())
    scheduler.add_jobstore("memory", "elsewhere")
    scheduler.start()
    return scheduler


def error_of(action: Callable[[], object]) -> Exception | None:
    try:
        action()
    except Exception as exc:
        return exc

    return None


def test_jobs_that_came_due_while_the_server_was_down_run_once_when_it_is_back(
    backend: Backend, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"job {i}" for i in range(20)]
    for name in names:
        scheduler.add_job(record, "date", [name], run_date="2030-01-01 00:01:00")
    scheduler.add_job(record, "interval", ["each minute"], minutes=1, id="interval")
    scheduler.add_job(runs_elsewhere.append, "interval", ["x"], minutes=1, jobstore="elsewhere")

    # In the middle of a pass: these two have moved on, one runs and takes the server down.
    scheduler.add_job(take_down, "date", [backend.server.name], run_date="2030-01-01 00:00:30")
    scheduler.add_job(record, "date", ["handed over"], run_date="2030-01-01 00:00:30")
    killers[backend.server.name] = backend.server.kill
    scheduler.advance(65)
    assert runs == ["handed over"]
    runs.clear()
    assert runs_elsewhere == ["x"]
    assert any("default" in message and "failed" in message for message in caplog.messages)

    backend.server.restart()
    again_and_again(scheduler._jobstores["default"].get_next_run_time)
    scheduler.advance(30)
    assert sorted(runs) == sorted([*names, "each minute"])

    scheduler.advance(60)
    assert sorted(runs) == sorted([*names, "each minute", "each minute"])
    assert [job.id for job in scheduler.get_jobs("default")] == ["interval"]
    scheduler.shutdown()


def test_an_unreachable_server_raises_the_error_of_its_driver(
    backend: Backend, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "interval", ["stored"], hours=1, id="stored")
    backend.server.kill()
    actions: list[Callable[[], object]] = [
        lambda: scheduler.add_job(record, "interval", ["new"], hours=1, id="new"),
        lambda: scheduler.add_jobs([{"func": record, "args": ["new"], "id": "new"}]),
        lambda: scheduler.get_job("stored"),
        lambda: scheduler.get_jobs("default"),
        lambda: scheduler.pause_job("stored"),
        lambda: scheduler.remove_job("stored"),
        lambda: scheduler.remove_all_jobs("default"),
    ]
    try:
        for number, action in enumerate(actions):
            error = error_of(action)
            assert error is not None, number
            assert not type(error).__module__.startswith("apscheduler"), number
            # "Not found" is one of these, and so is what a program may mistake for it.
            assert not isinstance(error, LookupError), number
    finally:
        backend.server.restart()

    store = scheduler._jobstores["default"]
    again_and_again(store.get_next_run_time)
    stored = store.lookup_job("stored")
    assert stored is not None
    assert stored.next_run_time is not None
    assert [job.id for job in store.get_all_jobs()] == ["stored"]
    scheduler.shutdown()


def test_a_server_that_is_down_at_the_start_is_an_error_and_the_next_start_works(
    backend: Backend,
) -> None:
    scheduler = ManualScheduler(now="2030-01-01")
    store = backend.make_store()
    scheduler.add_jobstore(store)
    scheduler.start()
    scheduler.add_job(record, "interval", ["kept"], hours=1, id="kept")
    scheduler.shutdown()

    scheduler.add_job(record, "interval", ["pending"], hours=2, id="pending")
    backend.server.kill()
    try:
        error = error_of(scheduler.start)
        assert error is not None
        assert not type(error).__module__.startswith("apscheduler")
        assert not scheduler.running
    finally:
        backend.server.restart()

    again_and_again(scheduler.start)
    assert [job.id for job in scheduler.get_jobs()] == ["kept", "pending"]
    runs.clear()
    scheduler.advance(timedelta(hours=1))
    assert runs == ["kept"]
    scheduler.shutdown()
