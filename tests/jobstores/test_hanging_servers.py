"""Servers that hang: they are given up after a time, and the other stores are served."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import NOW, again_and_again, record, runs
from tests.jobstores.servers import Backend

# Short times for these tests, by the name of the server
IMPATIENT: dict[str, dict[str, Any]] = {
    "PostgreSQL": {
        "engine_options": {"connect_args": {"connect_timeout": 2, "tcp_user_timeout": 300}}
    },
    "MariaDB": {"engine_options": {"connect_args": {"read_timeout": 0.3}}},
    "Redis": {"socket_timeout": 0.3},
    "MongoDB": {"socketTimeoutMS": 300, "connectTimeoutMS": 300},
    "ZooKeeper": {"timeout": 2.0},  # of its session
    "etcd": {"timeout": 0.3},
}


def test_a_server_that_hangs_is_given_up_and_others_go_on(
    backend: Backend, caplog: pytest.LogCaptureFixture
) -> None:
    runs.clear()
    backend.place |= IMPATIENT[backend.server.name]
    store = backend.make_store()
    scheduler = ManualScheduler(now=NOW, jobstore_retry_interval=10)
    scheduler.add_jobstore(store)
    scheduler.add_jobstore("memory", "elsewhere")
    scheduler.start()
    scheduler.add_job(record, "interval", ["stored"], minutes=1, id="stored")
    scheduler.add_job(record, "interval", ["elsewhere"], minutes=1, jobstore="elsewhere")

    with backend.server.frozen():
        scheduler._clock += timedelta(minutes=1)
        scheduler.run_due()
        assert runs == ["elsewhere"]
        assert any('"default" failed' in message for message in caplog.messages)
        with pytest.raises(Exception, match=r".") as error:
            scheduler.pause_job("stored")
        assert not isinstance(error.value, LookupError)

    def look_again() -> None:
        backend.server.check_that_it_runs()
        scheduler._clock += timedelta(seconds=0.1)
        scheduler.run_due()
        assert "stored" in runs

    again_and_again(look_again)
    assert runs.count("stored") == 1
    scheduler.shutdown()
