"""Jobs in etcd 3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ._nodes import NodeJobStore
from .base import ConflictingIdError
from .persistent import ANSWER_TIMEOUT, Record, chunks

try:
    import etcd3
    from etcd3.utils import prefix_range_end
    from grpc import RpcError, StatusCode
except ImportError as exc:
    raise ImportError("EtcdJobStore needs cslab-etcd3: pip install apscheduler[etcd]") from exc

# An etcd that was not told otherwise takes 128 operations and 1.5 MB in one transaction.
CHUNK_KEYS = 128
CHUNK_BYTES = 1_000_000

# So many keys are asked for at a time, unless the answer is more than the client takes.
PAGE = 1000


class EtcdJobStore(NodeJobStore):
    """
    Keeps each job under a key of etcd, and asks for what has changed since it asked last.

    Meant for some thousands of jobs: for more, a database with an index of the run times is
    faster. etcd itself refuses jobs of 1.5 MB and more.

    :param path: what the keys begin with
    :param client: a client to use, or a reference to one (``"module:name"``); it is left open at
        shutdown unless ``close_connection_on_exit`` is true. Make it with the ``grpc_options``
        ``("grpc.max_receive_message_length", -1)``, or answers of more than 4 MB are asked for
        again in parts, and ``("grpc.max_reconnect_backoff_ms", 1000)``, or it may take two
        minutes to notice that a server is back
    :param close_connection_on_exit: whether to close a ``client`` that was given at shutdown
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param connect_args: arguments of ``etcd3.client()``, such as ``host``, if no ``client`` is
        given; its ``timeout``, for each request, is 30 seconds unless they say otherwise
    :raises ValueError: if ``path`` is empty
    """

    def _connect(self, arguments: Mapping[str, Any]) -> Any:
        options = {
            "timeout": ANSWER_TIMEOUT,
            "grpc_options": [
                ("grpc.max_receive_message_length", -1),  # a page of large jobs is large
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
            **arguments,
        }
        client = etcd3.client(**options)
        for endpoint in client.endpoints.values():
            endpoint.time_retry = 0.0  # there is no other server to turn to for five minutes
        return client

    def _disconnect(self) -> None:
        self.client.close()

    @property
    def _prefix(self) -> str:
        return self.path.rstrip("/") + "/"

    def _key(self, job_id: str) -> str:
        return self._prefix + job_id

    def _id(self, key: bytes) -> str:
        # Ids of ours are UTF-8; any others must not keep these from being read.
        return key[len(self._prefix.encode()) :].decode(errors="backslashreplace")

    # --- the index -----------------------------------------------------------------------------

    # Of the last answer that the index has seen: none yet.
    _revision = 0
    _raft_term = 0

    def _forget_index(self) -> None:
        super()._forget_index()
        self._revision = 0

    def _refresh(self) -> None:
        if self._revision and self._is_up_to_date():
            return

        pages = list(self._pages(min_mod_revision=self._revision + 1))
        header = pages[0].header
        if header.revision < self._revision or header.raft_term < self._raft_term:
            # Both only ever grow, unless somebody has put back an older snapshot.
            self._forget_index()
            pages = list(self._pages())
        for page in pages:
            for entry in page.kvs:
                self._index_node(self._id(entry.key), entry.value)

        # The first page counts all keys, changed or not: what the index has beyond was removed.
        revision, self._raft_term = pages[0].header.revision, pages[0].header.raft_term
        if pages[0].count != len(self._index):
            there = {
                self._id(entry.key)
                for page in self._pages(revision=revision, keys_only=True)
                for entry in page.kvs
            }
            for job_id in self._index.keys() - there:
                self._unindex(job_id)

        self._revision = revision

    def _is_up_to_date(self) -> bool:
        """Tell whether nobody has written anything since: to find changes takes a look at all."""
        answer = self.client.get_range_response(self._prefix, None, keys_only=True)
        return (answer.header.revision, answer.header.raft_term) == (
            self._revision,
            self._raft_term,
        )

    # --- reading -------------------------------------------------------------------------------

    def _pages(self, revision: int | None = None, **options: Any) -> Iterator[Any]:
        """Yield the keys, many at a time, as they were at one revision; None: the present one."""
        start, more, limit = self._prefix.encode(), True, PAGE
        end = prefix_range_end(start)
        while more:
            try:
                page = self.client.get_range_response(
                    start, end, sort_order="ascend", limit=limit, revision=revision, **options
                )
            except RpcError as exc:
                limit = _half(limit, exc)
                continue

            yield page
            more = page.more
            if more:
                start = page.kvs[-1].key + b"\0"  # the first key behind it
                revision = revision or page.header.revision

    def _read_nodes(self, job_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        get = self.client.transactions.get
        start, limit = 0, CHUNK_KEYS
        while part := job_ids[start : start + limit]:
            try:
                _, answers = self.client.transaction(
                    compare=[], success=[get(self._key(job_id)) for job_id in part], failure=[]
                )
            except RpcError as exc:
                limit = _half(len(part), exc)
                continue

            start += len(part)
            for job_id, found in zip(part, answers, strict=True):
                yield from ((job_id, value) for value, _ in found)

    def _read_all_nodes(self) -> Iterator[tuple[str, bytes]]:
        for page in self._pages():
            for entry in page.kvs:
                yield self._id(entry.key), entry.value

    # --- writing -------------------------------------------------------------------------------

    def _parts(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        return chunks(records, CHUNK_KEYS, CHUNK_BYTES)

    def _create_nodes(self, records: Sequence[Record]) -> None:
        version = self.client.transactions.version
        if not self._put([version(self._key(record.id)) == 0 for record in records], records):
            ids = [record.id for record in records]
            # None of them may be there any more.
            taken = next((job_id for job_id, _ in self._read_nodes(ids)), ids[0])
            raise ConflictingIdError(taken)

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        version = self.client.transactions.version
        there: list[Record] = []
        for part in self._parts(records):
            # As a whole, or else without those that are not there.
            while part and not self._put([version(self._key(r.id)) > 0 for r in part], part):
                found = dict(self._read_nodes([record.id for record in part]))
                part = [record for record in part if record.id in found]
            there += part

        self._index_written(there)
        written = {record.id for record in there}
        return [record.id for record in records if record.id not in written]

    def _put(self, conditions: Sequence[Any], records: Sequence[Record]) -> bool:
        """Write all records if all conditions hold; otherwise return False."""
        put = self.client.transactions.put
        succeeded: bool
        succeeded, _ = self.client.transaction(
            compare=conditions,
            success=[put(self._key(record.id), record.data) for record in records],
            failure=[],
        )
        return succeeded

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        delete = self.client.transactions.delete
        missing = []
        for start in range(0, len(job_ids), CHUNK_KEYS):
            part = job_ids[start : start + CHUNK_KEYS]
            _, answers = self.client.transaction(
                compare=[], success=[delete(self._key(job_id)) for job_id in part], failure=[]
            )
            for job_id, answer in zip(part, answers, strict=True):
                self._unindex(job_id)
                if not answer.response_delete_range.deleted:
                    missing.append(job_id)

        return missing

    def _delete_all(self) -> None:
        self.client.delete_prefix(self._prefix)
        self._forget_index()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (client={self.client})>"


def _half(count: int, error: Any) -> int:
    """Return how many keys to ask for after an answer that was too large; raise other errors."""
    if count == 1 or error.code() is not StatusCode.RESOURCE_EXHAUSTED:
        raise error

    return count // 2
