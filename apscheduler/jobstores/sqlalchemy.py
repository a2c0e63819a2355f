"""Jobs in a database that SQLAlchemy speaks to: SQLite, PostgreSQL, MySQL, MariaDB and others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from .._refs import maybe_ref
from ..job import Job
from .base import ConflictingIdError
from .persistent import PICKLE_PROTOCOL, PersistentJobStore, Record, chunks

try:
    from sqlalchemy import (
        Column,
        Connection,
        Engine,
        Executable,
        Float,
        LargeBinary,
        MetaData,
        Table,
        Unicode,
        bindparam,
        event,
        func,
        insert,
        literal,
        make_url,
        select,
        text,
        update,
    )
    from sqlalchemy.dialects import mysql, postgresql
    from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError

    from ._sqlalchemy_engines import (
        MYSQL,
        has_database_per_thread,
        is_lax,
        make_engine,
        refuse_other_thread,
        strictly,
    )
    from ._sqlalchemy_errors import has_ended_for_others, lacks_default, taken_id
except ImportError as exc:
    raise ImportError(
        "SQLAlchemyJobStore needs SQLAlchemy 2: pip install apscheduler[sqlalchemy]"
    ) from exc

if TYPE_CHECKING:
    from sqlalchemy import URL, ColumnElement, FromClause, TextClause

    from ..schedulers.base import BaseScheduler

# So many ids go into one statement: SQLite took no more than 999 parameters before release 3.32.
IDS_PER_STATEMENT = 900

# So much goes into one statement for PostgreSQL, which is to be done before the timeout.
ARRAY_LENGTH = 10_000
ARRAY_BYTES = 16_000_000

ID_LENGTH = 191  # the longest key that MySQL can index in utf8mb4

# Earlier than any datetime. While PostgreSQL has no statistics of the table, say just after many
# jobs were added, it takes one bound to let through a third of the rows, and reads all of them.
BEFORE_ALL = -1e11

# So often a write is tried that the server ends each time so that others can go on.
TRANSACTION_ATTEMPTS = 5

ResultT = TypeVar("ResultT")


class SQLAlchemyJobStore(PersistentJobStore):
    """
    Keeps jobs in a table of a database, which is created when the store starts.

    An SQLite file that is new is set to write-ahead logging, so that readers and the writer do
    not wait for each other.

    :param url: where the database is: an SQLAlchemy URL
    :param engine: an engine to use instead, or a reference to one (``"module:name"``); it is left
        open at shutdown. One of an in-memory SQLite must not keep a database for each thread, as
        ``create_engine("sqlite://")`` does: other threads than that of the start are refused.
        With ``cache=shared`` in its URL, there is one database
    :param tablename: name of the table
    :param metadata: the MetaData that the table becomes part of; None for its own
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param tableschema: database schema of the table; None for the default one
    :param engine_options: arguments of ``create_engine()``, if ``url`` is given; timeouts in its
        ``connect_args``, or in the URL, come before ours. An in-memory SQLite has one connection,
        whatever size the pool is to have, unless ``pool`` or ``poolclass`` is given
    :raises ValueError: if neither ``url`` nor ``engine`` is given
    """

    #: the engine in use
    engine: Engine
    #: the table that holds the jobs
    jobs_t: Table

    def __init__(
        self,
        url: str | URL | None = None,
        engine: Engine | str | None = None,
        tablename: str = "apscheduler_jobs",
        metadata: MetaData | str | None = None,
        pickle_protocol: int = PICKLE_PROTOCOL,
        tableschema: str | None = None,
        engine_options: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(pickle_protocol)
        self._owns_engine = engine is None
        if engine is not None:
            self.engine = maybe_ref(engine)
        elif url:
            self.engine = make_engine(make_url(url), engine_options or {})
        else:
            raise ValueError('SQLAlchemyJobStore needs either "url" or "engine"')

        self.jobs_t = _table(tablename, maybe_ref(metadata), tableschema)
        self._while_writing: Callable[[Connection], AbstractContextManager[object]] = nullcontext

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self._create_table()
        is_to_be_strict = not self._owns_engine and is_lax(self.engine)
        self._while_writing = strictly if is_to_be_strict else nullcontext
        if has_database_per_thread(self.engine):
            event.listen(self.engine, "connect", refuse_other_thread)

    def _create_table(self) -> None:
        try:
            self.jobs_t.create(self.engine, checkfirst=True)
        except DatabaseError:
            # Another process may have created it in the meantime, which this finds out.
            self.jobs_t.create(self.engine, checkfirst=True)

    def shutdown(self) -> None:
        super().shutdown()
        if event.contains(self.engine, "connect", refuse_other_thread):
            event.remove(self.engine, "connect", refuse_other_thread)
        if self._owns_engine:
            self.engine.dispose()

    def after_fork(self) -> None:
        super().after_fork()
        if self._owns_engine:
            # The connections belong to the parent, which goes on using them.
            self.engine.dispose(close=False)

    # --- reading -------------------------------------------------------------------------------

    def _read(self, job_id: str) -> Job | None:
        with self.engine.connect() as connection:
            query = self._select().where(self.jobs_t.c.id == job_id)
            found = connection.execute(query).one_or_none()

        # Also MySQL's idea of equal ids is not ours.
        return None if found is None or found.id != job_id else self._restore_row(*found)

    def _read_many(self, job_ids: Sequence[str]) -> list[Job]:
        query, known = self._select(), set(job_ids)
        rows = (
            row
            for ids in _chunks(job_ids)
            for row in self._rows(query.where(self.jobs_t.c.id.in_(ids)))
        )
        return self._restore_rows(row for row in rows if row.id in known)

    def _read_due(self, timestamp: float) -> list[Job]:
        return self._get_jobs(self.jobs_t.c.next_run_time.between(BEFORE_ALL, timestamp))

    def _read_all(self) -> list[Job]:
        return self._get_jobs()

    def _get_jobs(self, *conditions: ColumnElement[bool]) -> list[Job]:
        """Return the jobs whose rows meet all conditions, by next run time."""
        query = self._select().where(*conditions).order_by(self.jobs_t.c.next_run_time)
        return self._restore_rows(self._rows(query))

    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        time = self.jobs_t.c.next_run_time
        query = self._select().order_by(time).limit(limit)
        return self._rows(query.where(time.is_not(None) if after is None else time > after))

    def _select(self) -> Any:  # a Select, which has a type for each column since 2.1
        columns = self.jobs_t.c
        return select(columns.id, columns.next_run_time, columns.job_state)

    def _rows(self, query: Executable) -> Sequence[Any]:
        with self.engine.connect() as connection:
            return connection.execute(query).all()

    # --- writing -------------------------------------------------------------------------------

    def _transact(self, action: Callable[[Connection], ResultT]) -> ResultT:
        """Act in a transaction; again if the server ends it so that others can go on."""
        attempts = TRANSACTION_ATTEMPTS
        while True:
            attempts -= 1
            try:
                with self.engine.begin() as connection, self._while_writing(connection):
                    return action(connection)
            except DBAPIError as exc:
                if not attempts or not has_ended_for_others(exc):
                    raise

    def _write_new(self, records: Sequence[Record]) -> None:
        self._check_ids(records)
        records = _in_order(records)
        try:
            self._transact(lambda connection: self._insert(connection, records))
        except IntegrityError as exc:
            taken = self._find_taken([record.id for record in records], exc)
            if taken is None:
                raise
            raise ConflictingIdError(taken) from exc

    def _check_ids(self, records: Sequence[Record]) -> None:
        """Refuse ids that MySQL would cut, if it is not told to be strict."""
        if self.engine.dialect.name not in MYSQL:
            return

        for record in records:
            if len(record.id) > ID_LENGTH:
                raise ValueError(
                    f"The job id {record.id!r} has {len(record.id)} characters. "
                    f"MySQL and MariaDB keep at most {ID_LENGTH}; give a shorter id"
                )

    def _insert(self, connection: Connection, records: Sequence[Record]) -> None:
        if len(records) == 1 or connection.dialect.name != "postgresql":
            connection.execute(insert(self.jobs_t), _rows_of(records))
            return

        names = ["id", "next_run_time", "job_state"]
        for part in chunks(records, ARRAY_LENGTH, ARRAY_BYTES):
            rows = select(_unnested(part))
            connection.execute(insert(self.jobs_t).from_select(names, rows))

    def _find_taken(self, job_ids: Sequence[str], error: IntegrityError) -> str | None:
        with self.engine.connect() as connection:
            found = self._find(connection, job_ids)
        if found:
            return found[0]

        # It was removed in the meantime, or MySQL takes the id for equal to another one.
        return taken_id(error, self.jobs_t.name, job_ids)

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        records = _in_order(records)
        return self._transact(lambda connection: self._update(connection, records))

    def _update(self, connection: Connection, records: Sequence[Record]) -> list[str]:
        # For these, many updates in a row would be as many round trips.
        if len(records) > 1 and connection.dialect.name == "postgresql":
            return self._update_from_arrays(connection, records)
        if connection.dialect.name in MYSQL:
            return self._update_by_upsert(connection, records)

        return self._update_each(connection, records)

    def _update_each(self, connection: Connection, records: Sequence[Record]) -> list[str]:
        changes = update(self.jobs_t).where(self.jobs_t.c.id == bindparam("key"))
        changes = changes.values(
            next_run_time=bindparam("next_run_time"), job_state=bindparam("job_state")
        )
        rows = [
            {"key": id, "next_run_time": timestamp, "job_state": data}
            for id, timestamp, data in records
        ]
        if connection.execute(changes, rows).rowcount == len(records):
            return []

        ids = [record.id for record in records]
        return _missing(ids, self._find(connection, ids))

    def _update_from_arrays(self, connection: Connection, records: Sequence[Record]) -> list[str]:
        """Send many rows as three arrays, by one statement."""
        table = self.jobs_t
        found: list[str] = []
        for part in chunks(records, ARRAY_LENGTH, ARRAY_BYTES):
            rows = _unnested(part)
            changes = update(table).where(table.c.id == rows.c.id)
            changes = changes.values(
                next_run_time=rows.c.next_run_time, job_state=rows.c.job_state
            )
            found += connection.scalars(changes.returning(table.c.id))

        return _missing([record.id for record in records], found)

    def _update_by_upsert(self, connection: Connection, records: Sequence[Record]) -> list[str]:
        """Lock the rows that are there, then insert over them, which the drivers do in bulk."""
        ids = [record.id for record in records]
        missing = _missing(ids, self._find(connection, ids, lock=True))
        gone = set(missing)
        there = [record for record in records if record.id not in gone]
        if there:
            try:
                connection.execute(self._upsert(connection), _rows_of(there))
            except DBAPIError as exc:
                if not lacks_default(exc):
                    raise
                # Somebody has added a column. It has a value in the rows that are there.
                self._update_each(connection, there)

        return missing

    def _upsert(self, connection: Connection) -> TextClause:
        # SQLAlchemy's own construct gives MySQL 8 a form that PyMySQL does not send in bulk.
        preparer = connection.dialect.identifier_preparer
        table = preparer.format_table(self.jobs_t, use_schema=False)
        schema = connection.schema_for_object(self.jobs_t)  # as schema_translate_map has it
        if schema is not None:
            table = f"{preparer.quote_schema(schema)}.{table}"
        statement = text(
            f"INSERT INTO {table} (id, next_run_time, job_state) "
            "VALUES (:id, :next_run_time, :job_state) ON DUPLICATE KEY UPDATE "
            "next_run_time = VALUES(next_run_time), job_state = VALUES(job_state)"
        )
        return statement.bindparams(bindparam("job_state", type_=LargeBinary()))

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        in_order = sorted(job_ids)
        found = set(self._transact(lambda connection: self._delete_rows(connection, in_order)))
        return [job_id for job_id in job_ids if job_id not in found]

    def _delete_rows(self, connection: Connection, job_ids: Sequence[str]) -> list[str]:
        """Return the ids of the rows that were there."""
        table = self.jobs_t
        found: list[str] = []
        for ids in _chunks(job_ids):
            if connection.dialect.delete_returning and connection.dialect.name not in MYSQL:
                removal = table.delete().where(table.c.id.in_(ids))
                found += connection.scalars(removal.returning(table.c.id))
            else:
                there = self._find(connection, ids, lock=True)
                connection.execute(table.delete().where(table.c.id.in_(there)))
                found += there

        return found

    def _delete_all(self) -> None:
        self._transact(lambda connection: connection.execute(self.jobs_t.delete()))

    def _find(
        self, connection: Connection, job_ids: Sequence[str], lock: bool = False
    ) -> list[str]:
        """
        Return which of the ids are there; lock their rows until the transaction ends.

        MySQL takes "job" and "job " for equal, and with the tables of 3.x also "Job": what is
        written goes to rows that were found here, so to no other job.
        """
        found: list[str] = []
        for ids in _chunks(job_ids):
            query = select(self.jobs_t.c.id).where(self.jobs_t.c.id.in_(ids))
            rows = connection.scalars(query.with_for_update() if lock else query)
            there = set(rows)
            found += [job_id for job_id in ids if job_id in there]

        return found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (url={self.engine.url})>"


def _table(name: str, metadata: MetaData | None, schema: str | None) -> Table:
    # The layout of 3.x. MySQL's variants keep what its defaults for these types would lose:
    # characters, the difference between "A" and "a" in an id, and all beyond 64 kB.
    mysql_id = mysql.VARCHAR(ID_LENGTH, charset="utf8mb4", collation="utf8mb4_bin")
    return Table(
        name,
        MetaData() if metadata is None else metadata,
        Column(
            "id", Unicode(ID_LENGTH).with_variant(mysql_id, "mysql", "mariadb"), primary_key=True
        ),
        # 25 bits are asked for; every database gives the 53 that microseconds need.
        Column("next_run_time", Float(25), index=True),
        Column(
            "job_state",
            LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"),
            nullable=False,
        ),
        schema=schema,
    )


def _rows_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    return [
        {"id": id, "next_run_time": timestamp, "job_state": data}
        for id, timestamp, data in records
    ]


def _unnested(records: Sequence[Record]) -> FromClause:
    """Return the records as a table that PostgreSQL makes of three arrays."""
    ids, timestamps, states = zip(*records, strict=True)
    arrays = (
        literal(list(ids), postgresql.ARRAY(Unicode())),
        literal(list(timestamps), postgresql.ARRAY(Float(53))),
        literal(list(states), postgresql.ARRAY(LargeBinary())),
    )
    table = func.unnest(*arrays).table_valued("id", "next_run_time", "job_state", name="given")
    return table.render_derived()


def _in_order(records: Sequence[Record]) -> Sequence[Record]:
    """Sort by id: two processes that lock the same rows in different order stop each other."""
    return sorted(records) if len(records) > 1 else records


def _chunks(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(job_ids), IDS_PER_STATEMENT):
        yield job_ids[start : start + IDS_PER_STATEMENT]


def _missing(job_ids: Sequence[str], found: Sequence[str]) -> list[str]:
    known = set(found)
    return [job_id for job_id in job_ids if job_id not in known]
