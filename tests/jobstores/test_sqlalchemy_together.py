"""Several programs that write to one database at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler
from tests.jobstores.jobs import PATIENCE, record, running
from tests.servers import PostgreSQL

SETTINGS: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}


@pytest.fixture(params=["postgresql", "mariadb"])
def store(request: pytest.FixtureRequest) -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(request.getfixturevalue(request.param).fresh()["url"])


@pytest.fixture
def scheduler(store: SQLAlchemyJobStore) -> Iterator[ManualScheduler]:
    with running(store) as scheduler:
        yield scheduler


@pytest.fixture
def errors(store: SQLAlchemyJobStore) -> list[Any]:
    """What the driver raises."""
    raised: list[Any] = []
    sa.event.listen(
        store.engine, "handle_error", lambda context: raised.append(context.sqlalchemy_exception)
    )
    return raised


@pytest.fixture
def other(store: SQLAlchemyJobStore) -> Iterator[sa.Connection]:
    """Another program. It has done a lot already: of two, a server ends what is less work."""
    engine = sa.create_engine(store.engine.url)
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE work (n INTEGER)"))
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # here, the one that looks for deadlocks first
            connection.execute(sa.text("SET deadlock_timeout = '60s'"))
        connection.execute(sa.text("INSERT INTO work VALUES (:n)"), [{"n": n} for n in range(500)])
        yield connection
    engine.dispose()


def write(connection: sa.Connection, statement: str, job_id: str) -> None:
    parameters = {"id": job_id, "data": b""}
    connection.execute(sa.text(statement), parameters)


INSERT = "INSERT INTO apscheduler_jobs VALUES (:id, NULL, :data)"
UPDATE = "UPDATE apscheduler_jobs SET job_state = :data WHERE id = :id"

BLOCKED = {
    "postgresql": """
        SELECT count(*) FROM pg_stat_activity
        WHERE wait_event_type = 'Lock' AND datname = current_database()
    """,
    "mysql": """
        SELECT count(*) FROM information_schema.innodb_trx
        JOIN information_schema.processlist ON id = trx_mysql_thread_id
        WHERE trx_state LIKE 'LOCK%' AND db = DATABASE()
    """,
}


def wait_until_blocked(store: SQLAlchemyJobStore) -> None:
    """Wait until a transaction waits for another one, in the database of the store."""
    waiting = BLOCKED[store.engine.dialect.name]
    deadline = time.monotonic() + PATIENCE
    while True:
        with store.engine.connect() as connection:
            if connection.execute(sa.text(waiting)).scalar():
                return
        assert time.monotonic() < deadline
        # MariaDB looks again only if nobody has asked for a tenth of a second.
        time.sleep(0.25)


@pytest.mark.parametrize("action", ["add", "update", "remove"])
def test_what_the_server_ends_because_of_a_deadlock_is_done_again(
    store: SQLAlchemyJobStore,
    scheduler: ManualScheduler,
    other: sa.Connection,
    errors: list[sa.exc.DBAPIError],
    action: str,
) -> None:
    pair = [{**SETTINGS, "id": id} for id in ("a", "b")]
    if action != "add":
        scheduler.add_jobs(pair)
    jobs = store.get_all_jobs()
    actions: dict[str, Callable[[], object]] = {
        "add": lambda: scheduler.add_jobs(pair),
        "update": lambda: store.update_jobs(jobs),
        "remove": lambda: store.remove_jobs(["a", "b"]),
    }
    statement = INSERT if action == "add" else UPDATE

    with ThreadPoolExecutor(1) as pool:
        write(other, statement, "b")
        result = pool.submit(actions[action])
        wait_until_blocked(store)
        write(other, statement, "a")
        other.rollback()
        done = result.result(PATIENCE)

    assert ["deadlock" in str(error).lower() for error in errors] == [True]
    assert action == "add" or done == []
    assert [job.id for job in scheduler.get_jobs()] == ([] if action == "remove" else ["a", "b"])


def test_a_server_that_ends_every_attempt_is_given_up(postgresql: PostgreSQL) -> None:
    store = SQLAlchemyJobStore(**postgresql.fresh())
    attempts: list[object] = []
    sa.event.listen(store.engine, "handle_error", attempts.append)
    with running(store) as scheduler:
        scheduler.add_job(**SETTINGS, id="job")
        with store.engine.begin() as connection:
            connection.execute(sa.text(ALWAYS_LATE))
        with pytest.raises(sa.exc.OperationalError, match="too late"):
            scheduler.remove_job("job")
        assert 2 <= len(attempts) <= 10
        assert [job.id for job in scheduler.get_jobs()] == ["job"]


ALWAYS_LATE = """
    CREATE FUNCTION be_late() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION 'too late' USING ERRCODE = '40001'; END $$;
    CREATE TRIGGER late BEFORE DELETE ON apscheduler_jobs EXECUTE FUNCTION be_late();
"""


def test_jobs_are_written_in_the_order_of_their_ids_so_that_two_programs_do_not_block_each_other(
    store: SQLAlchemyJobStore,
    scheduler: ManualScheduler,
    other: sa.Connection,
    errors: list[sa.exc.DBAPIError],
) -> None:
    with ThreadPoolExecutor(1) as pool:
        write(other, INSERT, "a")
        jobs = [{**SETTINGS, "id": id} for id in ("b", "a")]
        result = pool.submit(scheduler.add_jobs, jobs)
        wait_until_blocked(store)
        write(other, INSERT, "b")
        other.commit()
        with pytest.raises(ConflictingIdError):
            result.result(PATIENCE)

    assert [type(error) for error in errors] == [sa.exc.IntegrityError]


@pytest.mark.parametrize("job_id", ["job", """the "job's" id"""])
@pytest.mark.parametrize("server", ["sqlite", "postgresql", "mariadb"])
def test_an_id_that_is_free_again_when_we_look_who_took_it_was_taken(
    server: str, job_id: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if server == "sqlite":
        url = f"sqlite:///{tmp_path / 'jobs.sqlite'}"
    else:
        url = request.getfixturevalue(server).fresh()["url"]
    store, other = SQLAlchemyJobStore(url), SQLAlchemyJobStore(url)
    with running(other) as other_scheduler, running(store) as scheduler:

        def take_for_a_moment() -> None:
            taken.append(other_scheduler.add_job(**SETTINGS, id=job_id))

        def give_back(*_: object) -> None:
            while taken:
                taken.pop().remove()

        taken: list[Job] = []
        # When our connection has found out, and goes back to the pool
        sa.event.listen(store.engine, "checkin", give_back)
        attempts: list[Callable[[], object]] = [
            lambda: scheduler.add_job(**SETTINGS, id=job_id),
            lambda: scheduler.add_jobs([{**SETTINGS, "id": id} for id in ("another", job_id)]),
        ]
        for attempt in attempts:
            take_for_a_moment()
            with pytest.raises(ConflictingIdError) as failure:
                attempt()
            # SQLite does not say which of the ids it was.
            assert server == "sqlite" or f"({job_id})" in failure.value.args[0]
            assert store.get_all_jobs() == []

        take_for_a_moment()
        scheduler.add_job(**SETTINGS, id=job_id, replace_existing=True)
        assert [job.id for job in store.get_all_jobs()] == [job_id]
