"""What is due and not handed over yet: the runs of each job, and what passes leave to the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from .._time import earliest, is_same_instant
from ..events import EVENT_JOB_MISSED, EVENT_JOB_REMOVED
from ._clock import SetBacks
from ._stepping import Stepping

if TYPE_CHECKING:
    from ..job import Job


class Advance:
    """
    The runs of a job that are due, and the run time that the job moves on to.

    :ivar old: the run time that the store holds before
    :ivar new: the one that it holds after; None if the job ends, or is paused for an error
    :ivar error: why the trigger could not name the next run time
    :ivar ends: whether the job leaves its store, having no more times to run
    :ivar retry_at: when to try again to hand the runs over, if that failed
    :ivar outcome: the code of the event that tells what became of the runs; None: they are still
        to be handed over
    :ivar dropped_as: why not to hand them over, the code of an event: ``EVENT_JOB_MISSED`` is to
        be told for each of them. Whoever hands runs over decides whether that was in time
    """

    __slots__ = (
        "_has_left_store",  # is no attribute until it has
        "_run_times",
        "alias",
        "dropped_as",
        "ends",
        "error",
        "job",
        "new",
        "old",
        "outcome",
        "retry_at",
    )

    def __init__(
        self,
        alias: str,
        job: Job,
        run_times: datetime | list[datetime],
        old: datetime,
        new: datetime | None,
        error: BaseException | None = None,
    ) -> None:
        self.alias = alias
        self.job = job
        self._run_times = run_times
        self.old = old
        self.new = new
        self.error = error
        self.ends = new is None and error is None
        self.retry_at: datetime | None = None
        self.outcome: int | None = None
        self.dropped_as: int | None = None

    @property
    def run_times(self) -> list[datetime]:
        """The runs to start, oldest first; each time the same list."""
        # Made when it is asked for: the fewer objects a pass holds, the less garbage collection.
        runs = self._run_times
        if not isinstance(runs, list):
            runs = self._run_times = [runs]
        return runs

    @property
    def key(self) -> tuple[str, str]:
        return self.alias, self.job.id

    def renew(self, job: Job) -> bool:
        """
        Let runs that could not be started be those of the job as it is now: that may help.

        :return: False if this is another one that has its id: after the last run of the job, or
            when its store was removed
        """
        is_other = self.ends or hasattr(self, "_has_left_store")
        if not is_other:
            self.job = job
        return not is_other

    def leave_store(self) -> None:
        """Its store was removed: a job that is added by its id is another one."""
        self._has_left_store = True

    def is_held_by(self, stored: Job) -> bool:
        """Tell whether the store has accepted this: the job waits for the time it moved on to."""
        run_time = stored.next_run_time
        if is_same_instant(run_time, self.old):
            return False
        if run_time is None or self.new is None:
            return run_time is None and self.error is not None

        # A store may cut off fractions of a second.
        return abs(run_time.timestamp() - self.new.timestamp()) < 1


class Backlog:
    """
    What one pass leaves to the next; the scheduler holds it.

    Ctrl+C may strike anywhere, so what moves from one place to another is put into the new one
    before it is taken out of the old one. In between it is in both; its runs are handed over once
    all the same, for an advance that has an outcome is passed over.
    """

    def __init__(self) -> None:
        # Moved on in their stores, to be handed to their executors now.
        self.ready: deque[Advance] = deque()
        # The same by their jobs, made when somebody asks for one.
        self._ready_by_job: dict[tuple[str, str], Advance] | None = None
        # The same, but their executors failed: to be handed over once more.
        self.stuck: dict[tuple[str, str], Advance] = {}
        # Being moved on by a pass; if it is not writing, by one that Ctrl+C has ended.
        self.being_written: Sequence[Advance] = ()
        self.is_writing = False
        self._unclear: dict[tuple[str, str], Advance] = {}
        # Not to be started, for their jobs were changed: listeners are to be told.
        self.dropped: deque[Advance] = deque()
        # Jobs with more due runs than one pass handles; none of these is skipped.
        self.catching_up: set[tuple[str, str]] = set()
        # Jobs that coalesce, and whose last missed time has not been found yet.
        self.stepping = Stepping()
        # What stores have not been told yet of a clock that was set back.
        self.set_backs = SetBacks()
        # Jobs whose unknown executor was logged already.
        self.without_executor: set[tuple[str, str]] = set()
        # Stores that failed, and when to look at each again: a look may take long to fail. One
        # in which somebody else has added or changed a job meanwhile is taken out.
        self.resting: dict[str, datetime] = {}

    def make_ready(self, advances: Sequence[Advance]) -> None:
        """Have runs handed over, after those that are ready already."""
        by_job = self._ready_by_job if self.ready else None
        self._ready_by_job = None
        self.ready.extend(advances)
        if by_job is not None:
            by_job.update((advance.key, advance) for advance in advances)
            self._ready_by_job = by_job

    @property
    def unclear(self) -> dict[tuple[str, str], Advance]:
        """Moved on, perhaps: the write failed, and what the store holds could not be read."""
        if self.being_written and not self.is_writing:
            self.doubt_writes()
        return self._unclear

    def doubt_writes(self) -> None:
        """Take for unclear what was being written, but for what is known to have been."""
        known = {*self.ready, *self.stuck.values()}
        for advance in self.being_written:
            if advance.outcome is None and advance not in known:
                advance.job.next_run_time = advance.old
                self._unclear[advance.key] = advance
        self.being_written = ()

    def put_in_order(self) -> None:
        """Have ready runs handed over in the order in which they are due, then by their ids."""
        self.ready = deque(sorted(self.ready, key=lambda a: (a.old.timestamp(), a.job.id)))

    def put_back(self, advance: Advance) -> None:
        """Have runs handed over first, which could not be."""
        self._ready_by_job = None
        self.ready.appendleft(advance)

    def release_stuck(self, must_wait: Callable[[datetime], bool] = lambda _: False) -> None:
        """
        Make stuck runs ready again.

        :param must_wait: tells of the time at which to try again whether it has not come yet
        """
        for key, advance in list(self.stuck.items()):
            retry_at = advance.retry_at
            if retry_at is None or not must_wait(retry_at):
                self.make_ready([advance])
                self.stuck.pop(key, None)
                if advance.retry_at is not retry_at:  # in between it was handed over, in vain
                    self.stuck[key] = advance

    def clear_up(self, alias: str, job_id: str, stored: Job | None) -> bool:
        """
        Find out about the write of a job that somebody is about to change, or to add once more.

        Its run is to be started if the store holds it. If not, the job is still due, and what it
        is changed to counts.

        :param stored: the job as the store has it; None: it is gone
        :return: whether a run is ready now
        """
        self.stepping.forget((alias, job_id))
        advance = self.unclear.get((alias, job_id))
        if advance is None:
            return False

        is_held = advance.ends if stored is None else advance.is_held_by(stored)
        if is_held:
            self.make_ready([advance])
        self.unclear.pop(advance.key, None)  # a signal handler may have cleared it up meanwhile
        return is_held

    def forget_store(self, alias: str) -> None:
        """
        Forget what is known of a store that was removed: another one may be added by its alias.

        Its jobs that were moved on by then are run all the same.
        """
        for key in _keys_of(self.unclear, alias, None):
            self.unclear.pop(key)
        for key in _keys_of(self.stuck, alias, None):
            self.stuck[key].leave_store()
        self.resting.pop(alias, None)
        self.set_backs.forget(alias)
        self._forget_notes(alias, None)

    def forget(self, alias: str, job_id: str | None = None) -> None:
        """Start no more runs of a job that was removed, or of all jobs of a store."""
        if self.stuck or self.ready or self.unclear:
            self._drop_stuck(alias, job_id)
            for known in (self._ready(), self.unclear):
                for key in _keys_of(known, alias, job_id):
                    known.pop(key).dropped_as = EVENT_JOB_REMOVED
        self._forget_notes(alias, job_id)

    def _forget_notes(self, alias: str, job_id: str | None) -> None:
        for noted in (self.catching_up, self.without_executor):
            if noted:
                noted.difference_update(_keys_of(noted, alias, job_id))
        for key in _keys_of(self.stepping.begun(), alias, job_id):
            self.stepping.forget(key)

    def drop(self, alias: str, job_id: str, code: int = EVENT_JOB_MISSED) -> bool:
        """
        Do not start what waits for it: the job was paused, or removed after it left its store.

        :param code: ``EVENT_JOB_MISSED`` to have listeners told. They are in any case of what an
            executor has refused
        :return: whether there was something
        """
        is_stuck = self._drop_stuck(alias, job_id)
        advance = self._ready().pop((alias, job_id), None)
        if advance is None:
            return is_stuck

        advance.dropped_as = code
        return advance in self.ready

    def _drop_stuck(self, alias: str, job_id: str | None) -> bool:
        keys = _keys_of(self.stuck, alias, job_id)
        for key in keys:
            self.have_told(self.stuck[key])
            self.stuck.pop(key).outcome = EVENT_JOB_MISSED
        return bool(keys)

    def have_told(self, advance: Advance) -> None:
        """Have listeners told that runs are not started, unless they have been."""
        if advance.outcome is None and advance not in self.dropped:
            self.dropped.append(advance)

    def change_stuck(self, alias: str, job: Job, is_paused: bool = False) -> bool:
        """
        Try again at once to start what could not be, for its job was changed or replaced.

        :param is_paused: whether it is to be dropped rather
        :return: whether there was something
        """
        advance = self.stuck.get((alias, job.id))
        if advance is None or not advance.renew(job):
            return False

        if is_paused:
            self._drop_stuck(alias, job.id)
        advance.retry_at = None
        return True

    def _ready(self) -> dict[tuple[str, str], Advance]:
        # What has been handed over stays in it until it is most of it: then it is made anew.
        by_job = self._ready_by_job
        if by_job is None or len(by_job) > 2 * len(self.ready):
            by_job = self._ready_by_job = {advance.key: advance for advance in list(self.ready)}

        return by_job

    def waiting(self, key: tuple[str, str]) -> Advance | None:
        """The last runs of a job, if they have not been handed over yet."""
        advance = self._ready().get(key)
        if advance is not None and advance.outcome is None and advance.dropped_as is None:
            return advance

        return self.stuck.get(key)

    def take_all(self) -> list[Advance]:
        """Take out all that wait to be handed over."""
        advances: dict[Advance, None] = {}
        self._ready_by_job = None
        with suppress(IndexError, KeyError):  # one by one: another thread may be taking them
            while self.stuck:
                advances[self.stuck.popitem()[1]] = None
            while self.ready:
                advances[self.ready.popleft()] = None
        return [advance for advance in advances if advance.outcome is None]

    def earliest_retry(self) -> datetime | None:
        return earliest([advance.retry_at for advance in list(self.stuck.values())])


def _keys_of(
    known: Collection[tuple[str, str]], alias: str, job_id: str | None
) -> list[tuple[str, str]]:
    """Return the key of one job if it is there, or of all jobs of a store."""
    if not known:
        return []
    if job_id is None:
        return [key for key in known if key[0] == alias]

    return [(alias, job_id)] if (alias, job_id) in known else []
