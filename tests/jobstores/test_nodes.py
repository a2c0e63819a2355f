"""ZooKeeper and etcd: their nodes, and the run times that the stores keep in memory."""

from __future__ import annotations

import pickle
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import etcd3
import pytest
from kazoo.client import TransactionRequest

from apscheduler.jobstores.etcd import EtcdJobStore
from apscheduler.jobstores.zookeeper import ZooKeeperJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import (
    HOUR,
    NOW,
    again_and_again,
    many_due_jobs,
    record,
    running,
    runs,
)
from tests.servers import Etcd, ZooKeeper


class Nodes:
    """Reads and writes nodes beside the store, with a client of its own."""

    def __init__(self, place: dict[str, Any], client: Any) -> None:
        self.path = place["path"]
        self.client = client

    def read(self) -> dict[str, bytes]:
        if hasattr(self.client, "get_children"):
            names = self.client.get_children(self.path)
            return {name: self.client.get(f"{self.path}/{name}")[0] for name in names}

        start = len(self.path) + 1
        found = self.client.get_prefix(self.path + "/")
        return {meta.key.decode()[start:]: value for value, meta in found}

    def write(self, name: str, data: bytes) -> None:
        if hasattr(self.client, "get_children"):
            self.client.ensure_path(f"{self.path}/{name}")
            self.client.set(f"{self.path}/{name}", data)
        else:
            self.client.put(f"{self.path}/{name}", data)

    def delete(self, name: str) -> None:
        self.client.delete(f"{self.path}/{name}")


@pytest.fixture(params=["zookeeper", "etcd"])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def place(kind: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    server: ZooKeeper | Etcd = request.getfixturevalue(kind)
    return server.fresh()


@pytest.fixture
def store(kind: str, place: dict[str, Any]) -> ZooKeeperJobStore | EtcdJobStore:
    return ZooKeeperJobStore(**place) if kind == "zookeeper" else EtcdJobStore(**place)


@pytest.fixture
def scheduler(store: ZooKeeperJobStore | EtcdJobStore) -> Iterator[ManualScheduler]:
    with running(store) as scheduler:
        yield scheduler


@pytest.fixture
def client(kind: str, place: dict[str, Any]) -> Iterator[Any]:
    if kind == "zookeeper":
        from kazoo.client import KazooClient

        client = KazooClient(place["hosts"])
        client.start()
        yield client
        client.stop()
        client.close()
    else:
        with etcd3.client(place["host"], place["port"]) as client:
            yield client


@pytest.fixture
def nodes(place: dict[str, Any], client: Any) -> Nodes:
    return Nodes(place, client)


def test_the_layout_is_that_of_3_x(scheduler: ManualScheduler, nodes: Nodes) -> None:
    scheduler.add_job(record, "date", run_date=NOW + HOUR, id="ünïcödé")
    scheduler.add_job(record, "interval", hours=1, id="paused", next_run_time=None)

    found = {name: pickle.loads(data) for name, data in nodes.read().items()}
    assert {name: node["next_run_time"] for name, node in found.items()} == {
        "ünïcödé": (NOW + HOUR).timestamp(),
        "paused": None,
    }
    state = found["ünïcödé"]["job_state"]
    assert (state["version"], state["id"], state["next_run_time"]) == (1, "ünïcödé", NOW + HOUR)


def test_what_others_write_is_noticed(
    store: ZooKeeperJobStore | EtcdJobStore, scheduler: ManualScheduler, nodes: Nodes
) -> None:
    scheduler.add_job(record, "date", run_date=NOW + HOUR, id="job")
    assert store.get_next_run_time() == NOW + HOUR
    node = pickle.loads(nodes.read()["job"])

    node["job_state"].update(id="other", next_run_time=NOW)
    nodes.write("other", pickle.dumps(node))
    assert eventually(store, NOW)
    node["job_state"].update(next_run_time=NOW + 3 * HOUR)
    nodes.write("other", pickle.dumps(node))
    assert eventually(store, NOW + HOUR)
    nodes.delete("job")
    assert eventually(store, NOW + 3 * HOUR)
    nodes.delete("other")
    assert eventually(store, None)


def test_a_job_that_the_store_has_added_is_watched_like_any_other(
    store: ZooKeeperJobStore | EtcdJobStore, scheduler: ManualScheduler, nodes: Nodes
) -> None:
    assert store.get_next_run_time() is None  # from here on, the store knows what is there
    scheduler.add_job(record, "date", run_date=NOW + HOUR, id="job")
    assert store.get_next_run_time() == NOW + HOUR

    node = pickle.loads(nodes.read()["job"])
    for time_of_others in (NOW + HOUR / 2, NOW):
        node["job_state"].update(next_run_time=time_of_others)
        nodes.write("job", pickle.dumps(node))
        assert eventually(store, time_of_others)


def eventually(store: ZooKeeperJobStore | EtcdJobStore, answer: datetime | None) -> bool:
    """Ask until the answer is right: ZooKeeper tells of changes a moment later."""
    deadline = time.monotonic() + 10
    while store.get_next_run_time() != answer:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)

    return True


