"""Every job store of ours passes the suites that third parties run on theirs."""

from __future__ import annotations

from pathlib import Path

import pytest

from apscheduler.jobstores.etcd import EtcdJobStore
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.jobstores.mongodb import MongoDBJobStore
from apscheduler.jobstores.redis import RedisJobStore
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.jobstores.zookeeper import ZooKeeperJobStore
from apscheduler.testing import JobStoreContract, PersistentJobStoreContract
from apscheduler.testing._jobstores import MakeStore
from tests.servers import Etcd, MariaDB, MongoDB, PostgreSQL, Redis, ZooKeeper


class TestMemory(JobStoreContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return MemoryJobStore


class TestInMemorySQLite(JobStoreContract):
    @pytest.fixture
    def make_store(self) -> MakeStore:
        return lambda: SQLAlchemyJobStore("sqlite://")


class TestSQLite(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> MakeStore:
        return lambda: SQLAlchemyJobStore(f"sqlite:///{tmp_path / 'jobs.sqlite'}")


class TestPostgreSQL(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, postgresql: PostgreSQL) -> MakeStore:
        place = postgresql.fresh()
        return lambda: SQLAlchemyJobStore(**place)


class TestMariaDB(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, mariadb: MariaDB) -> MakeStore:
        place = mariadb.fresh()
        return lambda: SQLAlchemyJobStore(**place)


class TestRedis(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, redis_server: Redis) -> MakeStore:
        place = redis_server.fresh()
        return lambda: RedisJobStore(**place)


class TestMongoDB(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, mongodb: MongoDB) -> MakeStore:
        place = mongodb.fresh()
        return lambda: MongoDBJobStore(**place)


class TestZooKeeper(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, zookeeper: ZooKeeper) -> MakeStore:
        place = zookeeper.fresh()
        return lambda: ZooKeeperJobStore(**place)


class TestEtcd(PersistentJobStoreContract):
    @pytest.fixture
    def make_store(self, etcd: Etcd) -> MakeStore:
        place = etcd.fresh()
        return lambda: EtcdJobStore(**place)
