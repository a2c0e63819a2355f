"""Jobs in ZooKeeper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from ._nodes import NodeJobStore
from .base import ConflictingIdError
from .persistent import ANSWER_TIMEOUT, CONNECT_TIMEOUT, Record, chunks

try:
    from kazoo.client import KazooClient
    from kazoo.exceptions import (
        ConnectionLoss,
        NodeExistsError,
        NoNodeError,
        RolledBackError,
        RuntimeInconsistency,
    )
except ImportError as exc:
    raise ImportError("ZooKeeperJobStore needs kazoo: pip install apscheduler[zookeeper]") from exc

if TYPE_CHECKING:
    from ..schedulers.base import BaseScheduler

    # Adds what is to be done with one node to a transaction.
    Step = Callable[[Any, Record], None]

# A request of 1 MB or more makes a ZooKeeper that was not told otherwise hang up.
CHUNK_BYTES = 500_000
CHUNK_NODES = 500

# What remains of that megabyte for a job, when the request has named its node twice.
NODE_BYTES = 0xFFFFF - 4096

# So many requests are under way at once.
REQUESTS = 1000

# What marks the node of a job whose id ZooKeeper would refuse as a name, with a slash in it, say.
_QUOTED = "%id:"


class ZooKeeperJobStore(NodeJobStore):
    """
    Keeps each job in a node of ZooKeeper, and notices by watches what others change.

    Meant for some thousands of jobs: for more, a database with an index of the run times is
    faster. Jobs of nearly 1 MB and more raise ``ValueError``, for ZooKeeper would hang up.

    :param path: the node under which the jobs are
    :param client: a client to use, or a reference to one (``"module:name"``); it is left open at
        shutdown unless ``close_connection_on_exit`` is true
    :param close_connection_on_exit: whether to close a ``client`` that was given at shutdown
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param connect_args: arguments of :class:`kazoo.client.KazooClient`, such as ``hosts``, if no
        ``client`` is given
    :raises ValueError: if ``path`` is empty
    """

    # Set by watches, in a thread of the client; read and reset by _refresh().
    _all_changed = True
    _list_changed = True
    _changed: set[str]

    def _connect(self, arguments: Mapping[str, Any]) -> Any:
        return KazooClient(**arguments)

    def _disconnect(self) -> None:
        self.client.stop()
        self.client.close()

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        self._changed = set()
        if not self.client.connected:
            self.client.start(timeout=CONNECT_TIMEOUT)

        self._ensure_paths()

    def _ensure_paths(self) -> None:
        """Create the node under which the jobs are, if it is missing."""
        self._wait(self._connected().ensure_path_async(self.path))

    # --- the index -----------------------------------------------------------------------------

    def _forget_index(self) -> None:
        super()._forget_index()
        self._all_changed = True

    def _on_list_change(self, event: Any) -> None:
        self._list_changed = True
        if event.path is None:  # the connection was lost, and all watches with it
            self._all_changed = True

    def _on_node_change(self, event: Any) -> None:
        if event.path is None:
            self._all_changed = True
        else:
            self._changed.add(event.path.rpartition("/")[2])

    def _refresh(self) -> None:
        if self._all_changed:
            self._clear_index()
            self._list_changed, self._all_changed = True, False

        try:
            self._refresh_index()
        except BaseException:
            self._all_changed = True  # watches may have been used up
            raise

    def _refresh_index(self) -> None:
        changed = set()
        while self._changed:  # a watch may add to it at any time
            changed.add(_id_of(self._changed.pop()))
        if self._list_changed:
            self._list_changed = False
            there = {_id_of(name) for name in self._names(self._on_list_change)}
            for job_id in self._index.keys() - there:
                self._unindex(job_id)
            changed |= there - self._index.keys()

        found = set()
        for job_id, data in self._get_nodes(list(changed), self._on_node_change):
            found.add(job_id)
            self._index_node(job_id, data)
        for job_id in changed - found:
            self._unindex(job_id)

    def _index_written(self, records: Iterable[Record]) -> None:
        written = list(records)
        super()._index_written(written)
        # A watch ends with the first change, ours included, and a new node has none yet: have
        # them read, and watched from then on.
        self._changed.update(_name_of(record.id) for record in written)

    # --- reading -------------------------------------------------------------------------------

    def _read_nodes(self, job_ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
        return self._get_nodes(job_ids, None)

    def _read_all_nodes(self) -> Iterator[tuple[str, bytes]]:
        return self._get_nodes([_id_of(name) for name in self._names(None)], None)

    def _names(self, watch: Callable[[Any], None] | None) -> Iterable[str]:
        names: Iterable[str] = self._wait(self._connected().get_children_async(self.path, watch))
        return names

    def _get_nodes(
        self, job_ids: Sequence[str], watch: Callable[[Any], None] | None
    ) -> Iterator[tuple[str, bytes]]:
        """Ask for many nodes at a time; those that are not there are passed over."""
        for start in range(0, len(job_ids), REQUESTS):
            part = job_ids[start : start + REQUESTS]
            client = self._connected()
            answers = [client.get_async(self._path_of(job_id), watch) for job_id in part]
            for job_id, answer in zip(part, answers, strict=True):
                try:
                    yield job_id, self._wait(answer)[0]
                except NoNodeError:
                    continue

    def _path_of(self, job_id: str) -> str:
        return f"{self.path.rstrip('/')}/{_name_of(job_id)}"

    def _connected(self) -> Any:
        # Without a connection, the client would keep the request until there is one again.
        if not self.client.connected:
            raise ConnectionLoss("There is no connection to ZooKeeper at present")

        return self.client

    def _wait(self, answer: Any) -> Any:
        return answer.get(timeout=ANSWER_TIMEOUT)

    # --- writing -------------------------------------------------------------------------------

    def _parts(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        return chunks(records, CHUNK_NODES, CHUNK_BYTES)

    def _write_new(self, records: Sequence[Record]) -> None:
        _check_sizes(records)
        super()._write_new(records)

    def _create_nodes(self, records: Sequence[Record]) -> None:
        failed = self._commit(self._create, records)
        if failed:
            job_id, error = failed
            if isinstance(error, NodeExistsError):
                raise ConflictingIdError(job_id) from error
            raise error

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        _check_sizes(records)
        missing = set(self._change(self._set_data, records))
        self._index_written(record for record in records if record.id not in missing)
        return list(missing)

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        missing = self._change(self._remove, [Record(job_id, None, b"") for job_id in job_ids])
        for job_id in job_ids:
            self._unindex(job_id)

        return missing

    def _delete_all(self) -> None:
        self._delete([_id_of(name) for name in self._names(None)])

    def _change(self, step: Step, records: Sequence[Record]) -> list[str]:
        """Take the step with all nodes that are there; return the ids of the others."""
        missing: list[str] = []
        for part in self._parts(records):
            while part and (failed := self._commit(step, part)):
                job_id, error = failed
                if not isinstance(error, NoNodeError):
                    raise error
                missing.append(job_id)
                part = [record for record in part if record.id != job_id]

        return missing

    def _commit(self, step: Step, records: Sequence[Record]) -> tuple[str, Exception] | None:
        """Take the step with all nodes; or with none, and return an id and what is wrong."""
        transaction = self._connected().transaction()
        for record in records:
            step(transaction, record)

        results = self._wait(transaction.commit_async())
        for record, result in zip(records, results, strict=True):
            # These two say that another one failed.
            if isinstance(result, Exception) and not isinstance(
                result, (RolledBackError, RuntimeInconsistency)
            ):
                return record.id, result

        return None

    def _create(self, transaction: Any, record: Record) -> None:
        transaction.create(self._path_of(record.id), record.data)

    def _set_data(self, transaction: Any, record: Record) -> None:
        transaction.set_data(self._path_of(record.id), record.data)

    def _remove(self, transaction: Any, record: Record) -> None:
        transaction.delete(self._path_of(record.id))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} (client={self.client})>"


def _check_sizes(records: Sequence[Record]) -> None:
    for record in records:
        if len(record.data) > NODE_BYTES:
            raise ValueError(
                f'Job "{record.id}" takes {len(record.data)} bytes. ZooKeeper keeps at most '
                f"{NODE_BYTES} bytes of a job; give it smaller arguments"
            )


def _name_of(job_id: str) -> str:
    """Return the name of the node of a job: its id, if ZooKeeper takes that for a name."""
    plain = job_id not in (".", "..", "zookeeper") and not job_id.startswith(_QUOTED)
    if plain and "/" not in job_id and all(_is_fit(char) for char in job_id):
        return job_id

    return _QUOTED + quote(job_id, safe="")


def _id_of(name: str) -> str:
    return unquote(name.removeprefix(_QUOTED)) if name.startswith(_QUOTED) else name


def _is_fit(char: str) -> bool:
    # ZooKeeper refuses control characters, and what it takes for no character at all.
    code = ord(char)
    return 0x1F < code < 0x7F or 0x9F < code < 0xD800 or 0xF8FF < code < 0xFFF0
