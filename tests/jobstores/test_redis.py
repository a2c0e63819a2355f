from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from redis import ConnectionPool
from redis import Redis as Client
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError
from redis.retry import Retry

from apscheduler.jobstores.base import UnrestorableJobError
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import HOUR, NOW, record, running, runs
from tests.jobstores.proxy import Proxy
from tests.servers import Redis

SECOND = timedelta(seconds=1)


@pytest.fixture
def place(redis_server: Redis) -> dict[str, Any]:
    return redis_server.fresh()


@pytest.fixture
def store(place: dict[str, Any]) -> RedisJobStore:
    return RedisJobStore(**place)


@pytest.fixture
def scheduler(store: RedisJobStore) -> Iterator[ManualScheduler]:
    with running(store) as scheduler:
        yield scheduler


@pytest.fixture
def client(place: dict[str, Any]) -> Iterator[Any]:
    with Client(**place) as client:
        yield client


def test_the_layout_is_that_of_3_x(scheduler: ManualScheduler, client: Any) -> None:
    scheduler.add_job(record, "date", run_date=NOW + HOUR, id="ünïcödé")
    scheduler.add_job(record, "interval", hours=1, id="paused", next_run_time=None)

    assert sorted(client.keys()) == [b"apscheduler.jobs", b"apscheduler.run_times"]
    assert set(client.hkeys("apscheduler.jobs")) == {"ünïcödé".encode(), b"paused"}
    times = client.zrange("apscheduler.run_times", 0, -1, withscores=True)
    assert [tuple(entry) for entry in times] == [("ünïcödé".encode(), (NOW + HOUR).timestamp())]


def test_damaged_bytes_and_times_without_a_job_do_not_disturb(
    store: RedisJobStore, scheduler: ManualScheduler, client: Any
) -> None:
    scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")
    client.hset("apscheduler.jobs", b"\xff not UTF-8", b"garbage")
    for id in (b"\xff not UTF-8", b"without a state"):
        client.zadd("apscheduler.run_times", {id: NOW.timestamp() - 1})

    assert store.get_next_run_time() == NOW
    scheduler.run_due()
    assert runs == ["good"]
    assert store.get_next_run_time() is None
    assert [id for id, _ in store.get_unrestorable_jobs()] == ["\\xff not UTF-8"]
    assert client.hget("apscheduler.jobs", b"\xff not UTF-8") == b"garbage"


