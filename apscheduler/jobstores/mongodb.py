"""Jobs in a collection of MongoDB."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._refs import maybe_ref
from ..job import Job
from .base import ConflictingIdError
from .persistent import (
    ANSWER_TIMEOUT,
    CONNECT_TIMEOUT,
    PICKLE_PROTOCOL,
    PersistentJobStore,
    Record,
    Row,
    chunks,
)

try:
    from pymongo import ASCENDING, DeleteMany, MongoClient, UpdateOne
    from pymongo.errors import BulkWriteError, ConnectionFailure
except ImportError as exc:
    raise ImportError("MongoDBJobStore needs pymongo: pip install apscheduler[mongodb]") from exc

if TYPE_CHECKING:
    from pymongo.collection import Collection

    from ..schedulers.base import BaseScheduler

    Document = dict[str, Any]

# So much goes into one insertion, which the driver then sends as one command; or one document
# that is larger, and refused before it is sent.
CHUNK_DOCUMENTS = 10_000
CHUNK_BYTES = 16_000_000

# So many ids go into one query, which may have 16 MB.
IDS_PER_QUERY = 10_000

_NO_BYTES = b"job_state holds no bytes but "  # no pickle begins so

_DUPLICATE_KEY = 11000  # MongoDB's number for it

# Milliseconds, by option
_TIMEOUTS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": CONNECT_TIMEOUT * 1_000,
    "socketTimeoutMS": ANSWER_TIMEOUT * 1_000,
}


class MongoDBJobStore(PersistentJobStore):
    """
    Keeps jobs as documents of a collection, with an index of their run times.

    MongoDB itself may answer before a write is safe from a crash; give ``journal=True`` to have
    it wait for that.

    :param database: name of the database
    :param collection: name of the collection
    :param client: a client to use, or a reference to one (``"module:name"``); it is left open at
        shutdown
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param connect_args: arguments of :class:`pymongo.MongoClient`, such as ``host``, if no
        ``client`` is given; unless they say otherwise, 5 seconds are waited for a server
        (``serverSelectionTimeoutMS``), 10 for a connection (``connectTimeoutMS``), and 30 for an
        answer (``socketTimeoutMS``)
    :raises ValueError: if a name is empty
    """

    #: the client in use
    client: MongoClient[Document]
    #: the collection that holds the jobs
    collection: Collection[Document]

    def __init__(
        self,
        database: str = "apscheduler",
        collection: str = "jobs",
        client: Any = None,
        pickle_protocol: int = PICKLE_PROTOCOL,
        **connect_args: Any,
    ) -> None:
        super().__init__(pickle_protocol)
        for name, value in (("database", database), ("collection", collection)):
            if not value:
                raise ValueError(f'MongoDBJobStore needs a "{name}" that is not empty')

        self._names = database, collection
        # None: the client is not ours to make or to close.
        self._connect_args = connect_args if client is None else None
        self._must_connect = False
        self._use(self._connect() if client is None else maybe_ref(client))

    def _connect(self) -> MongoClient[Document]:
        self._must_connect = False
        arguments = dict(self._connect_args or {})
        given = {name.lower() for name in arguments}
        host = str(arguments.get("host")).lower()
        for name, milliseconds in _TIMEOUTS.items():
            if name.lower() not in given and name.lower() not in host:
                arguments[name] = milliseconds
        return MongoClient(**arguments)

    def _use(self, client: MongoClient[Document]) -> None:
        database, collection = self._names
        self.client = client
        self.collection = client[database][collection]

    @property
    def connection(self) -> MongoClient[Document]:
        """The client in use, by its old name."""
        return self.client

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._must_connect:
            self._use(self._connect())

        self.collection.create_index("next_run_time", sparse=True)

    def shutdown(self) -> None:
        super().shutdown()
        if self._connect_args is not None:
            self.client.close()
            self._must_connect = True

    def after_fork(self) -> None:
        super().after_fork()
        self._must_connect = self._connect_args is not None  # clients do not survive a fork

    # --- reading -------------------------------------------------------------------------------

    def _read(self, job_id: str) -> Job | None:
        document = self.collection.find_one({"_id": job_id})
        return None if document is None else self._restore_row(*_row_of(document))

    def _read_many(self, job_ids: Sequence[str]) -> list[Job]:
        return [
            job for ids in _chunks(job_ids) for job in self._get_jobs({"_id": {"$in": list(ids)}})
        ]

    def _read_due(self, timestamp: float) -> list[Job]:
        return self._get_jobs({"next_run_time": {"$lte": timestamp}})

    def _read_all(self) -> list[Job]:
        return self._get_jobs({})

    def _get_jobs(self, conditions: Mapping[str, Any]) -> list[Job]:
        """Return the jobs whose documents meet the conditions, by next run time."""
        documents = self.collection.find(conditions, sort=[("next_run_time", ASCENDING)])
        return self._restore_rows(map(_row_of, documents))

    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        # A comparison with a number finds numbers only, and so no paused jobs.
        later = {"next_run_time": {"$gt": float("-inf") if after is None else after}}
        documents = self.collection.find(later, sort=[("next_run_time", ASCENDING)], limit=limit)
        return [(found["_id"], found["next_run_time"], _state_of(found)) for found in documents]

    def _load(self, data: bytes) -> Job:
        if data.startswith(_NO_BYTES):
            raise TypeError(data.decode())

        return super()._load(data)

    # --- writing -------------------------------------------------------------------------------

    def _write_new(self, records: Sequence[Record]) -> None:
        with self._all_or_none() as written:
            for part in chunks(records, CHUNK_DOCUMENTS, CHUNK_BYTES):
                with self._unless_landed(part, self._read_states, ConnectionFailure):
                    self._insert(part, written)
                written += (record.id for record in part)

    def _read_states(self, job_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        for document in self.collection.find({"_id": {"$in": list(job_ids)}}):
            yield document["_id"], _state_of(document)

    def _insert(self, records: Sequence[Record], written: list[str]) -> None:
        """Insert by one command; if only a part can be, add the ids of that to those written."""
        documents = [
            {"_id": id, "next_run_time": timestamp, "job_state": data}
            for id, timestamp, data in records
        ]
        ids = [record.id for record in records]
        try:
            self.collection.insert_many(documents)
        except BulkWriteError as exc:
            errors = (exc.details or {}).get("writeErrors")
            if not errors:  # all are there, but the server cannot say how safe they are
                written += ids
                raise
            # They are inserted in order, up to the first one that cannot be.
            failed = errors[0]["index"]
            written += ids[:failed]
            if errors[0].get("code") != _DUPLICATE_KEY:
                raise
            raise ConflictingIdError(ids[failed]) from exc
        except ConnectionFailure:  # it broke anywhere between the first document and the answer
            written += self._landed(records, self._read_states)
            raise

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        changes = [
            UpdateOne({"_id": id}, {"$set": {"next_run_time": timestamp, "job_state": data}})
            for id, timestamp, data in records
        ]
        if self.collection.bulk_write(changes, ordered=False).matched_count == len(records):
            return []

        return self._find_missing([record.id for record in records])

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        if not job_ids:
            return []

        if len(job_ids) == 1:
            deleted = self.collection.delete_one({"_id": job_ids[0]}).deleted_count
            return [] if deleted else list(job_ids)

        missing = self._find_missing(job_ids)
        result = self.collection.bulk_write(
            [DeleteMany({"_id": {"$in": ids}}) for ids in _chunks(job_ids)], ordered=False
        )
        if result.deleted_count == len(job_ids):
            return []  # also those that came after we had looked
        if result.deleted_count == 0:
            return list(job_ids)  # others removed them after we had looked

        # Or who removed some of them is not known: a run may be one too many, but none is lost.
        return missing

    def _find_missing(self, job_ids: Sequence[str]) -> list[str]:
        found = set()
        for ids in _chunks(job_ids):
            found |= {
                document["_id"] for document in self.collection.find({"_id": {"$in": ids}}, [])
            }

        return [job_id for job_id in job_ids if job_id not in found]

    def _delete_all(self) -> None:
        self.collection.delete_many({})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (client={self.client})>"


def _row_of(document: Mapping[str, Any]) -> Row:
    return document["_id"], document.get("next_run_time"), _state_of(document)


def _state_of(document: Mapping[str, Any]) -> bytes:
    """Return the state; for one that is no bytes, bytes that say so."""
    state = document.get("job_state", b"")
    # Other for each value: the job is tried again once it has changed.
    return state if isinstance(state, bytes) else _NO_BYTES + repr(state).encode()


def _chunks(job_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(job_ids), IDS_PER_QUERY):
        yield job_ids[start : start + IDS_PER_QUERY]
