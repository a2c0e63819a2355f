"""Engines of SQLAlchemy for the job store: what each database is told, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from inspect import signature
from typing import TYPE_CHECKING, Any

from sqlalchemy import create_engine, event
from sqlalchemy.pool import QueuePool, SingletonThreadPool

from .persistent import ANSWER_TIMEOUT, CONNECT_TIMEOUT

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

MYSQL = ("mysql", "mariadb")  # what SQLAlchemy calls it

# Seconds for which SQLite waits until another process has ended its write.
SQLITE_BUSY_TIMEOUT = 30

_KEEPALIVES = {
    "connect_timeout": CONNECT_TIMEOUT,
    "keepalives": 1,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}

_STRICT = "CONCAT_WS(',', NULLIF(@@SESSION.sql_mode, ''), 'STRICT_ALL_TABLES')"

# By driver, for engines that we make: one server that hangs must not stop other stores for ever.
TIMEOUTS: dict[str, dict[str, int]] = {
    "pymysql": {
        "connect_timeout": CONNECT_TIMEOUT,
        "read_timeout": ANSWER_TIMEOUT,
        "write_timeout": ANSWER_TIMEOUT,
    },
    "psycopg": {**_KEEPALIVES, "tcp_user_timeout": ANSWER_TIMEOUT * 1000},
    "psycopg2": _KEEPALIVES,  # may be built with a libpq that does not know the other
}


def make_engine(url: URL, options: Mapping[str, Any]) -> Engine:
    if url.get_backend_name() != "sqlite":
        return _create_engine_of_server(url, options)

    if url.get_driver_name() == "pysqlite":
        connect_args = {"timeout": SQLITE_BUSY_TIMEOUT, **options.get("connect_args", {})}
        options = {**options, "connect_args": connect_args}
        if _is_in_memory(url) and not {"pool", "poolclass"} & options.keys():
            # One connection for all threads: another one would open another, empty database.
            options |= {"poolclass": QueuePool, "pool_size": 1, "max_overflow": 0}
            connect_args.setdefault("check_same_thread", False)

    engine = create_engine(url, **options)
    event.listen(engine, "connect", _set_up_new_file)
    return engine


def _create_engine_of_server(url: URL, options: Mapping[str, Any]) -> Engine:
    timeouts = {
        name: value
        for name, value in TIMEOUTS.get(url.get_driver_name(), {}).items()
        if name not in url.query
    }
    connect_args = {**timeouts, **options.get("connect_args", {})}
    # A connection that broke while nobody used it is replaced, rather than found out by a job.
    defaults = {} if "pool" in options else {"pool_pre_ping": True}
    engine = create_engine(url, **{**defaults, **options, "connect_args": connect_args})
    if engine.dialect.name in MYSQL:
        event.listen(engine, "connect", _be_strict)
    if engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", _send_binary_arrays)
        milliseconds = {**url.query, **connect_args}["tcp_user_timeout"]
        if int(milliseconds):  # 0: none
            seconds = int(milliseconds) / 1000
            event.listen(engine, "connect", partial(_wait_at_most, seconds=seconds))

    return engine


def _send_binary_arrays(connection: Any, _: object) -> None:
    """Have psycopg send arrays as they are, which takes the server a third of the time of text."""
    from psycopg.types.array import ListBinaryDumper  # the connection is psycopg's own

    connection.adapters.register_dumper(list, ListBinaryDumper)


def _wait_at_most(connection: Any, _: object, seconds: float) -> None:
    """Have psycopg close a connection that gives no answer. Before release 3.3, it cannot."""
    wait = connection.wait
    if "timeout" not in signature(wait).parameters:
        return

    def wait_at_most(generator: Any, **options: Any) -> Any:
        try:
            return wait(generator, **{"timeout": seconds, **options})
        except Exception:
            if connection.info.transaction_status.name == "ACTIVE":  # still without an answer
                connection.close()
            raise

    connection.wait = wait_at_most


def _be_strict(connection: Any, _: object) -> None:
    """Have MySQL refuse what does not fit, rather than cut it."""
    cursor = connection.cursor()
    try:
        cursor.execute(f"SET SESSION sql_mode = {_STRICT}")
    finally:
        cursor.close()


def is_lax(engine: Engine) -> bool:
    """Tell whether it is MySQL that cuts what does not fit."""
    if engine.dialect.name not in MYSQL:
        return False

    with engine.connect() as connection:
        return (
            "STRICT_" not in connection.exec_driver_sql("SELECT @@SESSION.sql_mode").scalar_one()
        )


@contextmanager
def strictly(connection: Connection) -> Iterator[None]:
    """Have MySQL refuse what does not fit, on a connection that others use otherwise."""
    connection.exec_driver_sql(
        f"SET @apscheduler_sql_mode = @@SESSION.sql_mode, SESSION sql_mode = {_STRICT}"
    )
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql("SET SESSION sql_mode = @apscheduler_sql_mode")


def has_database_per_thread(engine: Engine) -> bool:
    is_shared = engine.url.query.get("cache") == "shared"
    is_per_thread = isinstance(engine.pool, SingletonThreadPool)
    return is_per_thread and _is_in_memory(engine.url) and not is_shared


def _is_in_memory(url: URL) -> bool:
    return (
        url.database in (None, "", ":memory:", "file::memory:")
        or url.query.get("mode") == "memory"
    )


def refuse_other_thread(_: object, __: object) -> None:
    raise RuntimeError(
        "The engine of this job store keeps an in-memory database of its own for each thread, so "
        'the jobs are not to be found in this one -- give url="sqlite://" instead of the engine, '
        'or make it with poolclass=StaticPool, connect_args={"check_same_thread": False}'
    )


def _set_up_new_file(connection: Any, _: object) -> None:
    """Choose write-ahead logging for an SQLite file that holds nothing yet."""
    cursor = connection.cursor()
    try:
        if cursor.execute("PRAGMA page_count").fetchone()[0] == 0:
            # It may be locked by another process, which then does the same.
            with suppress(Exception):
                cursor.execute("PRAGMA journal_mode = WAL")
    finally:
        cursor.close()