def test_a_run_time_without_a_job_is_none_of_a_job(
    store: RedisJobStore,
    scheduler: ManualScheduler,
    client: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")
    early = NOW.timestamp() - 1
    client.zadd("apscheduler.run_times", {f"without a job {i}": early for i in range(20)})
    for _ in range(2):
        assert store.get_next_run_time() == NOW
        assert [job.id for job in store.get_due_jobs(NOW)] == ["good"]
        assert [job.id for job in scheduler.get_jobs()] == ["good"]
    assert scheduler.get_unrestorable_jobs() == []
    assert caplog.messages == []
    assert client.zcard("apscheduler.run_times") == 21


def test_a_job_with_an_id_that_is_no_text_is_removed_by_what_stands_for_it(
    store: RedisJobStore, scheduler: ManualScheduler, client: Any
) -> None:
    client.hset("apscheduler.jobs", b"\xff", b"garbage")
    client.zadd("apscheduler.run_times", {b"\xff": NOW.timestamp()})
    assert store.remove_jobs(["\\xff"]) == ["\\xff"]  # nobody was told of it yet
    ((id, jobstore, _),) = scheduler.get_unrestorable_jobs()
    assert (id, jobstore) == ("\\xff", "default")

    with pytest.raises(UnrestorableJobError):
        scheduler.pause_job(id)

    scheduler.add_job(record, "date", run_date=NOW, id=id)
    scheduler.remove_job(id)
    assert client.hkeys("apscheduler.jobs") == [b"\xff"]
    scheduler.remove_job(id)
    assert client.keys() == []
    assert store.remove_jobs([id, "other"]) == [id, "other"]


def test_a_run_time_that_was_changed_by_hand_says_whether_the_job_is_paused(
    store: RedisJobStore, scheduler: ManualScheduler, client: Any
) -> None:
    scheduler.add_job(record, "interval", hours=1, id="stopped")
    scheduler.add_job(record, "interval", hours=1, id="started", next_run_time=None)
    client.zrem("apscheduler.run_times", "stopped")
    client.zadd("apscheduler.run_times", {"started": (NOW + HOUR / 2).timestamp()})

    assert store.get_next_run_time() == NOW + HOUR / 2
    times = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    assert times == {"stopped": None, "started": NOW + HOUR / 2}
    assert [job.id for job in store.get_due_jobs(NOW + HOUR)] == ["started"]
    stopped = scheduler.get_job("stopped")
    assert stopped is not None
    assert stopped.next_run_time is None


def test_keys_and_database_are_those_that_are_given(place: dict[str, Any], client: Any) -> None:
    with running(RedisJobStore(jobs_key="j", run_times_key="t", **place)) as scheduler:
        scheduler.add_job(record, "interval", hours=1)
    assert sorted(client.keys()) == [b"j", b"t"]

    with pytest.raises(ValueError, match="jobs_key"):
        RedisJobStore(jobs_key="")


def test_a_client_that_makes_text_of_the_jobs_is_refused() -> None:
    with pytest.raises(ValueError, match="decode_responses"):
        RedisJobStore(connection_pool=ConnectionPool(decode_responses=True))
    with pytest.raises(ValueError, match="decode_responses"):
        RedisJobStore(decode_responses=True)


@pytest.mark.parametrize("passing", range(5))
@pytest.mark.parametrize("pool_is_given", [True, False])
def test_a_run_is_not_lost_with_the_answer_to_a_write(
    place: dict[str, Any], pool_is_given: bool, passing: int
) -> None:
    """A pool tries each command several times, unless it is told otherwise."""
    with Proxy(place["port"]) as proxy:
        through_proxy = {**place, "port": proxy.port}
        if pool_is_given:
            store = RedisJobStore(connection_pool=Client(**through_proxy).connection_pool)
        else:
            store = RedisJobStore(**through_proxy, retry=Retry(NoBackoff(), 3))
        scheduler = ManualScheduler(now=NOW, jobstore_retry_interval=5)
        scheduler.add_jobstore(store)
        scheduler.start()
        runs.clear()
        scheduler.add_job(record, "date", ["ends"], run_date=NOW + SECOND, id="ends")
        scheduler.add_job(record, "interval", ["goes on"], seconds=1, end_date=NOW + SECOND)

        proxy.lose_answer(passing)
        scheduler.advance(20)
        proxy.lose_none()
        scheduler.advance(20)
        assert sorted(runs) == ["ends", "goes on"]
        assert proxy.lost == 1
        scheduler.shutdown()
        store.redis.connection_pool.disconnect()


def test_a_job_whose_adding_was_not_answered_is_in_nobodys_way(place: dict[str, Any]) -> None:
    with Proxy(place["port"]) as proxy:
        pool = Client(**{**place, "port": proxy.port}).connection_pool
        with running(RedisJobStore(connection_pool=pool)) as scheduler:
            scheduler.add_job(record, "interval", hours=1, id="first")
            proxy.lose_answer(0)
            with pytest.raises(ConnectionError):
                scheduler.add_job(record, "interval", hours=1, id="second")
            assert [job.id for job in scheduler.get_jobs()] == ["first", "second"]
            scheduler.add_job(record, "interval", hours=2, id="second", replace_existing=True)
        pool.disconnect()


def test_a_server_that_has_forgotten_the_scripts_is_told_them_again(
    store: RedisJobStore, scheduler: ManualScheduler, client: Any
) -> None:
    scheduler.add_job(record, "interval", hours=1, id="first")
    assert store.get_next_run_time() == NOW + HOUR
    steps: list[Callable[[], object]] = [
        lambda: scheduler.add_job(record, "interval", hours=2, id="second"),
        lambda: scheduler.pause_job("first"),
        lambda: scheduler.remove_job("first"),
        store.get_next_run_time,
    ]
    for step in steps:
        client.script_flush()
        step()
    assert store.get_next_run_time() == NOW + 2 * HOUR
    assert [job.id for job in scheduler.get_jobs()] == ["second"]


def test_a_pool_that_is_given_stays_open(place: dict[str, Any]) -> None:
    pool = ConnectionPool(**place)
    with running(RedisJobStore(connection_pool=pool)) as scheduler:
        scheduler.add_job(record, "interval", hours=1)
    assert pool._available_connections[0]._sock is not None
    pool.disconnect()

    own = RedisJobStore(**place)
    with running(own) as scheduler:
        assert len(scheduler.get_jobs()) == 1
    assert own.redis.connection_pool._available_connections[0]._sock is None
