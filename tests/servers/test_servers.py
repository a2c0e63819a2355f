"""Each server keeps what was written when it is killed, and gives each test a place of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.servers import Server

Put = Callable[[dict[str, Any], str], None]
Get = Callable[[dict[str, Any]], str | None]

SERVERS = ["postgresql", "mariadb", "redis_server", "mongodb", "zookeeper", "etcd"]


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def put(server: Server) -> Put:
    return CLIENTS[server.name][0]


@pytest.fixture
def get(server: Server) -> Get:
    return CLIENTS[server.name][1]


def test_a_value_comes_back(server: Server, put: Put, get: Get) -> None:
    place = server.fresh()
    put(place, "written")
    assert get(place) == "written"


def test_a_fresh_place_is_empty(server: Server, put: Put, get: Get) -> None:
    first, second = server.fresh(), server.fresh()
    put(first, "not for the other")
    assert get(second) is None


def test_a_value_survives_kill_and_restart(server: Server, put: Put, get: Get) -> None:
    place = server.fresh()
    put(place, "survived")
    server.kill()
    assert not server.running

    server.restart()
    assert get(place) == "survived"


def test_a_killed_server_is_revived_for_the_next_test(server: Server, put: Put, get: Get) -> None:
    server.kill()
    place = server.fresh()
    put(place, "back")
    assert get(place) == "back"


def test_an_orderly_restart_keeps_the_port(server: Server, put: Put, get: Get) -> None:
    place = server.fresh()
    put(place, "kept")
    address = server.address
    server.restart()
    assert server.address == address
    assert get(place) == "kept"


def test_a_server_that_already_runs_is_used_and_left_alone(
    server: Server, put: Put, get: Get, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(server.variable, server.address)
    borrowed = type(server)()
    borrowed.start()
    place = borrowed.fresh()
    put(place, "lent")
    assert get(place) == "lent"

    with pytest.raises(pytest.skip.Exception, match=server.variable):
        borrowed.kill()

    borrowed.close()
    assert server.running
    assert get(place) == "lent"


@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_a_missing_server_skips_with_advice_and_fails_in_ci(ci: str, outcome: str) -> None:
    environment = {**os.environ, "CI": ci, "PATH": ""}  # no java, so no ZooKeeper
    environment.pop("APSCHEDULER_TEST_ZOOKEEPER_HOSTS", None)
    test = f"{__file__}::test_a_value_comes_back[zookeeper]"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", test],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert outcome in done.stdout
    assert "apt-get install libzookeeper-java" in done.stdout


# The least that each driver can do: write one string, and read it or None.


def put_sql(place: dict[str, Any], value: str) -> None:
    import sqlalchemy as sa

    engine = sa.create_engine(place["url"])
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE kept (value VARCHAR(50))"))
        connection.execute(sa.text("INSERT INTO kept VALUES (:value)"), {"value": value})

    engine.dispose()


def get_sql(place: dict[str, Any]) -> str | None:
    import sqlalchemy as sa

    engine = sa.create_engine(place["url"])
    try:
        if not sa.inspect(engine).has_table("kept"):
            return None

        with engine.connect() as connection:
            value: str = connection.execute(sa.text("SELECT value FROM kept")).scalar_one()
            return value
    finally:
        engine.dispose()


def put_redis(place: dict[str, Any], value: str) -> None:
    import redis

    with redis.Redis(**place) as client:
        client.set("kept", value)


def get_redis(place: dict[str, Any]) -> str | None:
    import redis

    with redis.Redis(**place, decode_responses=True) as client:
        value: str | None = client.get("kept")
        return value


def put_mongodb(place: dict[str, Any], value: str) -> None:
    from pymongo import MongoClient

    with MongoClient(place["host"]) as client:
        client[place["database"]].kept.insert_one({"value": value})


def get_mongodb(place: dict[str, Any]) -> str | None:
    from pymongo import MongoClient

    with MongoClient(place["host"]) as client:
        document = client[place["database"]].kept.find_one()
        return document and document["value"]


def put_zookeeper(place: dict[str, Any], value: str) -> None:
    with zookeeper_client(place) as client:
        client.create(place["path"], value.encode())


def get_zookeeper(place: dict[str, Any]) -> str | None:
    with zookeeper_client(place) as client:
        found = client.exists(place["path"]) and client.get(place["path"])[0].decode()
        return found or None


@contextmanager
def zookeeper_client(place: dict[str, Any]) -> Iterator[Any]:
    from kazoo.client import KazooClient

    client = KazooClient(place["hosts"])
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


def put_etcd(place: dict[str, Any], value: str) -> None:
    import etcd3

    with etcd3.client(place["host"], place["port"]) as client:
        client.put(place["path"], value)


def get_etcd(place: dict[str, Any]) -> str | None:
    import etcd3

    with etcd3.client(place["host"], place["port"]) as client:
        value, _ = client.get(place["path"])
        return value and value.decode()


CLIENTS: dict[str, tuple[Put, Get]] = {
    "PostgreSQL": (put_sql, get_sql),
    "MariaDB": (put_sql, get_sql),
    "Redis": (put_redis, get_redis),
    "MongoDB": (put_mongodb, get_mongodb),
    "ZooKeeper": (put_zookeeper, get_zookeeper),
    "etcd": (put_etcd, get_etcd),
}
