"""What is special about the job store in memory: the same objects, and heaps that stay small."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from itertools import count
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apscheduler.job import Job
from apscheduler.jobstores import _heaps, _run_times, memory
from apscheduler.jobstores.base import ConflictingIdError, JobLookupError
from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.testing import ManualScheduler
from apscheduler.triggers.interval import IntervalTrigger
from tests import jobs

MARCH_1 = datetime(2030, 3, 1, tzinfo=timezone.utc)
HOURLY = IntervalTrigger(hours=1, timezone=timezone.utc)
scheduler = ManualScheduler()


def at(second: int | None) -> datetime | None:
    return None if second is None else MARCH_1 + timedelta(seconds=second)


def make_job(id: str, second: int | None) -> Job:
    return Job(
        scheduler,
        id,
        func=jobs.nothing,
        args=(),
        kwargs={},
        trigger=HOURLY,
        next_run_time=at(second),
    )


def test_it_gives_back_the_very_job_that_was_added() -> None:
    store = MemoryJobStore()
    job = make_job("job", 1)
    store.add_job(job)
    assert store.lookup_job("job") is job
    assert store.get_all_jobs()[0] is job
    assert store.get_due_jobs(MARCH_1 + timedelta(seconds=1))[0] is job


def test_it_keeps_functions_that_have_no_reference() -> None:
    store = MemoryJobStore()
    store.add_job(Job(scheduler, "job", func=lambda: 5, args=(), kwargs={}, next_run_time=MARCH_1))
    job = store.lookup_job("job")
    assert job is not None
    assert job.func() == 5


def test_its_methods_never_wait_but_those_of_a_subclass_may() -> None:
    assert not MemoryJobStore().may_block()
    assert type("Slow", (MemoryJobStore,), {})().may_block()


def test_a_shutdown_forgets_the_jobs() -> None:
    store = MemoryJobStore()
    store.add_job(make_job("job", 1))
    store.shutdown()
    assert store.get_all_jobs() == []
    assert store.get_next_run_time() is None


def test_it_does_not_grow_however_often_a_job_moves_on() -> None:
    store = MemoryJobStore()
    store.add_jobs([make_job(str(number), number) for number in range(10)])
    for second in range(1000):
        job = store.lookup_job(str(second % 10))
        assert job is not None
        job.next_run_time = at(second)
        store.update_job(job)
    assert len(store._run_times) < 100


def test_it_does_not_keep_what_was_removed() -> None:
    store = MemoryJobStore()
    store.add_jobs([make_job(str(number), number) for number in range(1000)])
    for number in range(1, 1000):
        store.remove_job(str(number))
    assert store.get_next_run_time() == at(0)
    assert len(store._run_times) < 100


# Some in one minute, some in others, and at the borders of minutes.
moments = st.sampled_from([-1, 0, 1, 2, 59, 60, 61, 3600, 86400])
seconds = st.none() | moments
steps = st.lists(
    st.tuples(st.sampled_from(["add", "update", "remove", "add many", "update many"]), seconds),
    max_size=60,
)


@settings(max_examples=200, deadline=None)
@given(steps, moments)
def test_it_answers_as_a_sorted_list_would(steps: list[tuple[str, int | None]], now: int) -> None:
    store, model = MemoryJobStore(), dict[str, int | None]()
    for number, (step, second) in enumerate(steps):
        id = str(number % 7)
        job = make_job(id, second)
        if step == "add" and id in model:
            with pytest.raises(ConflictingIdError):
                store.add_job(job)
        elif step == "add":
            store.add_job(job)
            model[id] = second
        elif step == "add many":
            new = [name for name in "abcdefghijkl" if name not in model]
            store.add_jobs([make_job(name, second) for name in new])
            model.update(dict.fromkeys(new, second))
        elif step == "update many":
            missing = store.update_jobs([make_job(name, second) for name in [*model, "nobody"]])
            assert missing == ["nobody"]
            model = dict.fromkeys(model, second)
        elif id not in model:
            with pytest.raises(JobLookupError):
                store.update_job(job) if step == "update" else store.remove_job(id)
        elif step == "update":
            store.update_job(job)
            model[id] = second
        else:
            store.remove_job(id)
            del model[id]

    waiting = sorted((second, id) for id, second in model.items() if second is not None)
    moment = MARCH_1 + timedelta(seconds=now)
    assert [job.id for job in store.get_due_jobs(moment)] == [id for s, id in waiting if s <= now]
    assert store.get_next_run_time() == at(next((s for s, _ in waiting), None))
    assert store.get_next_run_time_after(moment) == at(
        next((s for s, _ in waiting if s > now), None)
    )
    paused = [id for id, second in model.items() if second is None]
    found = [job.id for job in store.get_all_jobs()]
    assert found[: len(waiting)] == [id for _, id in waiting]
    assert sorted(found[len(waiting) :]) == sorted(paused)


class Strike:
    """
    Does something at one place of those that a store comes to, as a signal handler may.

    Where it is decided whether heaps are stale, each instruction is a place, elsewhere each line,
    to which a step comes for the first time.
    """

    FILES = tuple(module.__file__ or "" for module in (memory, _heaps, _run_times))

    def __init__(self, at: int, action: Callable[[], object]) -> None:
        self.places_left = at
        self.action = action
        self.seen: set[tuple[object, int]] = set()  # by the current step

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        # Jobs whose times and ids are the same are compared.
        if frame.f_code.co_filename not in self.FILES and frame.f_code is not Job.__eq__.__code__:
            return None
        frame.f_trace_opcodes = frame.f_code.co_name in ("_take", "_give_back")
        place = (frame.f_code, frame.f_lasti)
        if event == ("opcode" if frame.f_trace_opcodes else "line") and place not in self.seen:
            self.seen.add(place)
            self.places_left -= 1
            if self.places_left == -1:
                self.action()
        return self


def put_and_take_out(store: MemoryJobStore) -> Iterator[object]:
    """Let heaps begin, become mostly outdated, and end; few jobs and many at once."""
    store.add_jobs([make_job(str(number), 60 * number) for number in range(8)])
    for minute in range(8):
        store.update_jobs([make_job(str(number), 60 * minute + 7) for number in range(8)])
        store.get_next_run_time()
    yield "struck from here on"
    yield store.add_job(make_job("first", 30))
    yield store.add_jobs([make_job(str(number), 60 * number) for number in range(8, 16)])
    yield store.remove_job("first")
    for minute in range(8, 10):
        moved = [make_job(str(number), 60 * minute + 7) for number in range(8)]
        yield store.update_jobs(moved)
        yield store.get_next_run_time()
    for _ in range(3):
        yield store.update_job(make_job("5", 90))
    for number in range(4):
        yield store.remove_job(str(number))
        yield store.get_next_run_time()
    yield store.get_due_jobs(MARCH_1)
    yield store.get_all_jobs()
    yield store.get_next_run_time_after(MARCH_1 + timedelta(seconds=600))
    yield store.remove_all_jobs()
    yield store.add_job(make_job("last", 30))


def has_all(store: MemoryJobStore) -> bool:
    """Tell whether the store finds each of its jobs when it is due."""
    times = [job.next_run_time for job in store.get_all_jobs()]
    due = [job.next_run_time for job in store.get_due_jobs(MARCH_1 + timedelta(days=1))]
    return due == times and store.get_next_run_time() == min(due, default=None)


def strike_at_each_line(action: Callable[[MemoryJobStore], object]) -> Iterator[MemoryJobStore]:
    """Yield the store after the step that was struck, for each line at which it can be."""
    struck: list[bool] = []

    def strike() -> None:
        sys.settrace(None)
        struck.append(True)
        action(store)

    for at in count():
        store = MemoryJobStore()
        steps = put_and_take_out(store)
        before = sys.gettrace()
        next(steps)
        trace = Strike(at, strike)
        sys.settrace(trace)
        try:
            while not struck:
                trace.seen.clear()
                next(steps)
        except StopIteration:
            return
        except (KeyboardInterrupt, JobLookupError):
            pass
        finally:
            sys.settrace(before)

        struck.clear()
        yield store


def test_ctrl_c_hides_no_job_wherever_it_strikes() -> None:
    def interrupt(store: MemoryJobStore) -> None:
        raise KeyboardInterrupt

    struck = 0
    for struck, store in enumerate(strike_at_each_line(interrupt)):
        assert has_all(store), struck
        for second in (30, 90):
            store.update_jobs([make_job(job.id, second) for job in store.get_all_jobs()])
            assert has_all(store), struck

    assert struck > 500, struck


def add_and_move(store: MemoryJobStore) -> None:
    store.add_job(make_job("of the handler", 45))
    store.update_jobs([make_job(job.id, 20) for job in store.get_all_jobs()])


def look_and_add(store: MemoryJobStore) -> None:
    store.get_due_jobs(MARCH_1 + timedelta(days=1))
    store.add_job(make_job("of the handler", 45))


def begin_anew(store: MemoryJobStore) -> None:
    store.remove_all_jobs()
    store.add_job(make_job("of the handler", 45))
    store.get_next_run_time()


def remove_all_but_one(store: MemoryJobStore) -> None:
    for job in store.get_all_jobs()[1:]:
        store.remove_job(job.id)


@pytest.mark.parametrize("handle", [add_and_move, look_and_add, begin_anew, remove_all_but_one])
def test_a_signal_handler_that_changes_jobs_hides_none_wherever_it_strikes(
    handle: Callable[[MemoryJobStore], object],
) -> None:
    struck = 0
    for struck, store in enumerate(strike_at_each_line(handle)):
        assert has_all(store), struck

    assert struck > 500, struck