def test_damaged_nodes_are_kept_and_do_not_disturb(
    store: ZooKeeperJobStore | EtcdJobStore, scheduler: ManualScheduler, nodes: Nodes
) -> None:
    scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")
    nodes.write("garbage", b"garbage")
    nodes.write("no state", pickle.dumps({"next_run_time": 0.0}))

    assert store.get_next_run_time() == NOW
    scheduler.run_due()
    assert runs == ["good"]
    assert {id for id, _ in store.get_unrestorable_jobs()} == {"garbage", "no state"}
    assert nodes.read() == {
        "garbage": b"garbage",
        "no state": pickle.dumps({"next_run_time": 0.0}),
    }


def test_two_thousand_due_jobs_are_written_in_some_transactions(
    store: ZooKeeperJobStore | EtcdJobStore,
    scheduler: ManualScheduler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_due_jobs(scheduler, 2000)
    scheduler._clock += HOUR
    transactions: list[object] = []
    transaction = store.client.transaction

    def counting(*args: Any, **kwargs: Any) -> Any:
        transactions.append(None)
        return transaction(*args, **kwargs)

    monkeypatch.setattr(store.client, "transaction", counting)
    scheduler.run_due()
    assert len(runs) == 2000
    assert len(transactions) <= 40  # etcd takes 128 keys in one


def test_a_job_that_is_too_large_takes_the_others_with_it(
    kind: str, scheduler: ManualScheduler, nodes: Nodes
) -> None:
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    large = {**settings, "id": "large", "args": ["x" * 2_000_000]}
    jobs = [{**settings, "id": str(i)} for i in range(600)]
    limit = r'"large" takes 20\d+ bytes.*at most 10\d+' if kind == "zookeeper" else "too large"
    with pytest.raises(Exception, match=limit):
        scheduler.add_jobs([*jobs, large])
    assert nodes.read() == {}

    scheduler.add_job(**{**large, "args": ["x" * 1_040_000]})
    assert list(nodes.read()) == ["large"]
    with pytest.raises(Exception, match=limit):
        scheduler.modify_job("large", args=large["args"])


def test_an_error_in_the_middle_takes_back_what_was_added(
    store: ZooKeeperJobStore | EtcdJobStore,
    scheduler: ManualScheduler,
    nodes: Nodes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    transaction = store.client.transaction
    answers = iter([transaction, None])  # the second one fails; those that follow do not

    def failing(*args: Any, **kwargs: Any) -> Any:
        if next(answers, transaction) is None:
            raise ConnectionError("The second transaction failed")
        return transaction(*args, **kwargs)

    monkeypatch.setattr(store.client, "transaction", failing)
    with pytest.raises(ConnectionError, match="second"):
        scheduler.add_jobs(
            [{"func": record, "trigger": "interval", "hours": 1} for _ in range(600)]
        )
    assert nodes.read() == {}


@pytest.mark.parametrize("which", [1, 2])
def test_when_an_answer_is_lost_the_store_looks_whether_the_nodes_are_there(
    store: ZooKeeperJobStore | EtcdJobStore,
    scheduler: ManualScheduler,
    monkeypatch: pytest.MonkeyPatch,
    which: int,
) -> None:
    """What is lost is the answer to the first or the second transaction."""
    owner, name = (
        (store.client, "transaction")
        if isinstance(store, EtcdJobStore)
        else (TransactionRequest, "commit_async")
    )
    commit = getattr(owner, name)
    commits: list[None] = []

    def losing(*args: Any, **kwargs: Any) -> Any:
        commits.append(None)
        answer = commit(*args, **kwargs)
        if len(commits) != which:
            return answer
        if isinstance(store, ZooKeeperJobStore):
            answer.get()
        raise ConnectionError("The answer was lost")

    monkeypatch.setattr(owner, name, losing)
    scheduler.add_jobs([{"func": record, "trigger": "interval", "hours": 1} for _ in range(600)])
    assert len(scheduler.get_jobs()) == 600
    assert len(commits) >= 2


def test_a_client_that_takes_no_large_answers_reads_many_large_jobs(etcd: Etcd) -> None:
    """It is what a client does that was made without options: 4 MB are too much for it."""
    place = etcd.fresh()
    path = place.pop("path")
    with etcd3.client(**place) as client:
        with running(EtcdJobStore(path=path, client=client)) as scheduler:
            for i in range(12):
                scheduler.add_job(measure, "interval", [b"x" * 400_000], hours=1, id=f"{i:02}")
            assert [job.id for job in scheduler.get_jobs()] == [f"{i:02}" for i in range(12)]
            scheduler.advance(HOUR)
            assert runs == [400_000] * 12

        with running(EtcdJobStore(path=path, client=client)) as scheduler:  # that knows of none
            assert scheduler.get_jobs()[0].next_run_time == NOW + 2 * HOUR
            scheduler.advance(2 * HOUR)
            assert runs == [400_000] * 12


def measure(data: bytes) -> None:
    runs.append(len(data))


def test_an_older_snapshot_that_is_put_back_is_noticed(etcd: Etcd) -> None:
    place = etcd.fresh()
    store = EtcdJobStore(**place)
    with running(store) as scheduler:
        scheduler.add_job(record, "date", run_date=NOW + HOUR, id="job")
        with etcd.put_back():
            again_and_again(store.get_next_run_time)
            scheduler.modify_job("job", next_run_time=NOW + 2 * HOUR)
            scheduler.add_job(record, "date", run_date=NOW + 3 * HOUR, id="later")
            assert store.get_next_run_time() == NOW + 2 * HOUR
        again_and_again(store.get_next_run_time)
        assert store.get_next_run_time() == NOW + HOUR
        assert [job.id for job in store.get_due_jobs(NOW + 5 * HOUR)] == ["job"]


def test_nothing_is_read_again_while_nothing_changes(
    store: ZooKeeperJobStore | EtcdJobStore,
    scheduler: ManualScheduler,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_due_jobs(scheduler, 500)
    assert store.get_next_run_time() == NOW + HOUR
    restored: list[object] = []
    load = type(store)._reconstitute_job

    def counting(self: Any, job_state: Any) -> Any:
        restored.append(None)
        return load(self, job_state)

    monkeypatch.setattr(type(store), "_reconstitute_job", counting)
    for _ in range(10):
        assert store.get_due_jobs(NOW) == []
    assert restored == []
    assert store.get_next_run_time() == NOW + HOUR
    assert len(restored) == 1


def test_etcd_looks_through_its_keys_only_if_somebody_has_written_something(
    etcd: Etcd, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = etcd.fresh()
    store = EtcdJobStore(**place)
    with running(store) as scheduler, running(EtcdJobStore(**place)) as other:
        many_due_jobs(scheduler, 100)
        assert store.get_next_run_time() == NOW + HOUR
        looks: list[object] = []
        ask = store.client.get_range_response

        def noting(start: Any, end: Any, **options: Any) -> Any:
            if end is not None:
                looks.append(start)
            return ask(start, end, **options)

        monkeypatch.setattr(store.client, "get_range_response", noting)
        for _ in range(5):
            assert store.get_due_jobs(NOW) == []
            assert store.get_next_run_time() == NOW + HOUR
        assert looks == []

        other.modify_job("job 7", next_run_time=NOW)
        assert [job.id for job in store.get_due_jobs(NOW)] == ["job 7"]
        assert len(looks) == 1


def test_the_list_of_jobs_tells_time_and_state(
    store: ZooKeeperJobStore | EtcdJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "interval", hours=1, id="paused", next_run_time=None)
    job = scheduler.add_job(record, "interval", hours=1, id="job")
    first, second = store._get_jobs()
    assert (first["job_id"], first["next_run_time"]) == ("job", (NOW + HOUR).timestamp())
    assert (first["job"], first["job_state"]["name"]) == (job, "record")
    assert (second["job_id"], second["next_run_time"]) == ("paused", None)


def test_a_client_that_is_given_stays_open_unless_it_is_to_be_closed(
    kind: str, place: dict[str, Any], client: Any
) -> None:
    store_class: Any = ZooKeeperJobStore if kind == "zookeeper" else EtcdJobStore
    with running(store_class(path=place["path"], client=client)) as scheduler:
        scheduler.add_job(record, "interval", hours=1)
    assert is_open(client, place)

    with running(store_class(path=place["path"], client=client, close_connection_on_exit=True)):
        pass
    assert not is_open(client, place)

    own = store_class(**place)
    with running(own) as scheduler:
        assert len(scheduler.get_jobs()) == 1
    assert not is_open(own.client, place)


def is_open(client: Any, place: dict[str, Any]) -> bool:
    try:
        if hasattr(client, "exists"):
            client.exists(place["path"])
        else:
            client.get(place["path"])
    except Exception:
        return False

    return True


def test_the_path_must_not_be_empty(kind: str) -> None:
    store_class: Any = ZooKeeperJobStore if kind == "zookeeper" else EtcdJobStore
    with pytest.raises(ValueError, match="path"):
        store_class(path="")
