"""A job: which function to call, with which settings, on which schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from functools import lru_cache
from itertools import islice
from os import urandom
from types import MethodType
from typing import TYPE_CHECKING, Any

from ._refs import (
    add_function_alias,
    check_call_shape,
    get_callable_name,
    is_lasting,
    obj_to_ref,
    ref_to_obj,
)
from ._settings import check_grace_time_length, read_coalesce, suggest
from ._time import convert_to_datetime, datetime_repr, is_later
from .triggers.base import BaseTrigger

if TYPE_CHECKING:
    from .schedulers.base import BaseScheduler

__all__ = ("Job", "add_function_alias")

STATE_VERSION = 1

_Call = tuple[Callable[..., Any], "str | None", tuple[Any, ...], dict[str, Any]]


class Job:
    """
    A function with the settings of its runs. Schedulers make jobs; programs do not.

    A setting that was not given to ``add_job()`` is no attribute of the job until the scheduler
    has started and given it its default; so it is with ``next_run_time``, too.

    :ivar str id: unique in its job store
    :ivar str name: for people and logs
    :ivar func: the callable
    :ivar str | None func_ref: the textual reference of ``func``; None when there is none
    :ivar tuple args: positional arguments of ``func``
    :ivar dict kwargs: keyword arguments of ``func``
    :ivar bool coalesce: whether runs that are due together become one
    :ivar BaseTrigger trigger: says when the job runs
    :ivar str executor: alias of the executor that runs it
    :ivar int | None misfire_grace_time: how many seconds late a run may start; None = however late
    :ivar int max_instances: how many runs may go on at once
    :ivar datetime | None next_run_time: the next time to run; None while the job is paused
    """

    __slots__ = (
        "__weakref__",
        "_jobstore_alias",
        "_scheduler",
        "args",
        "coalesce",
        "executor",
        "func",
        "func_ref",
        "id",
        "kwargs",
        "max_instances",
        "misfire_grace_time",
        "name",
        "next_run_time",
        "trigger",
    )

    id: str
    name: str
    func: Callable[..., Any]
    func_ref: str | None
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    coalesce: bool
    trigger: BaseTrigger
    executor: str
    misfire_grace_time: int | None
    max_instances: int
    next_run_time: datetime | None
    # Both are bound by whoever makes the job, or reads it from a store.
    _scheduler: BaseScheduler
    _jobstore_alias: str | None

    def __init__(self, scheduler: Any, id: str | None = None, **kwargs: Any) -> None:
        self._scheduler = scheduler
        self._jobstore_alias = None
        self.id = _id_of(id)
        self.name = ""  # until the function is known
        self._change(kwargs)

    def _common_with_alike(self) -> list[tuple[str, Any]]:
        """Return what jobs have in common that are given the same, but for values of their own."""
        return [(name, getattr(self, name)) for name in _COMMON if hasattr(self, name)]

    @classmethod
    def _of(cls, common: Iterable[tuple[str, Any]], own: dict[str, Any]) -> Job:
        """
        Return a new job.

        :param common: what the first job that was given the same names has in common with it
        :param own: its id, name, arguments and next run time, as far as they are given
        :raises TypeError: if a value is of a wrong type
        :raises ValueError: if the arguments do not fit the function
        """
        job = cls.__new__(cls)
        for name, value in common:
            setattr(job, name, value)
        job.kwargs = {}  # each its own
        job.id = _id_of(own.pop("id", None))
        if own:
            job._change(own)

        return job

    def modify(self, **changes: Any) -> Job:
        """Change settings of this job; see :meth:`.BaseScheduler.modify_job`."""
        self._scheduler.modify_job(self.id, self._jobstore_alias, **changes)
        return self

    def reschedule(self, trigger: Any, **trigger_args: Any) -> Job:
        """Give this job another trigger; see :meth:`.BaseScheduler.reschedule_job`."""
        self._scheduler.reschedule_job(self.id, self._jobstore_alias, trigger, **trigger_args)
        return self

    def pause(self) -> Job:
        """Keep this job from running until it is resumed; see :meth:`.BaseScheduler.pause_job`."""
        self._scheduler.pause_job(self.id, self._jobstore_alias)
        return self

    def resume(self) -> Job:
        """Let this job run again, from now on; see :meth:`.BaseScheduler.resume_job`."""
        self._scheduler.resume_job(self.id, self._jobstore_alias)
        return self

    def remove(self) -> None:
        """Remove this job from its job store; see :meth:`.BaseScheduler.remove_job`."""
        self._scheduler.remove_job(self.id, self._jobstore_alias)

    @property
    def pending(self) -> bool:
        """Whether the job still waits for its scheduler to start and take it to its job store."""
        return self._jobstore_alias is None

    def next_run_times(self, count: int) -> list[datetime]:
        """
        Preview the coming run times. With a jitter they are one possible draw.

        :param count: how many to return at most; fewer are returned when the schedule ends
        :return: run times in order; none for a paused job
        :raises ValueError: if the count is negative
        :raises TypeError: if it is no whole number
        """
        if not isinstance(count, int):
            raise TypeError(f"count must be a whole number of run times, got {count!r}")
        if count < 0:
            raise ValueError(f"count must be 0 or more run times, got {count!r}")

        return list(islice(self._run_times(), count))

    def _run_times(self) -> Iterator[datetime]:
        if hasattr(self, "next_run_time"):
            run_time = self.next_run_time
        else:
            run_time = self.trigger.get_first_fire_time(None, self._scheduler._now())

        while run_time is not None:
            yield run_time
            run_time = self.trigger.get_next_fire_time(run_time, run_time)

    def _get_run_times(self, now: datetime) -> list[datetime]:
        """Return every run time up to and including ``now`` that has not been started."""
        return list(self._due_run_times(now))

    def _due_run_times(self, now: datetime) -> Iterator[datetime]:
        run_time = self.next_run_time
        while run_time is not None and not is_later(run_time, now):
            yield run_time
            run_time = self.trigger.get_next_fire_time(run_time, now)

    def _modify(self, **changes: Any) -> None:
        """
        Check the changes, then make all of them or none.

        :raises TypeError: if a value is of a wrong type
        :raises ValueError: if the id would change, or the arguments do not fit the function
        :raises AttributeError: if a name is no setting of a job
        """
        self._change(changes)

    def _change(self, changes: dict[str, Any]) -> None:
        if not _SETTINGS.issuperset(changes):
            unknown = [name for name in changes if name not in _SETTINGS]
            raise AttributeError(
                f"The following are not modifiable attributes of Job: {', '.join(unknown)}"
                + (_BY_NAME if "trigger" in changes else suggest(unknown[0], _SETTINGS - {"id"}))
            )

        call = None
        if not _CALL.isdisjoint(changes):
            call = self._check_call(changes)
            if changes.get("name") is None and not getattr(self, "name", ""):
                changes["name"] = get_callable_name(call[0])

        approved: dict[str, Any] = {}
        for name, value in changes.items():
            check = _CHECKS.get(name)
            if check is not None:
                approved[name] = check(value)
            elif name == "id":
                approved[name] = self._check_same_id(value)
            elif name == "next_run_time":
                zone = self._scheduler.timezone
                approved[name] = convert_to_datetime(value, zone, "next_run_time")

        if call is not None:
            self.func, self.func_ref, self.args, self.kwargs = call
        for name, value in approved.items():
            setattr(self, name, value)

    def _check_same_id(self, value: Any) -> str:
        if getattr(self, "id", value) != _check_id(value):
            raise ValueError("The job ID may not be changed")

        return value  # type: ignore[no-any-return]  # a string, as was checked

    def _check_call(self, changes: Mapping[str, Any]) -> _Call:
        """Check function and arguments together: what is not given stays as it is."""
        # Not changes.get(): what is not given need not be an attribute yet.
        func = changes["func"] if "func" in changes else self.func  # noqa: SIM401
        args = changes["args"] if "args" in changes else self.args  # noqa: SIM401
        kwargs = changes["kwargs"] if "kwargs" in changes else self.kwargs  # noqa: SIM401

        given_ref = None
        if "func" not in changes:
            given_ref = self.func_ref  # it may have been given, and be another than its own
        elif isinstance(func, str):
            given_ref, func = func, ref_to_obj(func)
        elif not callable(func):
            raise TypeError(f"func must be a callable or a textual reference to one, got {func!r}")

        # A string is iterable, but its letters are never what was meant. What is usual comes
        # first, for it is known at once.
        if isinstance(args, str) or not isinstance(args, (tuple, list, Iterable)):
            raise TypeError(f"args must be a non-string iterable, got {args!r} instead")
        if not isinstance(kwargs, (dict, Mapping)):
            raise TypeError(f"kwargs must be a dict-like object, got {kwargs!r} instead")

        args, kwargs = tuple(args), dict(kwargs)
        if is_lasting(func):
            func_ref = given_ref or _find_ref_once(func)
            _check_shape_once(func, len(args), tuple(kwargs))
        else:
            func_ref = given_ref or _find_ref(func)
            check_call_shape(func, len(args), tuple(kwargs))

        return func, func_ref, args, kwargs

    def __getstate__(self) -> dict[str, Any]:
        """
        Return what is stored of a job.

        :raises ValueError: if there is no textual reference to its function
        """
        if self.func_ref is None:
            raise ValueError(
                f"This Job cannot be serialized since the reference to its callable "
                f"({self.func!r}) could not be determined. Consider giving a textual reference "
                f"(module:function name) instead."
            )

        # The reference of a bound method names the plain function, whose first argument is self.
        args = self.args
        if isinstance(self.func, MethodType) and not isinstance(self.func.__self__, type):
            if obj_to_ref(self.func) == self.func_ref:
                args = (self.func.__self__, *args)

        return {
            "version": STATE_VERSION,
            "id": self.id,
            "func": self.func_ref,
            "trigger": self.trigger,
            "executor": self.executor,
            "args": args,
            "kwargs": self.kwargs,
            "name": self.name,
            "misfire_grace_time": self.misfire_grace_time,
            "coalesce": self.coalesce,
            "max_instances": self.max_instances,
            "next_run_time": self.next_run_time,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        """
        Take over a stored state.

        :raises ValueError: if a later version of the library wrote it
        :raises LookupError: if its function cannot be found
        :raises TypeError: if what is found under its name cannot be called
        """
        version = state.get("version", 1)
        if version > STATE_VERSION:
            raise ValueError(
                f"Job has version {version}, but only version {STATE_VERSION} and earlier can be "
                f"handled"
            )

        self.id = state["id"]
        self.func_ref = state["func"]
        self.func = _find_function(state["func"])
        self.trigger = state["trigger"]
        self.executor = state["executor"]
        self.args = state["args"]
        self.kwargs = state["kwargs"]
        self.name = state["name"]
        self.misfire_grace_time = state["misfire_grace_time"]
        self.coalesce = state["coalesce"]
        self.max_instances = state["max_instances"]
        self.next_run_time = state["next_run_time"]

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, Job) else NotImplemented

    __hash__ = None  # type: ignore[assignment]  # equal by id, and the id may be set later

    def __repr__(self) -> str:
        return f"<Job (id={self.id} name={self.name})>"

    def __str__(self) -> str:
        if not hasattr(self, "next_run_time"):
            status = "pending"
        elif self.next_run_time is None:
            status = "paused"
        else:
            status = f"next run at: {datetime_repr(self.next_run_time)}"

        return f"{self.name} (trigger: {self.trigger}, {status})"


def _id_of(given: Any) -> str:
    return _new_id() if given is None or given == "" else _check_id(given)


def _new_id() -> str:
    """Return a random UUID (RFC 9562, version 4) in hexadecimal, sooner than uuid4() does."""
    digits = urandom(16).hex()
    # The 13th digit is the version, and two bits of the 17th are the variant.
    return f"{digits[:12]}4{digits[13:16]}{_VARIANTS[digits[16]]}{digits[17:]}"


_VARIANTS = {f"{number:x}": f"{8 | number & 3:x}" for number in range(16)}


def _find_function(ref: str) -> Callable[..., Any]:
    func = ref_to_obj(ref)
    # A module, say, into which a function was moved that has its name.
    if not callable(func):
        raise TypeError(f"The reference {ref} leads to {func!r}, which cannot be called")

    return func  # type: ignore[no-any-return]


def _find_ref(func: Callable[..., Any]) -> str | None:
    try:
        return obj_to_ref(func)
    except ValueError:
        return None  # such a job runs, but only a store that keeps objects can hold it


# Of functions that stay with their modules; one string for all jobs of a function, too.
_find_ref_once = lru_cache(maxsize=1024)(_find_ref)
_check_shape_once = lru_cache(maxsize=1024)(check_call_shape)


def _check_id(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"id must be a nonempty string, got {value!r}")

    return value


def _check_name(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"name must be a nonempty string, got {value!r}")

    return value


def _check_misfire_grace_time(value: Any) -> int | None:
    if value is not None and (not isinstance(value, int) or value <= 0):
        raise TypeError(
            f"misfire_grace_time must be either None or a positive integer (seconds), "
            f"got {value!r}"
        )
    if value is not None:
        check_grace_time_length(value)

    return value


def _check_max_instances(value: Any) -> int:
    if not isinstance(value, int) or value <= 0:
        raise TypeError(f"max_instances must be a positive integer, got {value!r}")

    return value


def _check_executor(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"executor must be a string, the alias of one, got {value!r}")

    return value


def _check_trigger(value: Any) -> BaseTrigger:
    if not isinstance(value, BaseTrigger):
        raise TypeError(
            f"Expected a trigger instance, got {type(value).__name__} instead"
            + (_BY_NAME if isinstance(value, str) else "")
        )

    return value


_BY_NAME = "; reschedule_job() takes the name of a trigger, and its arguments"
_CALL = frozenset(("func", "args", "kwargs"))
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "name": _check_name,
    "misfire_grace_time": _check_misfire_grace_time,
    "coalesce": read_coalesce,
    "max_instances": _check_max_instances,
    "executor": _check_executor,
    "trigger": _check_trigger,
}
_SETTINGS = _CALL | _CHECKS.keys() | {"id", "next_run_time"}

# What jobs have in common that are given the same, but for values of their own.
_COMMON = [
    name for name in Job.__slots__ if name not in ("__weakref__", "id", "kwargs", "next_run_time")
]
