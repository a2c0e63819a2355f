"""Each server with the job store that keeps its jobs there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from apscheduler.jobstores.etcd import EtcdJobStore
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.jobstores.persistent import PersistentJobStore
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.jobstores.zookeeper import ZooKeeperJobStore
from tests.servers import Server

# By the name of the server's fixture
STORES: dict[str, type[PersistentJobStore]] = {
    "postgresql": SQLAlchemyJobStore,
    "mariadb": SQLAlchemyJobStore,
    "redis_server": RedisJobStore,
    "mongodb": MongoDBJobStore,
    "zookeeper": ZooKeeperJobStore,
    "etcd": EtcdJobStore,
}


@dataclass
class Backend:
    """A server, and the place in it that belongs to one test."""

    server: Server
    store_class: type[PersistentJobStore]
    place: dict[str, Any]

    def make_store(self) -> PersistentJobStore:
        place = dict(self.place)
        if self.store_class is MongoDBJobStore:
            place["serverSelectionTimeoutMS"] = 300  # tests take servers down
        return self.store_class(**place)
