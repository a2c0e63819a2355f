"""One pass over the job stores: what is due, what to start, when to look again."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta, timezone
from itertools import islice, pairwise
from typing import TYPE_CHECKING

from .._log import log_may_fail
from .._time import earliest, is_later, is_same_instant
from ._backlog import Advance, Backlog
from ._interrupts import is_interrupt

if TYPE_CHECKING:
    from ..executors.base import BaseExecutor
    from ..job import Job
    from ..jobstores.base import BaseJobStore

# Runs that one pass handles of jobs that do not coalesce, and one of each job at the least. More
# would keep the loop from other jobs; what remains is due in the next pass.
RUNS_PER_PASS = 1000

# While a job has more runs to catch up with than one pass handles and its executor is still busy
# with some of them, the next look is after so long.
CATCH_UP_PAUSE = timedelta(seconds=0.1)

# After so many failures in a row a store is taken to be down, and is left alone until the retry.
FAILURES_IN_A_ROW = 3


class DispatchPass:
    """
    Decides which runs are due, and moves their jobs on in the stores: *advance, then submit*.

    Runs that may be started are put into ``backlog.ready``. A store, a job, a trigger or an
    executor that fails is logged, and does not keep the others from their turn.

    :param lookup_executor: returns the executor by its alias, or raises LookupError
    :param now: the current time
    :param clock: tells the time once more, after a store has failed
    :param retry_interval: the time after which what failed is tried again
    """

    def __init__(
        self,
        stores: Mapping[str, BaseJobStore],
        lookup_executor: Callable[[str], BaseExecutor],
        backlog: Backlog,
        now: datetime,
        clock: Callable[[], datetime],
        retry_interval: timedelta,
        logger: logging.Logger,
    ) -> None:
        self._stores = stores
        self._lookup_executor = lookup_executor
        self._backlog = backlog
        self._now = now
        # In UTC, and so of another zone than any run time in a zone with clock changes: then
        # Python compares instants, not the hands of the clock.
        self._now_utc = now.astimezone(timezone.utc)
        self._clock = clock
        self._retry_interval = retry_interval
        self._logger = logger
        self._may_wait = False  # whether there are jobs whose last runs wait to be handed over
        self._runs_left = RUNS_PER_PASS
        # By alias, as they are looked up, so that each is looked up once.
        self._executors: dict[str, BaseExecutor] = {}

    @property
    def _retry_at(self) -> datetime:
        return self._now_utc + self._retry_interval

    def run(self) -> datetime | None:
        """Make the pass; return when to look again, or None if no job waits for a time."""
        self._backlog.stepping.begin_pass()
        if self._backlog.stuck:
            self._backlog.release_stuck(self._must_wait)
        self._may_wait = bool(self._backlog.ready or self._backlog.stuck)
        return earliest(
            self._process_store(alias, store)
            for alias, store in list(self._stores.items())
            if self._stores.get(alias) is store  # it may be removed meanwhile
        )

    def settle(self) -> None:
        """Only find out about the writes that failed; there will be no other pass."""
        for alias, store in list(self._stores.items()):
            self._settle_unclear(alias, store)
            for advance in self._backlog.unclear.values():
                if advance.alias == alias:
                    self._tell_unclear(advance)

    def _tell_unclear(self, advance: Advance) -> None:
        with log_may_fail:
            self._logger.error(
                'Job store "%s" did not tell whether it moved job "%s" on: its run that was due '
                "at %s has not been started, and will be when the store is used again only if it "
                "did not",
                advance.alias,
                advance.job,
                advance.old,
            )

    def _process_store(self, alias: str, store: BaseJobStore) -> datetime | None:
        resting = self._backlog.resting
        if resting and self._is_resting(alias):
            return resting[alias]

        try:
            if self._backlog.unclear:
                self._settle_unclear(alias, store)
            if self._backlog.set_backs:
                self._follow_clock(alias, store)
            look_again_at = self._process_due_jobs(alias, store)
            if look_again_at is None:
                return store.get_next_run_time()

            # What is still due would hide what comes after it.
            return earliest((look_again_at, store.get_next_run_time_after(self._now)))
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            # Counted from now: the time until a server that hangs was given up is not its rest.
            retry_at = self._clock().astimezone(timezone.utc) + self._retry_interval
            resting[alias] = retry_at
            with log_may_fail:
                self._logger.exception(
                    'Job store "%s" failed -- trying again at %s', alias, retry_at
                )
            return retry_at

    def _is_resting(self, alias: str) -> bool:
        """Tell whether to leave alone a store that failed, so that others are not kept waiting."""
        retry_at = self._backlog.resting.get(alias)
        if retry_at is None:
            return False
        if self._must_wait(retry_at):
            return True

        del self._backlog.resting[alias]
        return False

    def _must_wait(self, retry_at: datetime) -> bool:
        """Tell whether it is too early to try again what failed."""
        return self._now_utc < retry_at <= self._retry_at  # later: the clock was set back

    def _follow_clock(self, alias: str, store: BaseJobStore) -> None:
        """Let jobs that count real time not wait for a clock that was set back."""
        # A job that is moved would look as if its unclear write had landed.
        if not self._has_unclear(alias):
            self._backlog.set_backs.follow(alias, store, self._now, self._logger)

    def _has_unclear(self, alias: str) -> bool:
        return any(key[0] == alias for key in self._backlog.unclear)

    def _process_due_jobs(self, alias: str, store: BaseJobStore) -> datetime | None:
        """Move due jobs on. Return when to look after those that had to stay; None if none had."""
        staying: list[datetime] = []
        advances: list[Advance] = []  # in the order in which they are due
        backlog, executors = self._backlog, self._executors
        # Whether earlier passes have left nothing behind.
        is_clear = not (self._may_wait or backlog.unclear or backlog.catching_up)
        for job in store.get_due_jobs(self._now):
            if not (is_clear and job.executor in executors):
                stays_until = self._stays_until(alias, job)
                if stays_until is not None:
                    staying.append(stays_until)
                    continue

            advance = self._decide(alias, job)
            if advance is None:
                staying.append(self._now_utc)  # other threads and other jobs have their turn first
            else:
                advances.append(advance)

        if advances:
            self._write(store, advances)
        if backlog.unclear and self._has_unclear(alias):
            staying.append(self._retry_at)

        return earliest(staying)

    def _stays_until(self, alias: str, job: Job) -> datetime | None:
        """Return when to look after a due job that must not move on yet; None if it may."""
        executor = self._executors.get(job.executor) or self._find_executor(alias, job)
        if executor is None:
            return self._retry_at

        backlog, key = self._backlog, (alias, job.id)
        if key in backlog.unclear:
            return self._retry_at
        waiting = backlog.waiting(key) if self._may_wait else None
        if waiting is not None:
            if waiting.retry_at is not None:
                waiting.renew(job)  # another program may have changed it
            is_stuck = backlog.stuck.get(key) is waiting
            # Now: what is ready is handed over before the next pass.
            return waiting.retry_at if is_stuck and waiting.retry_at else self._now_utc
        if key in backlog.catching_up and not (job.coalesce or executor.has_room(job)):
            return self._now_utc + CATCH_UP_PAUSE

        return None

    def _find_executor(self, alias: str, job: Job) -> BaseExecutor | None:
        """Look up the executor of a job, for this pass; log if there is none, once for a job."""
        try:
            executor = self._executors[job.executor] = self._lookup_executor(job.executor)
        except LookupError as exc:
            key = (alias, job.id)
            if key not in self._backlog.without_executor:
                self._backlog.without_executor.add(key)
                with log_may_fail:
                    self._logger.error(
                        'Job "%s" stays in job store "%s" until its executor is added: %s',
                        job,
                        alias,
                        exc.args[0] if exc.args else exc,
                    )
            return None

        return executor

    def _decide(self, alias: str, job: Job) -> Advance | None:
        """
        Decide which runs of a due job to start, and when it is due next.

        :return: None if that takes more passes
        """
        if self._backlog.without_executor:
            self._backlog.without_executor.discard((alias, job.id))
        due = job.next_run_time
        assert due is not None  # or the store would not say that the job is due
        found: list[datetime] = []
        try:
            if job.coalesce:
                return self._coalesced(alias, job, due)

            return self._one_by_one(alias, job, due, found)
        except BaseException as exc:
            if is_interrupt(exc):
                raise
            with log_may_fail:
                self._logger.exception(
                    'The trigger of job "%s" failed -- the job is paused after this run', job
                )
            return Advance(alias, job, _rising(found) or due, due, None, exc)

    def _coalesced(self, alias: str, job: Job, due: datetime) -> Advance | None:
        if self._backlog.catching_up:  # it may not have coalesced before
            self._backlog.catching_up.discard((alias, job.id))
        run_time = due
        following = job.trigger.get_next_fire_time(run_time, self._now)
        if following is not None and following <= self._now_utc:
            last = self._backlog.stepping.last_fire_time(
                (alias, job.id), job.trigger, due, self._now
            )
            if last is None:
                return None
            run_time = last
            following = job.trigger.get_next_fire_time(run_time, self._now)
            following = _checked(following, run_time)

        # Unchecked, it is later than now, and so than the run time, which has come.
        return Advance(alias, job, run_time, due, following)

    def _one_by_one(
        self, alias: str, job: Job, due: datetime, run_times: list[datetime]
    ) -> Advance:
        """
        Have all due runs started.

        :param run_times: an empty list, which holds those found so far if the trigger fails
        """
        limit = max(self._runs_left, 1)  # each job has its turn
        for run_time in islice(job._due_run_times(self._now), limit + 1):
            run_times.append(run_time)  # extend() may keep none if it fails
        self._runs_left -= len(run_times)
        if len(run_times) > limit:
            self._backlog.catching_up.add((alias, job.id))
            following: datetime | None = run_times.pop()
        else:
            self._backlog.catching_up.discard((alias, job.id))
            following = job.trigger.get_next_fire_time(run_times[-1], self._now)

        return Advance(alias, job, run_times, due, _checked(following, run_times[-1]))

    def _write(self, store: BaseJobStore, advances: list[Advance]) -> None:
        """Write advances to the store; start what it accepted, in the order that they have."""
        backlog = self._backlog
        try:
            backlog.is_writing, backlog.being_written = True, advances
            missing = _move_on(store, advances)
            # Somebody else removed the missing ones: they are not to run.
            started = [a for a in advances if a.job.id not in missing] if missing else advances
            backlog.make_ready(started)
            backlog.being_written = ()
        except BaseException as exc:
            backlog.doubt_writes()
            if is_interrupt(exc):  # whoever needs it next looks at what the store holds
                raise
            with log_may_fail:
                self._logger.exception(
                    'Job store "%s" failed to move due jobs on -- looking at what it holds',
                    advances[0].alias,
                )
            self._settle(store, advances)
        finally:
            backlog.is_writing = False

    def _settle_unclear(self, alias: str, store: BaseJobStore) -> None:
        """Find out about the writes of earlier passes that failed."""
        unclear = self._backlog.unclear
        self._settle(store, [advance for key, advance in unclear.items() if key[0] == alias])

    def _settle(self, store: BaseJobStore, advances: Iterable[Advance]) -> None:
        """Start the runs whose advance the store holds, and write again those it does not."""
        failures = 0
        for advance in advances:
            try:
                has_landed = self._has_landed(store, advance)
            except BaseException as exc:
                if is_interrupt(exc):
                    raise
                with log_may_fail:
                    self._logger.exception(
                        'Job store "%s" failed again for job "%s" -- trying again at %s',
                        advance.alias,
                        advance.job,
                        self._retry_at,
                    )
                failures += 1
                if failures == FAILURES_IN_A_ROW:
                    break
            else:
                failures = 0
                if has_landed:
                    self._backlog.make_ready([advance])
                self._backlog.unclear.pop(advance.key, None)

        self._may_wait = True

    def _has_landed(self, store: BaseJobStore, advance: Advance) -> bool:
        """Make sure that the store holds the advance. False: somebody else changed the job."""
        stored = store.lookup_job(advance.job.id)
        if stored is None:
            return advance.ends
        if not is_same_instant(stored.next_run_time, advance.old):
            if not advance.is_held_by(stored):
                with log_may_fail:
                    self._logger.warning(
                        'Job "%s" was changed before its store told whether it had moved it on: '
                        "its run that was due at %s is not started",
                        stored,
                        advance.old,
                    )
                self._backlog.have_told(advance)
                return False
            return True
        if advance.ends:
            return not store.remove_jobs([stored.id])

        stored.next_run_time = advance.new
        try:
            return not store.update_jobs([stored])
        except BaseException:
            stored.next_run_time = advance.old
            raise


def _move_on(store: BaseJobStore, advances: Sequence[Advance]) -> set[str]:
    """Move jobs on, and remove those that end; return the ids of those that are not there."""
    moving: list[Job] = []
    ending: list[str] = []
    for advance in advances:
        job = advance.job
        if advance.ends:
            ending.append(job.id)
        else:
            job.next_run_time = advance.new
            moving.append(job)

    missing = set(store.update_jobs(moving)) if moving else set()
    if ending:
        missing.update(store.remove_jobs(ending))
    return missing


def _checked(following: datetime | None, run_time: datetime) -> datetime | None:
    """Refuse a next run time that is no instant, or would make the job run twice or for ever."""
    if following is None:
        return None
    if following.tzinfo is None or following.timestamp() <= run_time.timestamp():
        raise ValueError(f"The trigger names {following} as the next run time after {run_time}")

    return following


def _rising(run_times: list[datetime]) -> list[datetime]:
    """Return the times up to the first that is not later than the one before."""
    pairs = enumerate(pairwise(run_times), start=1)
    end = next((at for at, (one, other) in pairs if not is_later(other, one)), None)
    return run_times[:end]
