from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient, monitoring
from pymongo.errors import AutoReconnect, PyMongoError

from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import HOUR, NOW, many_due_jobs, record, running, runs
from tests.servers import MongoDB


class Commands(monitoring.CommandListener):
    """Takes note of what is sent to the server."""

    def __init__(self) -> None:
        self.sent: list[Any] = []

    def started(self, event: Any) -> None:
        self.sent.append(event.command)

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


@pytest.fixture
def place(mongodb: MongoDB) -> dict[str, Any]:
    return mongodb.fresh()


@pytest.fixture
def commands() -> Commands:
    return Commands()


@pytest.fixture
def store(place: dict[str, Any], commands: Commands) -> MongoDBJobStore:
    return MongoDBJobStore(event_listeners=[commands], **place)


@pytest.fixture
def scheduler(store: MongoDBJobStore) -> Iterator[ManualScheduler]:
    with running(store) as scheduler:
        yield scheduler


def test_the_layout_is_that_of_3_x(
    place: dict[str, Any], store: MongoDBJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "date", run_date=NOW + HOUR, id="job")
    scheduler.add_job(record, "interval", hours=1, id="paused", next_run_time=None)

    assert (store.collection.database.name, store.collection.name) == (place["database"], "jobs")
    documents = {document.pop("_id"): document for document in store.collection.find()}
    assert {id: set(found) for id, found in documents.items()} == {
        "job": {"next_run_time", "job_state"},
        "paused": {"next_run_time", "job_state"},
    }
    assert documents["job"]["next_run_time"] == (NOW + HOUR).timestamp()
    assert documents["paused"]["next_run_time"] is None


def test_a_pass_over_two_thousand_due_jobs_takes_a_handful_of_commands(
    scheduler: ManualScheduler, commands: Commands
) -> None:
    many_due_jobs(scheduler, 2000)
    scheduler._clock += HOUR
    commands.sent.clear()
    scheduler.run_due()
    assert len(runs) == 2000
    assert 3 <= len([c for c in commands.sent if "getMore" not in c]) <= 6


def test_a_hundred_thousand_jobs_are_searched_by_the_index(
    store: MongoDBJobStore, scheduler: ManualScheduler, commands: Commands
) -> None:
    store.collection.insert_many(
        {"_id": f"row {i}", "next_run_time": 4e9 + i, "job_state": b"unread"}
        for i in range(100_000)
    )
    scheduler.add_job(record, "date", ["due"], run_date=NOW, id="due")
    scheduler.add_job(record, "interval", hours=1, id="next")

    commands.sent.clear()
    assert [job.id for job in store.get_due_jobs(NOW)] == ["due"]
    assert store.get_next_run_time() == NOW
    assert store.get_next_run_time_after(NOW) == NOW + HOUR
    finds = [dict(command) for command in commands.sent]
    assert len(finds) == 3
    for find in finds:
        query = {name: find[name] for name in ("find", "filter", "sort", "limit") if name in find}
        told = store.collection.database.command({"explain": query, "verbosity": "executionStats"})
        assert told["executionStats"]["totalDocsExamined"] == 1


def test_of_many_jobs_only_ours_are_taken_back_when_an_id_is_taken(
    store: MongoDBJobStore, scheduler: ManualScheduler
) -> None:
    for name in ("a", "m"):
        scheduler.add_job(record, "interval", hours=1, id=name, name="first")
    with pytest.raises(ConflictingIdError):
        scheduler.add_jobs(
            [{"func": record, "trigger": "interval", "hours": 1, "id": id} for id in "bmc"]
        )
    assert sorted(job.id for job in scheduler.get_jobs()) == ["a", "m"]


@pytest.mark.parametrize("chunk", [1000, 400])
def test_a_document_that_is_too_large_takes_the_others_with_it(
    store: MongoDBJobStore,
    scheduler: ManualScheduler,
    monkeypatch: pytest.MonkeyPatch,
    chunk: int,
) -> None:
    monkeypatch.setattr("apscheduler.jobstores.mongodb.CHUNK_DOCUMENTS", chunk)
    scheduler.add_job(record, "interval", hours=1, id="kept")
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    jobs = [{**settings, "id": str(i)} for i in range(600)]
    with pytest.raises(PyMongoError, match="BSON"):  # by the server or the driver
        scheduler.add_jobs([*jobs, {**settings, "args": ["x" * 17_000_000]}])
    assert [job.id for job in scheduler.get_jobs()] == ["kept"]


