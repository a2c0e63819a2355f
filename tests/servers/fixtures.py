"""One fixture for each server: started when the first test asks, stopped when the run ends."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TypeVar

import pytest

from tests.servers import (
    Etcd,
    MariaDB,
    MissingServerError,
    MongoDB,
    PostgreSQL,
    Redis,
    Server,
    ZooKeeper,
)

ServerT = TypeVar("ServerT", bound=Server)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    yield from _serve(PostgreSQL())


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    yield from _serve(MariaDB())


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    yield from _serve(Redis())


@pytest.fixture(scope="session")
def mongodb() -> Iterator[MongoDB]:
    yield from _serve(MongoDB())


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[ZooKeeper]:
    yield from _serve(ZooKeeper())


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    yield from _serve(Etcd())


def _serve(server: ServerT) -> Iterator[ServerT]:
    try:
        server.start()
    except MissingServerError as exc:
        _give_up(str(exc))

    try:
        yield server
    finally:
        server.close()


def _give_up(words: str) -> None:
    """Skip where a newcomer lacks a server; fail in CI, which is to install them all."""
    if os.environ.get("CI"):
        pytest.fail(words, pytrace=False)

    pytest.skip(words)
