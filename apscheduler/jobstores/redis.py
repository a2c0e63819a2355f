"""Jobs in Redis, or in Valkey, which speaks the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from inspect import signature
from typing import Any

from ..job import Job
from .base import ConflictingIdError
from .persistent import (
    ANSWER_TIMEOUT,
    CONNECT_TIMEOUT,
    PICKLE_PROTOCOL,
    PersistentJobStore,
    Record,
)

try:
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.exceptions import NoScriptError, ResponseError
    from redis.retry import Retry
except ImportError as exc:
    raise ImportError(
        "RedisJobStore needs the redis package: pip install apscheduler[redis]"
    ) from exc

# Scripts, since each runs as a whole: KEYS are the hash of the states and the sorted set of the
# run times, ARGV of the first two are id, state and time ("" while paused) of each job.

# Returns the first id that is taken; then nothing was written.
_ADD = """
for i = 1, #ARGV, 3 do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 1 then return ARGV[i] end
end
for i = 1, #ARGV, 3 do
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' then redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i]) end
end
"""

# Returns the ids that are not there.
_UPDATE = """
local missing = {}
for i = 1, #ARGV, 3 do
    if redis.call('HEXISTS', KEYS[1], ARGV[i]) == 0 then
        missing[#missing + 1] = ARGV[i]
    else
        redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
        if ARGV[i + 2] == '' then
            redis.call('ZREM', KEYS[2], ARGV[i])
        else
            redis.call('ZADD', KEYS[2], ARGV[i + 2], ARGV[i])
        end
    end
end
return missing
"""

# Takes ids, and returns those that are not there.
_REMOVE = """
local missing = {}
for _, id in ipairs(ARGV) do
    redis.call('ZREM', KEYS[2], id)
    if redis.call('HDEL', KEYS[1], id) == 0 then missing[#missing + 1] = id end
end
return missing
"""

# Takes ids; returns id, state and time of those that are there (no time while paused).
_READ = """
local answer = {}
for _, id in ipairs(ARGV) do
    local state = redis.call('HGET', KEYS[1], id)
    if state then
        answer[#answer + 1] = {id, state, redis.call('ZSCORE', KEYS[2], id)}
    end
end
return answer
"""

# Takes the bounds of the times and how many to look for, or -1 for all; returns id, time, state of
# so many or more, by time. Times without a state are none of a job, and passed over.
_READ_BY_TIME = """
local answer, start, limit = {}, 0, tonumber(ARGV[3])
repeat
    local rows = redis.call('ZRANGEBYSCORE', KEYS[2], ARGV[1], ARGV[2], 'WITHSCORES',
                            'LIMIT', start, limit)
    for i = 1, #rows, 2 do
        local state = redis.call('HGET', KEYS[1], rows[i])
        if state then
            answer[#answer + 1] = rows[i]
            answer[#answer + 1] = rows[i + 1]
            answer[#answer + 1] = state
        end
    end
    start = start + limit
until limit < 0 or #rows < 2 * limit or #answer >= 3 * limit
return answer
"""


class RedisJobStore(PersistentJobStore):
    """
    Keeps jobs in a hash, and their run times in a sorted set.

    :param db: number of the database
    :param jobs_key: key of the hash
    :param run_times_key: key of the sorted set
    :param pickle_protocol: protocol of :mod:`pickle` for what is written
    :param connect_args: arguments of :class:`redis.Redis`, such as ``host``; a ``connection_pool``
        that is given is left open at shutdown. Unless they say otherwise, 10 seconds are waited
        for a connection (``socket_connect_timeout``), and 30 for an answer (``socket_timeout``)
    :raises ValueError: if a key is empty, or answers would be decoded (``decode_responses``)
    """

    #: the client in use
    redis: Any

    def __init__(
        self,
        db: int | str = 0,
        jobs_key: str = "apscheduler.jobs",
        run_times_key: str = "apscheduler.run_times",
        pickle_protocol: int = PICKLE_PROTOCOL,
        **connect_args: Any,
    ) -> None:
        super().__init__(pickle_protocol)
        for name, key in (("jobs_key", jobs_key), ("run_times_key", run_times_key)):
            if not key:
                raise ValueError(f'RedisJobStore needs a "{name}" that is not empty')

        self._undecodable: dict[str, bytes] = {}  # ids that are no UTF-8, by what stands for them
        self.jobs_key = jobs_key
        self.run_times_key = run_times_key
        self._owns_pool = "connection_pool" not in connect_args
        # A pass that fails is repeated anyway: a server that hangs is to be given up at once.
        connect_args.setdefault("retry", Retry(NoBackoff(), 0))
        connect_args.setdefault("socket_connect_timeout", CONNECT_TIMEOUT)
        connect_args.setdefault("socket_timeout", ANSWER_TIMEOUT)
        self.redis = Redis(db=int(db), **connect_args)
        if self.redis.get_encoder().decode_responses:
            raise ValueError(
                "RedisJobStore keeps jobs as bytes, which decode_responses=True would make text "
                "of -- give it a connection pool, or arguments, without that"
            )

        self._add = self.redis.register_script(_ADD)
        self._update = self.redis.register_script(_UPDATE)
        self._remove = self.redis.register_script(_REMOVE)
        self._read_by_id = self.redis.register_script(_READ)
        self._read_by_time = self.redis.register_script(_READ_BY_TIME)

    def shutdown(self) -> None:
        super().shutdown()
        if self._owns_pool:
            self.redis.connection_pool.disconnect()

    @property
    def _keys(self) -> list[str]:
        return [self.jobs_key, self.run_times_key]

    # --- reading -------------------------------------------------------------------------------

    def _read(self, job_id: str) -> Job | None:
        return next(iter(self._read_many([job_id])), None)

    def _read_many(self, job_ids: Sequence[str]) -> list[Job]:
        others = [self._undecodable[id] for id in job_ids if id in self._undecodable]
        rows = self._read_by_id(self._keys, [*job_ids, *others])
        return self._restore_rows(
            (self._text(key), None if time is None else float(time), state)
            for key, state, time in rows
        )

    def _read_due(self, timestamp: float) -> list[Job]:
        return self._restore_rows(self._rows("-inf", repr(timestamp), -1))

    def _read_all(self) -> list[Job]:
        with self.redis.pipeline() as pipeline:
            pipeline.hgetall(self.jobs_key)
            pipeline.zrange(self.run_times_key, 0, -1, withscores=True)
            states, times = pipeline.execute()

        stored = dict(times)
        return self._restore_rows(
            (self._text(key), stored.get(key), state) for key, state in states.items()
        )

    def _reconstitute_jobs(self, job_states: Iterable[tuple[bytes, bytes]]) -> list[Job]:
        """Make jobs of ids and states as Redis returns them; park those that it cannot."""
        return self._restore_all((self._text(key), state) for key, state in job_states)

    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        lowest = "-inf" if after is None else f"({after!r}"  # the bracket leaves it out
        return self._rows(lowest, "+inf", limit)

    def _rows(self, lowest: str, highest: str, limit: int) -> list[tuple[str, float, bytes]]:
        rows = self._read_by_time(self._keys, [lowest, highest, limit])
        return [
            (self._text(key), float(time), state)
            for key, time, state in zip(rows[::3], rows[1::3], rows[2::3], strict=True)
        ]

    def _text(self, key: bytes) -> str:
        try:
            return key.decode()
        except UnicodeDecodeError:  # written by others; it must not keep ours from being read
            text = key.decode(errors="backslashreplace")
            self._undecodable[text] = key
            return text

    # --- writing -------------------------------------------------------------------------------

    def _write_new(self, records: Sequence[Record]) -> None:
        taken = self._run_once(self._add, _arguments(records))
        if taken is not None:
            raise ConflictingIdError(taken.decode())

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        return [key.decode() for key in self._run_once(self._update, _arguments(records))]

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        missing = [key.decode() for key in self._run_once(self._remove, job_ids)]
        # An id that is no text is removed by the text that stands for it.
        keys = {id: self._undecodable.pop(id) for id in missing if id in self._undecodable}
        if keys:
            still_missing = set(self._run_once(self._remove, list(keys.values())))
            missing = [id for id in missing if keys.get(id, b"") in {b"", *still_missing}]

        return missing

    def _delete_all(self) -> None:
        self.redis.delete(*self._keys)

    def _run_once(self, script: Any, arguments: Sequence[str | bytes]) -> Any:
        """
        Run a script that writes, without the second try that connections make when they break.

        Were the answer to the first one lost, the second would find the jobs that the first one
        added in its way, and those that it removed missing.
        """
        pool = self.redis.connection_pool
        connection = _connection_of(pool)
        operands = (len(self._keys), *self._keys, *arguments)
        try:
            connection.send_command("EVALSHA", script.sha, *operands)
            try:
                return connection.read_response()
            except NoScriptError:  # the server does not know it yet, or any more
                connection.send_command("EVAL", script.script, *operands)
                return connection.read_response()
        except ResponseError:
            raise
        except (
            BaseException
        ):  # Ctrl+C, too: the answer would be taken for that to the next command
            connection.disconnect()
            raise
        finally:
            pool.release(connection)


def _connection_of(pool: Any) -> Any:
    name = signature(pool.get_connection).parameters.get("command_name")
    if name is not None and name.default is name.empty:  # before release 5.3
        return pool.get_connection("EVALSHA")

    return pool.get_connection()


def _arguments(records: Sequence[Record]) -> list[str | bytes]:
    arguments: list[str | bytes] = []
    for job_id, timestamp, data in records:
        arguments += (job_id, data, "" if timestamp is None else repr(timestamp))

    return arguments
