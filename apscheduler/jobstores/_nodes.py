"""What job stores share whose servers keep nodes by name, and have no index of run times."""

from __future__ import annotations

import pickle
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._refs import maybe_ref
from .._time import datetime_to_utc_timestamp
from ..job import Job
from ._run_times import RunTimes
from .persistent import PICKLE_PROTOCOL, PersistentJobStore, Record

if TYPE_CHECKING:
    from ..schedulers.base import BaseScheduler


class NodeJobStore(PersistentJobStore):
    """
    Keeps each job in a node ``<path>/<id>``: a pickled dict with its next run time and its state.

    Since the server cannot tell which jobs are due, the store itself keeps their run times in
    memory. A subclass brings them up to date by :meth:`_refresh`, which costs little while nothing
    has changed.

    :param path: under which the nodes are
    :param client: a client to use, or a reference to one (``"module:name"``); it is left open at
        shutdown unless ``close_connection_on_exit`` is true
    :param close_connection_on_exit: whether to close a ``client`` that was given at shutdown
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param connect_args: arguments for the client, if no ``client`` is given
    :raises ValueError: if ``path`` is empty
    """

    #: under which the nodes are
    path: str
    #: the client in use
    client: Any

    def __init__(
        self,
        path: str = "/apscheduler",
        client: Any = None,
        close_connection_on_exit: bool = False,
        pickle_protocol: int = PICKLE_PROTOCOL,
        **connect_args: Any,
    ) -> None:
        super().__init__(pickle_protocol)
        if not path:
            raise ValueError(f'{type(self).__name__} needs a "path" that is not empty')

        self.path = path
        # It cares for time and id only; the third part of its own entries is the job.
        self._run_times: Any = RunTimes()
        # By id: run time (None for jobs that are paused or parked), id, and hash of the bytes.
        self._index = self._run_times.entries
        self._indexed_generation = 0

        self.close_connection_on_exit = close_connection_on_exit
        # None: the client is not ours to make.
        self._connect_args = connect_args if client is None else None
        self._must_connect = False
        self.client = self._connect(connect_args) if client is None else maybe_ref(client)

    def start(self, scheduler: BaseScheduler, alias: str) -> None:
        super().start(scheduler, alias)
        if self._must_connect and self._connect_args is not None:
            self.client = self._connect(self._connect_args)
            self._must_connect = False

    def shutdown(self) -> None:
        super().shutdown()
        self._forget_index()
        if self._connect_args is not None or self.close_connection_on_exit:
            self._disconnect()
            self._must_connect = True

    def after_fork(self) -> None:
        super().after_fork()
        self._forget_index()
        self._must_connect = True  # clients do not survive a fork

    # --- what each backend writes --------------------------------------------------------------

    @abstractmethod
    def _connect(self, arguments: Mapping[str, Any]) -> Any:
        """Make a client of the arguments that were given."""

    @abstractmethod
    def _disconnect(self) -> None:
        """Close the client."""

    @abstractmethod
    def _refresh(self) -> None:
        """Look at what has changed on the server: call ``_index_node`` and ``_unindex`` for it."""

    @abstractmethod
    def _forget_index(self) -> None:
        """Have the next ``_refresh()`` look at all nodes. Extended by each backend."""
        self._clear_index()

    @abstractmethod
    def _read_nodes(self, job_ids: Sequence[str]) -> Iterable[tuple[str, bytes]]:
        """Return ids and bytes of the nodes, but for those that are not there."""

    @abstractmethod
    def _create_nodes(self, records: Sequence[Record]) -> None:
        """
        Write new nodes: all or none.

        :raises ConflictingIdError: if one of the ids is taken
        """

    @abstractmethod
    def _parts(self, records: Sequence[Record]) -> Iterator[Sequence[Record]]:
        """Split records into parts that the server takes in one transaction."""

    @abstractmethod
    def _read_all_nodes(self) -> Iterable[tuple[str, bytes]]:
        """Return ids and bytes of all nodes."""

    # --- the index -----------------------------------------------------------------------------

    def _index_node(self, job_id: str, data: bytes) -> None:
        known = self._index.get(job_id)
        if known is None or known[2] != hash(data):
            job = self._restore(job_id, data)
            timestamp = None if job is None else datetime_to_utc_timestamp(job.next_run_time)
            self._note(job_id, timestamp, data)

    def _note(self, job_id: str, timestamp: float | None, data: bytes) -> None:
        self._run_times.put((timestamp, job_id, hash(data)))

    def _unindex(self, job_id: str) -> None:
        self._run_times.remove(job_id)
        self._forget([job_id])

    def _clear_index(self) -> None:
        self._run_times.clear()

    def _index_written(self, records: Iterable[Record]) -> None:
        """Note what we have written ourselves, so that it need not be looked at again."""
        for record in records:
            self._note(record.id, record.timestamp, record.data)

    def _current_run_times(self) -> Any:
        """Return the run times of the jobs that wait for one, as the server has them now."""
        if self._indexed_generation != self._alias_generation:
            self._indexed_generation = self._alias_generation
            self._forget_index()  # jobs that were parked may be restorable, so have times

        self._refresh()
        return self._run_times

    # --- reading -------------------------------------------------------------------------------

    def _read(self, job_id: str) -> Job | None:
        return next(iter(self._restore_all(self._read_nodes([job_id]))), None)

    def _read_many(self, job_ids: Sequence[str]) -> list[Job]:
        return self._restore_all(self._read_nodes(job_ids))

    def _read_due(self, timestamp: float) -> list[Job]:
        due = [job_id for _, job_id, _ in self._current_run_times().up_to(timestamp)]
        return self._restore_all(self._read_nodes(due))

    def _first_timestamp(self, after: float | None) -> float | None:
        while True:
            rows = self._read_first(after, 1)
            earliest = self._earliest(rows)
            if earliest is not None or not rows:
                return earliest

            # It is parked: there is no time to wait for until its bytes change.
            ((job_id, _, data),) = rows
            self._note(job_id, None, data)

    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        """Return one job or none, whatever the limit: the index has no times of parked jobs."""
        times = self._current_run_times()
        while first := times.first() if after is None else times.first_after(after):
            time, job_id, _ = first
            for _, data in self._read_nodes([job_id]):
                return [(job_id, cast(float, time), data)]
            self._unindex(job_id)  # it was removed just now

        return []

    def _read_all(self) -> list[Job]:
        return self._restore_all(self._read_all_nodes())

    def _get_jobs(self) -> list[dict[str, Any]]:
        """Return ``job_id``, ``next_run_time``, ``job_state`` and ``job`` of each job, by time."""
        return [
            {
                "job_id": job.id,
                "next_run_time": datetime_to_utc_timestamp(job.next_run_time),
                "job_state": job.__getstate__(),
                "job": job,
            }
            for job in self.get_all_jobs()
        ]

    # --- writing -------------------------------------------------------------------------------

    def _write_new(self, records: Sequence[Record]) -> None:
        with self._all_or_none() as written:
            for part in self._parts(records):
                # Whatever was wrong: an answer may be lost in many ways.
                with self._unless_landed(part, self._read_nodes, Exception):
                    self._create_nodes(part)
                written += (record.id for record in part)

        self._index_written(records)

    # --- jobs to bytes and back ----------------------------------------------------------------

    def _dump(self, job: Job) -> bytes:
        node = {
            "next_run_time": datetime_to_utc_timestamp(job.next_run_time),
            "job_state": job.__getstate__(),
        }
        return pickle.dumps(node, self.pickle_protocol)

    def _load(self, data: bytes) -> Job:
        return self._reconstitute_job(pickle.loads(data)["job_state"])

    def _reconstitute_job(self, job_state: dict[str, Any]) -> Job:
        """Make a job of its state. Programs override this to look at jobs as they come."""
        return self._revive(job_state)
