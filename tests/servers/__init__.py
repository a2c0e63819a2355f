"""Real database servers for the tests, each in a temporary directory on a free loopback port."""

from __future__ import annotations

from tests.servers._server import MissingServerError, Server
from tests.servers.etcd import Etcd
from tests.servers.mariadb import MariaDB
from tests.servers.mongodb import MongoDB
from tests.servers.postgresql import PostgreSQL
from tests.servers.redis import Redis
from tests.servers.zookeeper import ZooKeeper

__all__ = [
    "Etcd",
    "MariaDB",
    "MissingServerError",
    "MongoDB",
    "PostgreSQL",
    "Redis",
    "Server",
    "ZooKeeper",
]
