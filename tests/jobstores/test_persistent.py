"""What all stores share that write bytes, on SQLite and in real loops and processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from io import StringIO
from math import inf
from pathlib import Path
from threading import Event, Lock
from types import ModuleType
from typing import Any, cast

import pytest

from apscheduler.job import Job, add_function_alias
from apscheduler.jobstores.base import BaseJobStore, JobLookupError
from apscheduler.jobstores.etcd import EtcdJobStore
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.jobstores.zookeeper import ZooKeeperJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import NOW, record, running, runs, state_of

ran = Event()


def test_a_running_scheduler_wakes_up_when_a_function_gets_an_alias(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = ModuleType("module_that_goes_away")
    module.__dict__["run"] = ran.set
    monkeypatch.setitem(sys.modules, module.__name__, module)
    store = SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": store})
    scheduler.start(paused=True)
    scheduler.add_job(f"{module.__name__}:run", id="job")
    scheduler.shutdown()

    monkeypatch.delitem(sys.modules, module.__name__)
    scheduler.start()
    assert [id for id, _, _ in scheduler.get_unrestorable_jobs()] == ["job"]
    add_function_alias(f"{module.__name__}:run", f"{__name__}:run_by_alias")
    assert ran.wait(10)
    scheduler.shutdown()


def run_by_alias() -> None:
    ran.set()


class RacingStore(SQLAlchemyJobStore):
    """Is shared with a process that adds each job, or removes it, just before we add it."""

    def __init__(self, url: str, races: int) -> None:
        super().__init__(url)
        self.races = races

    def add_jobs(self, jobs: Sequence[Job]) -> None:
        if jobs and self.races:
            self.races -= 1
            super().add_jobs(jobs)
            try:
                super().add_jobs(jobs)
            finally:
                if self.races:  # and removes it again, before we replace it
                    self.remove_jobs([job.id for job in jobs])
        else:
            super().add_jobs(jobs)


@pytest.mark.parametrize("races", [1, 3])
def test_a_job_that_another_process_adds_at_the_same_time_is_replaced(
    tmp_path: Path, races: int
) -> None:
    store = RacingStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}", races)
    with running(store) as scheduler:
        scheduler.add_jobs(
            [
                {"func": record, "id": id, "trigger": "interval", "hours": 1, "name": "ours"}
                | {"replace_existing": True}
                for id in ("a", "b")
            ]
        )
        assert [(job.id, job.name) for job in scheduler.get_jobs()] == [
            ("a", "ours"),
            ("b", "ours"),
        ]
        assert store.races == 0


def store_with(scheduler: ManualScheduler, id: str, setting: str, value: object) -> None:
    """Let the only job of a store on SQL have a setting as other programs may have left it."""
    store = cast(SQLAlchemyJobStore, scheduler._jobstores["default"])
    state = state_of(scheduler, id, **{setting: value})
    with store.engine.begin() as connection:
        connection.execute(store.jobs_t.update().values(job_state=state))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("trigger", "interval"),
        ("executor", ["default"]),
        ("args", None),
        ("kwargs", [1]),
        ("name", 5),
        ("misfire_grace_time", "60"),
        ("max_instances", None),
        ("next_run_time", "soon"),
    ],
)
def test_a_job_with_a_setting_of_a_wrong_type_is_parked(setting: str, value: object) -> None:
    with running(SQLAlchemyJobStore("sqlite://")) as scheduler:
        scheduler.add_job(record, "date", ["broken"], run_date=NOW, id="broken")
        store_with(scheduler, "broken", setting, value)
        scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")

        scheduler.run_due()
        assert runs == ["good"]
        ((id, _, error),) = scheduler.get_unrestorable_jobs()
        assert id == "broken"
        assert f"stored {setting} is a {type(value).__name__}" in str(error)


@pytest.mark.parametrize(
    ("setting", "value"), [("misfire_grace_time", 0.5), ("args", ["run"]), ("coalesce", 1)]
)
def test_a_job_with_settings_that_3_x_let_pass_runs(setting: str, value: object) -> None:
    with running(SQLAlchemyJobStore("sqlite://")) as scheduler:
        scheduler.add_job(record, "date", ["run"], run_date=NOW, id="job")
        store_with(scheduler, "job", setting, value)

        scheduler.run_due()
        assert runs == ["run"]


def test_of_a_parked_job_and_one_that_is_not_the_second_is_removed_first() -> None:
    """All methods that look through the stores mean the same job."""
    with running(SQLAlchemyJobStore("sqlite://")) as scheduler:
        scheduler.add_job(record, "interval", minutes=1, id="job")
        store_with(scheduler, "job", "kwargs", "broken")
        scheduler.add_jobstore("memory", "second")
        scheduler.add_job(record, "interval", minutes=1, id="job", jobstore="second")

        scheduler.remove_job("job")
        assert scheduler.get_jobs() == []
        assert [id for id, _, _ in scheduler.get_unrestorable_jobs()] == ["job"]
        scheduler.remove_job("job")
        assert scheduler.get_unrestorable_jobs() == []
        with pytest.raises(JobLookupError):
            scheduler.remove_job("job")


def test_an_export_tells_how_many_jobs_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    with running(SQLAlchemyJobStore("sqlite://")) as scheduler:
        scheduler.add_job(record, "interval", minutes=1, id="broken")
        store_with(scheduler, "broken", "kwargs", "broken")
        scheduler.add_job(record, "interval", minutes=1, id="good")
        file = StringIO()
        scheduler.export_jobs(file)
        assert [job["id"] for job in json.loads(file.getvalue())["jobs"]] == ["good"]
        (warning,) = [entry.message for entry in caplog.records if entry.levelname == "WARNING"]
        assert "1 jobs that cannot be restored" in warning
        assert "get_unrestorable_jobs()" in warning

        scheduler.remove_job("broken")
        caplog.clear()
        scheduler.export_jobs(file)
        assert caplog.messages == []


class WithLock:
    """Can be stored once: when it is loaded, it makes what cannot be stored."""

    def __setstate__(self, state: object) -> None:
        self.lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {"a": 1, **vars(self)}


def test_a_job_that_cannot_be_stored_again_is_parked(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")) as scheduler:
        scheduler.add_job(record, "interval", ["good"], minutes=1, id="good")
        scheduler.add_job(record, "interval", [WithLock()], minutes=1, id="once")
        with pytest.raises(TypeError, match="pickle"):
            scheduler.modify_job("good", args=[Lock()])
        scheduler.advance(60)
        assert runs == ["good"]
        ((id, _, error),) = scheduler.get_unrestorable_jobs()
        assert id == "once"
        assert "lock" in str(error)

        caplog.clear()
        scheduler.advance(600)
        assert runs == ["good"] * 11
        assert caplog.messages == []
        scheduler.add_job(record, "date", ["replaced"], id="once", replace_existing=True)
        scheduler.run_due()
        assert runs[-1] == "replaced"


@pytest.mark.parametrize("never", [1e13, 1e20, inf])
def test_a_stored_time_beyond_the_calendar_is_none(never: float) -> None:
    with running(SQLAlchemyJobStore("sqlite://")) as scheduler:
        scheduler.add_job(record, "interval", minutes=1, id="never")
        store = cast(SQLAlchemyJobStore, scheduler._jobstores["default"])
        with store.engine.begin() as connection:
            connection.execute(store.jobs_t.update().values(next_run_time=never))
        assert store.get_next_run_time() is None
        assert store.get_next_run_time_after(NOW) is None

        scheduler.add_job(record, "interval", ["good"], minutes=1)
        assert scheduler.run_due() == 60
        scheduler.advance(60)
        assert runs == ["good"]


def test_a_scheduler_that_is_not_started_lists_no_broken_jobs(tmp_path: Path) -> None:
    scheduler = ManualScheduler(now=NOW)
    scheduler.add_jobstore(SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}"))
    assert scheduler.get_unrestorable_jobs() == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:.*MongoClient opened before fork:UserWarning")
@pytest.mark.parametrize(
    ("server", "store_class"),
    [
        ("postgresql", SQLAlchemyJobStore),
        ("mariadb", SQLAlchemyJobStore),
        ("redis_server", RedisJobStore),
        ("mongodb", MongoDBJobStore),
        ("zookeeper", ZooKeeperJobStore),
        ("etcd", EtcdJobStore),
    ],
)
def test_after_a_fork_parent_and_child_have_connections_of_their_own(
    server: str, store_class: Callable[..., BaseJobStore], request: pytest.FixtureRequest
) -> None:
    place = request.getfixturevalue(server).fresh()
    scheduler = BackgroundScheduler(timezone="UTC", jobstores={"default": store_class(**place)})
    scheduler.start(paused=True)
    scheduler.add_job(record, "interval", hours=1, id="of the parent")

    child = os.fork()
    if child == 0:
        code = 1
        try:
            scheduler.start(paused=True)
            scheduler.add_job(record, "interval", hours=1, id="of the child")
            found = {job.id for job in scheduler.get_jobs()}
            scheduler.shutdown()
            code = 0 if found == {"of the parent", "of the child"} else 2
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert {job.id for job in scheduler.get_jobs()} == {"of the parent", "of the child"}
    scheduler.shutdown()


@pytest.mark.parametrize(
    ("module", "package"),
    [
        ("sqlalchemy", "sqlalchemy"),
        ("redis", "redis"),
        ("mongodb", "pymongo"),
        ("zookeeper", "kazoo"),
        ("etcd", "etcd3"),
    ],
)
def test_a_missing_package_is_named_with_its_extra(
    module: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for name in [name for name in sys.modules if name.startswith(f"{package}.")]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f"apscheduler.jobstores.{module}", raising=False)
    with pytest.raises(ImportError, match=rf"pip install apscheduler\[{module}\]"):
        import_module(f"apscheduler.jobstores.{module}")
