"""Read what add_jobs() is given: for each job, the arguments of add_job()."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from .._refs import undefined
from ..job import Job
from ..triggers.base import BaseTrigger
from ._adding import Entries
from ._plugins import is_own

JOB_ARGUMENTS = (
    "func",
    "args",
    "kwargs",
    "id",
    "name",
    "misfire_grace_time",
    "coalesce",
    "max_instances",
    "next_run_time",
    "executor",
)
_BESIDE_JOB = ("trigger", "jobstore", "replace_existing")
ADDING_ARGUMENTS = (*JOB_ARGUMENTS, *_BESIDE_JOB)
_OF_JOB = frozenset(JOB_ARGUMENTS)  # found at once

# What jobs that are otherwise alike differ in.
_ITS_OWN = frozenset(("id", "name", "args", "kwargs", "next_run_time"))

# Values of these types mean the same wherever they are equal; two datetimes may differ by zone.
_PLAIN = frozenset((int, float, str, bool, type(None), FunctionType, MethodType))

CreateTrigger = Callable[["BaseTrigger | str | None", dict[str, Any]], BaseTrigger]
CreateJob = Callable[[Mapping[str, Any], "BaseTrigger | str | None", dict[str, Any]], Job]


def read_specs(
    specs: Iterable[Mapping[str, Any]],
    create_trigger: CreateTrigger,
    create_job: CreateJob,
    makes_equal_jobs: bool,
) -> Entries:
    """
    Create the jobs that the mappings describe.

    :param create_trigger: makes a trigger of its name and arguments
    :param create_job: makes a job of its settings, its trigger or the name of it, and arguments of
        the trigger
    :param makes_equal_jobs: whether it makes the same of equal arguments
    :raises TypeError: if one is no mapping, or has no function
    """
    entries = Entries()
    create: Callable[[Mapping[str, Any]], Job] = partial(_create, create_job)
    if makes_equal_jobs:
        create = _Patterns(create_trigger, create_job).create
    for spec in specs:
        if not isinstance(spec, (dict, Mapping)):  # what is usual comes first: it is known at once
            raise TypeError(
                f"add_jobs() takes an iterable of mappings, each with the arguments of add_job(), "
                f"but one item is {spec!r}"
            )
        if "func" not in spec:
            names = ", ".join(map(str, spec))
            raise TypeError(f'A job needs a "func", but only these were given: {names}')

        job = create(spec)
        entries.append(job, spec.get("jobstore", "default"), spec.get("replace_existing", False))

    return entries


def _create(
    create_job: CreateJob, spec: Mapping[str, Any], triggers: _Triggers | None = None
) -> Job:
    settings: dict[str, Any] = {"executor": "default"}
    trigger_args: dict[str, Any] = {}
    for name, value in spec.items():
        if name in _OF_JOB:
            settings[name] = value
        elif name not in _BESIDE_JOB:
            trigger_args[name] = value

    trigger = spec.get("trigger")
    if triggers is not None and isinstance(trigger, str):
        trigger, trigger_args = triggers.find(trigger, trigger_args), {}
    return create_job(settings, trigger, trigger_args)


def _key_of(values: dict[str, Any]) -> tuple[Any, ...] | None:
    """Return what is equal only for the same values; None if some may be equal, and differ."""
    types = tuple(map(type, values.values()))
    return (types, *values.items()) if _PLAIN.issuperset(types) else None  # 1 and 1.0 are equal


class _Triggers:
    """
    Triggers of one call of add_jobs(): jobs that give equal arguments have the same one.

    They need not be made, and kept, a thousand times. Only those of this package are shared: they
    keep nothing from one question to the next, as others may.
    """

    def __init__(self, create: CreateTrigger) -> None:
        self._create = create
        self._known: dict[tuple[Any, ...], BaseTrigger] = {}

    def find(self, name: str, arguments: dict[str, Any]) -> BaseTrigger:
        """Return a trigger by its name: a new one, or one that may be shared."""
        values = _key_of(arguments)
        if values is None:
            return self._create(name, arguments)

        key = (name, values)
        known = self._known.get(key)
        if known is None:
            known = self._create(name, arguments)
            if is_own("triggers", name, type(known)):
                self._known[key] = known

        return known


class _Patterns:
    """
    Jobs of one call of add_jobs() that are alike but for what each has of its own.

    What they share is checked, and kept, once, their trigger included.
    """

    def __init__(self, create_trigger: CreateTrigger, create_job: CreateJob) -> None:
        self._triggers = _Triggers(create_trigger)
        self._create_job = create_job
        self._known: dict[tuple[Any, ...], list[tuple[str, Any]]] = {}

    def create(self, spec: Mapping[str, Any]) -> Job:
        """Create a job, by the one that was created first of those that are like it."""
        own: dict[str, Any] = {}
        shared: dict[str, Any] = {}
        for name, value in spec.items():
            if name not in _ITS_OWN:
                shared[name] = value
            elif not (value is undefined or (value is None and name != "next_run_time")):
                own[name] = value
        trigger = shared.get("trigger")
        values = _key_of(shared)
        if not isinstance(trigger, str) or values is None:
            return _create(self._create_job, spec, self._triggers)

        key = (values, *own)  # with the names of what is given to each
        common = self._known.get(key)
        if common is not None:
            return Job._of(common, own)

        job = _create(self._create_job, spec, self._triggers)
        if is_own("triggers", trigger, type(job.trigger)):
            self._known[key] = job._common_with_alike()
        return job
