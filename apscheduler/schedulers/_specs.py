"""Read what add_jobs() is given: for each job, the arguments of add_job()."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

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

# Values of these types mean the same wherever they are equal; two datetimes may differ by zone.
_PLAIN = frozenset((int, float, str, type(None)))

CreateTrigger = Callable[["BaseTrigger | str | None", dict[str, Any]], BaseTrigger]
CreateJob = Callable[[Mapping[str, Any], "BaseTrigger | str | None", dict[str, Any]], Job]


def read_specs(
    specs: Iterable[Mapping[str, Any]],
    create_trigger: CreateTrigger,
    create_job: CreateJob,
    shares_triggers: bool,
) -> Entries:
    """
    Create the jobs that the mappings describe.

    :param create_trigger: makes a trigger of its name and arguments
    :param create_job: makes a job of its settings, its trigger or the name of it, and arguments of
        the trigger
    :param shares_triggers: whether jobs that give equal arguments may have the same trigger
    :raises TypeError: if one is no mapping, or has no function
    """
    entries = Entries()
    triggers = _Triggers(create_trigger)
    for spec in specs:
        if not isinstance(spec, (dict, Mapping)):  # what is usual comes first: it is known at once
            raise TypeError(
                f"add_jobs() takes an iterable of mappings, each with the arguments of add_job(), "
                f"but one item is {spec!r}"
            )
        if "func" not in spec:
            names = ", ".join(map(str, spec))
            raise TypeError(f'A job needs a "func", but only these were given: {names}')

        settings: dict[str, Any] = {"executor": "default"}
        trigger_args: dict[str, Any] = {}
        for name, value in spec.items():
            if name in _OF_JOB:
                settings[name] = value
            elif name not in _BESIDE_JOB:
                trigger_args[name] = value
        trigger = spec.get("trigger")
        if shares_triggers and isinstance(trigger, str):
            trigger, trigger_args = triggers.find(trigger, trigger_args), {}
        job = create_job(settings, trigger, trigger_args)
        entries.append(job, spec.get("jobstore", "default"), spec.get("replace_existing", False))

    return entries


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
        types = tuple(map(type, arguments.values()))
        if not _PLAIN.issuperset(types):
            return self._create(name, arguments)

        key = (name, types, *arguments.items())  # the types, for 1 and 1.0 are equal
        known = self._known.get(key)
        if known is None:
            known = self._create(name, arguments)
            if is_own("triggers", name, type(known)):
                self._known[key] = known

        return known