@pytest.mark.parametrize("landed", [True, False])
def test_when_an_answer_is_lost_the_store_looks_whether_the_documents_are_there(
    store: MongoDBJobStore,
    scheduler: ManualScheduler,
    monkeypatch: pytest.MonkeyPatch,
    landed: bool,
) -> None:
    insert = store.collection.insert_many
    calls: list[int] = []

    def losing_the_second_answer(documents: Any) -> Any:
        calls.append(len(documents))
        if len(calls) != 2:
            return insert(documents)
        if landed:
            insert(documents)
        raise AutoReconnect("The answer was lost")

    monkeypatch.setattr(store.collection, "insert_many", losing_the_second_answer)
    monkeypatch.setattr("apscheduler.jobstores.mongodb.CHUNK_DOCUMENTS", 10)
    jobs = [{"func": record, "trigger": "interval", "hours": 1} for _ in range(30)]
    if landed:
        scheduler.add_jobs(jobs)
    else:
        with pytest.raises(AutoReconnect, match="lost"):
            scheduler.add_jobs(jobs)
    assert calls == ([10, 10, 10] if landed else [10, 10])
    assert len(scheduler.get_jobs()) == (30 if landed else 0)


def test_documents_that_landed_before_the_connection_broke_are_taken_back(
    store: MongoDBJobStore, scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    insert = store.collection.insert_many

    def breaking(documents: Any) -> Any:
        insert(documents[:10])
        raise AutoReconnect("The server died in the middle")

    specs = [{"func": record, "trigger": "interval", "hours": 1, "id": f"{i}"} for i in range(20)]
    scheduler.add_job(**specs[15], name="of others")
    with monkeypatch.context() as patch:
        patch.setattr(store.collection, "insert_many", breaking)
        with pytest.raises(AutoReconnect, match="middle"):
            scheduler.add_jobs(specs)
    assert [job.name for job in scheduler.get_jobs()] == ["of others"]


def test_jobs_that_others_remove_at_the_same_time_are_told_as_missing(
    store: MongoDBJobStore, scheduler: ManualScheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_due_jobs(scheduler, 3)
    remove = store.collection.bulk_write

    def later(*args: Any, **kwargs: Any) -> Any:
        store.collection.delete_many({})  # by another process, after we have looked
        return remove(*args, **kwargs)

    monkeypatch.setattr(store.collection, "bulk_write", later)
    ids = [f"job {i}" for i in range(3)]
    assert store.remove_jobs(ids) == ids


def test_a_run_time_that_was_changed_by_hand_says_whether_the_job_is_paused(
    store: MongoDBJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "interval", hours=1, id="stopped")
    scheduler.add_job(record, "interval", hours=1, id="started", next_run_time=None)
    by_hand = {"stopped": None, "started": (NOW + HOUR / 2).timestamp()}
    for id, time in by_hand.items():
        store.collection.update_one({"_id": id}, {"$set": {"next_run_time": time}})

    assert store.get_next_run_time() == NOW + HOUR / 2
    times = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    assert times == {"stopped": None, "started": NOW + HOUR / 2}
    assert [job.id for job in store.get_due_jobs(NOW + HOUR)] == ["started"]


def test_a_server_that_hangs_is_given_up_unless_another_time_is_given(
    place: dict[str, Any],
) -> None:
    def seconds(**arguments: Any) -> Any:
        with MongoDBJobStore(**{**place, **arguments}).client as client:
            return client.options.pool_options.socket_timeout

    assert seconds() == 30
    assert seconds(sockettimeoutms=7000) == 7
    assert seconds(host=f"{place['host']}&socketTimeoutMS=8000") == 8


def test_damaged_documents_are_kept_and_do_not_disturb(
    store: MongoDBJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")
    early = NOW.timestamp() - 1
    damaged = [
        {"_id": "garbage", "next_run_time": early, "job_state": b"garbage"},
        {"_id": "without a state", "next_run_time": early},
        {"_id": "a dict", "next_run_time": early, "job_state": {"id": "a dict"}},
        {"_id": "text", "next_run_time": early, "job_state": "text"},
    ]
    store.collection.insert_many(damaged)

    assert store.get_next_run_time() == NOW
    scheduler.run_due()
    assert runs == ["good"]
    assert store.get_next_run_time() is None
    assert store.lookup_job("a dict") is None
    errors = dict(store.get_unrestorable_jobs())
    assert errors.keys() == {document["_id"] for document in damaged}
    assert str(errors["text"]) == "job_state holds no bytes but 'text'"
    assert list(store.collection.find(sort=[("$natural", 1)])) == damaged


def test_a_client_that_is_given_stays_open_and_one_that_was_made_is_closed(
    place: dict[str, Any],
) -> None:
    client: MongoClient[Any] = MongoClient(place["host"])
    given = MongoDBJobStore(client=client, database=place["database"])
    assert given.connection is given.client is client
    with running(given) as scheduler:
        scheduler.add_job(record, "interval", hours=1)
    assert client.admin.command("ping")["ok"]
    client.close()

    own = MongoDBJobStore(**place)
    with running(own):
        made = own.client
    with pytest.raises(Exception, match="after close"):
        made.admin.command("ping")


def test_names_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="collection"):
        MongoDBJobStore(collection="")
