from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import SingletonThreadPool

from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.testing import ManualScheduler
from tests.docs.pages import DOCS, blocks_of
from tests.jobstores.jobs import HOUR, NOW, many_due_jobs, record, running, runs, state_of
from tests.servers import MariaDB


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "jobs.sqlite"


@pytest.fixture(params=["sqlite", "postgresql", "mariadb"])
def url(request: pytest.FixtureRequest, path: Path) -> str:
    """An empty database of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{path}"

    found: str = request.getfixturevalue(request.param).fresh()["url"]
    return found


@pytest.fixture
def store(url: str) -> SQLAlchemyJobStore:
    return SQLAlchemyJobStore(url)


@pytest.fixture
def scheduler(store: SQLAlchemyJobStore) -> Iterator[ManualScheduler]:
    with running(store) as scheduler:
        yield scheduler


@pytest.fixture
def statements(store: SQLAlchemyJobStore) -> list[tuple[str, Any]]:
    """What is sent to the database from now on: statements and their parameters."""
    sent: list[tuple[str, Any]] = []
    sa.event.listen(
        store.engine,
        "before_cursor_execute",
        lambda _, __, statement, parameters, *___: sent.append((statement, parameters)),
    )
    return sent


def execute(store: SQLAlchemyJobStore, statement: str, **parameters: Any) -> None:
    with store.engine.begin() as connection:
        connection.execute(sa.text(statement), parameters)


# --- how much is asked of the database ----------------------------------------------------------


def test_a_pass_over_two_thousand_due_jobs_takes_a_handful_of_statements(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler, statements: list[Any]
) -> None:
    many_due_jobs(scheduler, 2000)
    assert len(statements) == 1

    scheduler._clock += HOUR
    statements.clear()
    scheduler.run_due()
    assert len(runs) == 2000
    assert 3 <= len(statements) <= 6

    statements.clear()
    store.remove_jobs([f"job {i}" for i in range(2000)])
    assert len(statements) <= 6
    assert store.get_all_jobs() == []


def test_a_hundred_thousand_jobs_are_searched_by_the_index(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler, statements: list[Any]
) -> None:
    fill(store, 100_000)
    scheduler.add_job(record, "date", ["due"], run_date=NOW, id="due")
    scheduler.add_job(record, "interval", hours=1, id="next")

    statements.clear()
    assert [job.id for job in store.get_due_jobs(NOW)] == ["due"]
    assert store.get_next_run_time() == NOW
    assert store.get_next_run_time_after(NOW) == NOW + HOUR
    assert len(statements) == 3
    queries = list(statements)
    for step in (lambda: None, lambda: collect_statistics(store)):
        step()
        for statement, parameters in queries:
            plan = explain(store, statement, parameters)
            assert "ix_apscheduler_jobs_next_run_time" in plan, (statement, plan)


def fill(store: SQLAlchemyJobStore, count: int) -> None:
    """Add rows that run in many years. Nobody is to read their bytes."""
    rows = [
        {"id": f"row {i}", "next_run_time": 4e9 + i, "job_state": b"unread"} for i in range(count)
    ]
    with store.engine.begin() as connection:
        for start in range(0, count, 20_000):
            connection.execute(store.jobs_t.insert(), rows[start : start + 20_000])


def collect_statistics(store: SQLAlchemyJobStore) -> None:
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        table = "TABLE" if store.engine.dialect.name == "mysql" else ""
        connection.execute(sa.text(f"ANALYZE {table} apscheduler_jobs"))


def explain(store: SQLAlchemyJobStore, statement: str, parameters: Any) -> str:
    """Return how the database says that it would find the rows."""
    command = "EXPLAIN QUERY PLAN" if store.engine.dialect.name == "sqlite" else "EXPLAIN"
    with store.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"{command} {statement}", parameters).all()

    # MySQL names the indexes that it might use as well.
    return str([row.key for row in plan] if store.engine.dialect.name == "mysql" else plan)


# --- what is stored -----------------------------------------------------------------------------


def test_the_layout_is_that_of_3_x(store: SQLAlchemyJobStore, scheduler: ManualScheduler) -> None:
    inspector = sa.inspect(store.engine)
    columns = {column["name"]: column for column in inspector.get_columns("apscheduler_jobs")}
    assert list(columns) == ["id", "next_run_time", "job_state"]
    assert columns["id"]["type"].length == 191  # type: ignore[attr-defined]
    assert columns["next_run_time"]["nullable"]
    assert not columns["job_state"]["nullable"]
    assert inspector.get_pk_constraint("apscheduler_jobs")["constrained_columns"] == ["id"]
    (index,) = inspector.get_indexes("apscheduler_jobs")
    assert index["name"] == "ix_apscheduler_jobs_next_run_time"


def test_stored_times_are_those_of_the_states(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler
) -> None:
    for i in range(50):
        time = NOW + timedelta(days=97 * i, microseconds=7919 * i)
        scheduler.add_job(record, "date", run_date=time, id=str(i))

    with store.engine.connect() as connection:
        stored = dict(
            connection.execute(sa.select(store.jobs_t.c.id, store.jobs_t.c.next_run_time)).all()
        )
    for job in scheduler.get_jobs():
        assert job.next_run_time is not None
        assert stored[job.id] == job.next_run_time.timestamp()


def test_damaged_bytes_are_kept_and_do_not_disturb(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler, caplog: pytest.LogCaptureFixture
) -> None:
    scheduler.add_job(record, "date", ["good"], run_date=NOW, id="good")
    scheduler.add_job(record, "date", ["later"], run_date=NOW + HOUR, id="later")
    damaged = {
        "garbage": b"garbage",
        "empty": b"",
        "no dict": b"\x80\x04]\x94.",
        "cut": state_of(scheduler, "later")[:-10],
        "of another": state_of(scheduler, "later"),
        "without a name": state_of(scheduler, "later", id="without a name", func=None),
        "of the future": state_of(scheduler, "later", id="of the future", version=99),
        "without a time": state_of(scheduler, "later", id="without a time", next_run_time="soon"),
    }
    for id, data in damaged.items():
        insert = "INSERT INTO apscheduler_jobs VALUES (:id, :time, :data)"
        execute(store, insert, id=id, time=NOW.timestamp() - 1, data=data)

    assert store.get_next_run_time() == NOW
    scheduler.advance(HOUR)
    scheduler.advance(HOUR)
    assert runs == ["good", "later"]
    assert {id for id, _, _ in scheduler.get_unrestorable_jobs()} == damaged.keys()
    for id in damaged:
        logged = [message for message in caplog.messages if f'Job "{id}" in' in message]
        assert len(logged) == 1, id

    with store.engine.connect() as connection:
        rows = connection.execute(sa.select(store.jobs_t.c.id, store.jobs_t.c.job_state)).all()
    assert {id: bytes(data) for id, data in rows} == damaged


def test_a_parked_job_is_tried_again_when_somebody_repairs_its_bytes(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "date", ["repaired"], run_date=NOW, id="job")
    good = state_of(scheduler, "job")
    execute(store, "UPDATE apscheduler_jobs SET job_state = :data", data=b"damaged")
    scheduler.run_due()
    assert runs == []

    execute(store, "UPDATE apscheduler_jobs SET job_state = :data", data=good)
    scheduler.run_due()
    assert runs == ["repaired"]


def test_notes_on_parked_jobs_that_others_removed_are_dropped(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "date", run_date=NOW, id="job")
    execute(store, "UPDATE apscheduler_jobs SET job_state = :data", data=b"damaged")
    assert len(scheduler.get_unrestorable_jobs()) == 1

    execute(store, "DELETE FROM apscheduler_jobs")
    assert scheduler.get_unrestorable_jobs() == []


@pytest.mark.parametrize("offset", [-HOUR, HOUR])
def test_a_time_that_was_changed_by_hand_neither_runs_early_nor_keeps_the_loop_awake(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler, offset: timedelta
) -> None:
    scheduler.add_job(record, "interval", hours=3, id="changed")
    scheduler.add_job(record, "interval", hours=10, id="other")
    by_hand = (NOW + 3 * HOUR + offset).timestamp()
    change = "UPDATE apscheduler_jobs SET next_run_time = :time WHERE id = 'changed'"
    execute(store, change, time=by_hand)

    due = NOW + 3 * HOUR + max(offset, timedelta(0))  # when both agree that it is due
    assert store.get_next_run_time() == due
    assert store.get_due_jobs(due - timedelta(microseconds=1)) == []
    assert [job.id for job in store.get_due_jobs(due)] == ["changed"]


def test_a_time_that_was_changed_by_hand_says_whether_the_job_is_paused(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler
) -> None:
    scheduler.add_job(record, "interval", ["stopped"], hours=1, id="stopped")
    scheduler.add_job(record, "interval", ["started"], hours=1, id="started", next_run_time=None)
    change = "UPDATE apscheduler_jobs SET next_run_time = :time WHERE id = :id"
    execute(store, change, id="stopped", time=None)
    execute(store, change, id="started", time=(NOW + HOUR / 2).timestamp())

    assert store.get_next_run_time() == NOW + HOUR / 2
    times = {job.id: job.next_run_time for job in scheduler.get_jobs()}
    assert times == {"stopped": None, "started": NOW + HOUR / 2}
    stopped = scheduler.get_job("stopped")
    assert stopped is not None
    assert stopped.next_run_time is None

    scheduler.advance(HOUR / 2)
    assert runs == ["started"]
    scheduler.resume_job("stopped")
    scheduler.advance(HOUR)
    assert sorted(runs) == ["started", "started", "stopped"]


# --- connections --------------------------------------------------------------------------------


def test_an_engine_that_is_given_stays_open_and_one_that_was_made_is_closed(url: str) -> None:
    engine = sa.create_engine(url)
    with running(SQLAlchemyJobStore(engine=engine)) as scheduler:
        scheduler.add_job(record, "interval", hours=1)
    assert engine.pool.checkedin() == 1  # type: ignore[attr-defined]
    engine.dispose()

    store = SQLAlchemyJobStore(url)
    with running(store) as scheduler:
        assert len(scheduler.get_jobs()) == 1
        pool = store.engine.pool
    assert pool.checkedin() == 0  # type: ignore[attr-defined]


def test_an_engine_may_be_named_by_a_reference() -> None:
    store = SQLAlchemyJobStore(engine=f"{__name__}:shared_engine")
    assert store.engine is shared_engine


shared_engine = sa.create_engine("sqlite://")


def test_without_a_database_there_is_no_store() -> None:
    with pytest.raises(ValueError, match='either "url" or "engine"'):
        SQLAlchemyJobStore()


def test_a_table_has_the_name_the_schema_and_the_metadata_that_are_given(path: Path) -> None:
    metadata = sa.MetaData()
    store = SQLAlchemyJobStore(
        f"sqlite:///{path}", tablename="my_jobs", tableschema="main", metadata=metadata
    )
    assert metadata.tables["main.my_jobs"] is store.jobs_t
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", hours=1)

    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM my_jobs").fetchone() == (1,)


def test_jobs_stay_in_the_schema_that_a_map_of_the_engine_names(url: str, path: Path) -> None:
    store = SQLAlchemyJobStore(url)
    engine = sa.create_engine(url)
    tenants = f"{engine.url.database}_tenants"
    if engine.dialect.name == "sqlite":
        attach = f"ATTACH DATABASE '{path}.tenants' AS tenants"
        tenants = "tenants"
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute(attach))
    else:
        execute(store, f"CREATE SCHEMA {tenants}")

    mapped = engine.execution_options(schema_translate_map={None: tenants})
    with running(store), running(SQLAlchemyJobStore(engine=mapped)) as scheduler:
        scheduler.add_job(record, "interval", ["one"], hours=1, id="one")
        scheduler.advance(HOUR)
        scheduler.add_jobs(
            [{"func": record, "trigger": "interval", "hours": 1, "args": [id]} for id in "ab"]
        )
        scheduler.advance(HOUR)
        scheduler.advance(HOUR)
        assert sorted(runs) == ["a", "a", "b", "b", "one", "one", "one"]
        scheduler.remove_job("one")
        assert len(scheduler.get_jobs()) == 2
        assert store.get_all_jobs() == []
    engine.dispose()


def test_options_of_the_engine_are_passed_on(path: Path) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{path}", engine_options={"pool_size": 3, "echo": False})
    assert store.engine.pool.size() == 3  # type: ignore[attr-defined]


@pytest.mark.parametrize("poolclass", [sa.NullPool, sa.StaticPool])
def test_a_class_of_pools_may_be_given(url: str, poolclass: type[sa.Pool]) -> None:
    store = SQLAlchemyJobStore(url, engine_options={"poolclass": poolclass})
    assert type(store.engine.pool) is poolclass
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", hours=1, id="job")
        assert scheduler.get_job("job") is not None


def test_a_pool_may_be_given(url: str) -> None:
    pool = sa.create_engine(url).pool
    store = SQLAlchemyJobStore(url, engine_options={"pool": pool})
    assert store.engine.pool is pool
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", hours=1, id="job")
        assert scheduler.get_job("job") is not None


def test_several_processes_may_create_the_table_at_once(url: str) -> None:
    stores = [SQLAlchemyJobStore(url) for _ in range(4)]

    def start_and_stop(store: SQLAlchemyJobStore) -> int:
        with running(store) as scheduler:
            return len(scheduler.get_jobs())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(start_and_stop, stores)) == [0, 0, 0, 0]


@pytest.mark.parametrize("replace_existing", [False, True])
def test_when_a_key_that_somebody_has_added_is_taken_no_id_is_said_to_be(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler, replace_existing: bool
) -> None:
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    settings["replace_existing"] = replace_existing
    execute(store, "CREATE UNIQUE INDEX one_at_a_time ON apscheduler_jobs (next_run_time)")
    scheduler.add_job(**settings, id="a")

    with pytest.raises(sa.exc.IntegrityError, match=r"jobs\.next_run_time|one_at_a_time"):
        scheduler.add_job(**settings, id="b")
    with pytest.raises(sa.exc.IntegrityError, match=r"jobs\.next_run_time|one_at_a_time"):
        scheduler.add_jobs([{**settings, "id": id, "hours": len(id)} for id in ("bb", "c")])
    assert [job.id for job in scheduler.get_jobs()] == ["a"]


def test_when_the_key_of_another_table_is_taken_no_id_is_said_to_be(
    store: SQLAlchemyJobStore, scheduler: ManualScheduler
) -> None:
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    execute(store, "CREATE TABLE log (id INTEGER UNIQUE)")
    execute(store, "INSERT INTO log VALUES (1)")
    for statement in LOG_JOBS[store.engine.dialect.name]:
        execute(store, statement)

    with pytest.raises(sa.exc.IntegrityError, match=r"log\.id|log_id_key|key 'id'"):
        scheduler.add_job(**settings, id="a")
    assert scheduler.get_jobs() == []


LOG_JOBS = {
    "sqlite": [
        "CREATE TRIGGER logs AFTER INSERT ON apscheduler_jobs "
        "BEGIN INSERT INTO log VALUES (1); END"
    ],
    "postgresql": [
        "CREATE FUNCTION log_job() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN INSERT INTO log VALUES (1); RETURN NEW; END $$",
        "CREATE TRIGGER logs AFTER INSERT ON apscheduler_jobs "
        "FOR EACH ROW EXECUTE FUNCTION log_job()",
    ],
    "mysql": [
        "CREATE TRIGGER logs AFTER INSERT ON apscheduler_jobs "
        "FOR EACH ROW INSERT INTO log VALUES (1)"
    ],
}


# --- MySQL and MariaDB --------------------------------------------------------------------------


@pytest.fixture
def lax_store(mariadb: MariaDB) -> SQLAlchemyJobStore:
    """A store on a table as 3.x made it, in a database that cuts what does not fit."""
    url = mariadb.fresh()["url"]
    options = {"connect_args": {"init_command": "SET SESSION sql_mode = ''"}}
    store = SQLAlchemyJobStore(url, engine_options=options)
    execute(
        store,
        "CREATE TABLE apscheduler_jobs (id VARCHAR(191) PRIMARY KEY, next_run_time FLOAT(25), "
        "job_state BLOB NOT NULL) CHARACTER SET latin1",
    )
    return store


@pytest.mark.parametrize("other", ["Job", "job ", "JOB  ", "jöb"])
def test_a_table_of_3_x_does_not_lead_to_jobs_with_similar_ids(
    lax_store: SQLAlchemyJobStore, other: str
) -> None:
    with running(lax_store) as scheduler:
        settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
        scheduler.add_job(**settings, id="job", name="first")
        scheduler.add_job(**settings, id="Größe")
        assert scheduler.get_job(other) is None
        assert scheduler.get_job("Größe") is not None
        assert lax_store.remove_jobs([other, "nobody"]) == [other, "nobody"]
        scheduler.remove_job("Größe")
        if other == "jöb":
            scheduler.add_job(**settings, id=other)
            scheduler.remove_job(other)
        else:
            for replace in (False, True):
                with pytest.raises(ConflictingIdError, match=f"[(]{other}[)]"):
                    scheduler.add_job(**settings, id=other, replace_existing=replace)
                with pytest.raises(ConflictingIdError, match=f"[(]{other}[)]"):
                    scheduler.add_jobs(
                        [
                            {**settings, "id": id, "replace_existing": replace}
                            for id in ("a", other)
                        ]
                    )
        assert [(job.id, job.name) for job in scheduler.get_jobs()] == [("job", "first")]


def test_what_does_not_fit_is_refused_and_not_cut(lax_store: SQLAlchemyJobStore) -> None:
    with running(lax_store) as scheduler:
        with pytest.raises(ValueError, match=r"192 characters.* at most 191"):
            scheduler.add_job(record, "interval", hours=1, id="x" * 192)
        with pytest.raises(sa.exc.DataError, match="too long"):
            scheduler.add_job(record, "interval", ["x" * 70_000], hours=1)
        assert scheduler.get_jobs() == []


def test_the_statement_of_the_page_brings_a_table_of_3_x_up_to_ours(
    lax_store: SQLAlchemyJobStore,
) -> None:
    (statement,) = [
        block.text for block in blocks_of(DOCS / "job-stores.rst") if block.kind == "sql"
    ]
    url = lax_store.engine.url
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    with running(lax_store) as scheduler:
        scheduler.add_job(**settings, id="job")
    execute(lax_store, statement)

    with running(SQLAlchemyJobStore(url)) as scheduler:
        scheduler.add_job(**settings, id="JOB")
        scheduler.add_job(**settings, id="\N{ALARM CLOCK}", args=["x" * 70_000])
        assert {job.id for job in scheduler.get_jobs()} == {"job", "JOB", "\N{ALARM CLOCK}"}


def test_nothing_is_cut_by_a_lax_engine_that_is_given_and_that_stays_lax(
    lax_store: SQLAlchemyJobStore,
) -> None:
    options = {"init_command": "SET SESSION sql_mode = ''"}
    engine = sa.create_engine(lax_store.engine.url, connect_args=options, pool_size=1)
    store = SQLAlchemyJobStore(engine=engine)
    settings: dict[str, Any] = {"func": record, "trigger": "interval", "hours": 1}
    with running(store) as scheduler:
        scheduler.add_job(**settings, id="job")
        with pytest.raises(sa.exc.DataError, match="too long"):
            scheduler.add_job(**settings, args=["x" * 70_000])
        with pytest.raises(sa.exc.DataError, match="too long"):
            scheduler.modify_job("job", args=["x" * 70_000])
        with pytest.raises(sa.exc.DBAPIError, match="Incorrect string"):
            scheduler.add_job(**settings, id="漢字")
        assert [(job.id, job.args) for job in scheduler.get_jobs()] == [("job", ())]
        with engine.connect() as connection:
            assert connection.execute(sa.text("SELECT @@SESSION.sql_mode")).scalar() == ""
    engine.dispose()


def test_jobs_move_on_when_somebody_has_added_a_column_without_a_default(
    mariadb: MariaDB,
) -> None:
    store = SQLAlchemyJobStore(**mariadb.fresh())
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", ["one"], hours=1)
        scheduler.add_job(record, "interval", ["two"], hours=1)
        execute(store, "ALTER TABLE apscheduler_jobs ADD COLUMN tenant INTEGER NOT NULL")
        scheduler.advance(HOUR)
        scheduler.advance(HOUR)
        assert sorted(runs) == ["one", "one", "two", "two"]


@pytest.mark.parametrize(
    ("server", "name", "default"),
    [("mariadb", "read_timeout", 30), ("postgresql", "connect_timeout", 10)],
)
def test_servers_that_hang_are_given_up_unless_other_times_are_given(
    server: str, name: str, default: int, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue(server).fresh()["url"]
    assert connection_arguments(SQLAlchemyJobStore(url))[name] == default
    given = {"connect_args": {name: 7}}
    assert connection_arguments(SQLAlchemyJobStore(url, engine_options=given))[name] == 7
    in_url = SQLAlchemyJobStore(sa.make_url(url).update_query_dict({name: "8"}))
    assert int(connection_arguments(in_url)[name]) == 8


def connection_arguments(store: SQLAlchemyJobStore) -> dict[str, Any]:
    """Return what the driver is told when it connects."""
    told: dict[str, Any] = {}
    sa.event.listen(store.engine, "do_connect", lambda _, __, ___, given: told.update(given))
    store.engine.connect().close()
    store.engine.dispose()
    return told


# --- SQLite -------------------------------------------------------------------------------------


def test_a_new_file_uses_write_ahead_logging_and_an_old_one_stays_as_it_is(path: Path) -> None:
    with running(SQLAlchemyJobStore(f"sqlite:///{path}")):
        pass
    assert journal_mode(path) == "wal"

    old = path.with_name("old.sqlite")
    with sqlite3.connect(old) as connection:
        connection.execute("CREATE TABLE other (id INTEGER)")
    with running(SQLAlchemyJobStore(f"sqlite:///{old}")):
        pass
    assert journal_mode(old) == "delete"


def journal_mode(path: Path) -> Any:
    with sqlite3.connect(path) as connection:
        return connection.execute("PRAGMA journal_mode").fetchone()[0]


@pytest.mark.parametrize(("options", "milliseconds"), [({}, 30_000), ({"timeout": 2}, 2_000)])
def test_a_busy_timeout_is_set(path: Path, options: dict[str, Any], milliseconds: int) -> None:
    store = SQLAlchemyJobStore(f"sqlite:///{path}", engine_options={"connect_args": options})
    with store.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == milliseconds
    store.engine.dispose()


@pytest.mark.parametrize("make_url", ["sqlite://", "sqlite:///:memory:", "sqlite:///{}"])
def test_sqlite_is_used_from_several_threads(path: Path, make_url: str) -> None:
    store = SQLAlchemyJobStore(make_url.format(path))
    with running(store) as scheduler:

        def add_and_look_up(i: int) -> bool:
            job = scheduler.add_job(record, "interval", hours=1, id=str(i))
            return store.lookup_job(job.id) == job

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(add_and_look_up, range(100)))
        assert len(scheduler.get_jobs()) == 100


@pytest.mark.parametrize("options", [{"pool_size": 5}, {"pool_size": 0}, {"max_overflow": 5}])
def test_a_database_in_memory_has_one_connection_whatever_size_the_pool_is_to_have(
    options: dict[str, Any],
) -> None:
    store = SQLAlchemyJobStore("sqlite://", engine_options=options)
    barrier = Barrier(3)

    def look() -> list[Any]:
        barrier.wait(10)
        return [store.get_all_jobs() for _ in range(20)]

    with running(store) as scheduler:
        job = scheduler.add_job(record, "interval", hours=1)
        with ThreadPoolExecutor(3) as pool:
            looks = [pool.submit(look) for _ in range(3)]
        assert [found.result() for found in looks] == [[[job]] * 20] * 3


def test_a_subclass_may_look_at_jobs_as_they_come(path: Path) -> None:
    seen: list[type] = []

    class Watching(SQLAlchemyJobStore):
        def _reconstitute_job(self, job_state: Any) -> Any:
            seen.append(type(job_state))
            return super()._reconstitute_job(job_state)

    store = Watching(f"sqlite:///{path}")
    with running(store) as scheduler:
        scheduler.add_job(record, "interval", hours=1, id="job")
        readers: list[Callable[[], object]] = [
            lambda: store.lookup_job("job"),
            lambda: store.get_due_jobs(NOW + HOUR),
            store.get_all_jobs,
            lambda: store._get_jobs(store.jobs_t.c.id == "job"),
        ]
        for read in readers:
            seen.clear()
            assert read()
            assert seen == [bytes]


def test_an_engine_with_a_database_for_each_thread_tells_other_threads_so() -> None:
    engine = sa.create_engine("sqlite://")
    store = SQLAlchemyJobStore(engine=engine)
    with running(store) as scheduler:
        scheduler.add_job(record, "date", ["ran"], run_date=NOW, id="job")
        with ThreadPoolExecutor(1) as pool:
            error = pool.submit(store.get_next_run_time).exception()
            assert isinstance(error, RuntimeError)
            assert 'url="sqlite://"' in str(error)
        scheduler.run_due()
        assert runs == ["ran"]

    with ThreadPoolExecutor(1) as pool:  # it is the user's own again
        assert pool.submit(lambda: engine.connect().close()).exception() is None


@pytest.mark.parametrize(
    ("url", "options"),
    [
        (
            "sqlite://",
            {"poolclass": sa.StaticPool, "connect_args": {"check_same_thread": False}},
        ),
        (
            "sqlite:///file:shared?mode=memory&cache=shared&uri=true",
            {"poolclass": SingletonThreadPool},
        ),
        ("sqlite:///file::memory:?cache=shared&uri=true", {"poolclass": SingletonThreadPool}),
    ],
)
def test_an_in_memory_engine_with_one_database_serves_all_threads(
    url: str, options: dict[str, Any]
) -> None:
    engine = sa.create_engine(url, **options)
    with running(SQLAlchemyJobStore(engine=engine)) as scheduler:
        scheduler.add_job(record, "interval", hours=1, id="job")
        with ThreadPoolExecutor(1) as pool:
            assert [job.id for job in pool.submit(scheduler.get_jobs).result()] == ["job"]
    engine.dispose()
