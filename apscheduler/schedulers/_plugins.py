"""Triggers, executors and job stores found by their names, and built."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, MutableMapping
from typing import Any

from .._refs import maybe_ref, ref_to_obj, takes_keyword
from .._settings import suggest

# The plugins of this package, as in its entry points. They are known here, too, so that nothing
# has to be looked up for them and a program that was frozen without metadata works.
_OWN: dict[str, dict[str, str]] = {
    "triggers": {
        "and": "apscheduler.triggers.combining:AndTrigger",
        "calendarinterval": "apscheduler.triggers.calendarinterval:CalendarIntervalTrigger",
        "cron": "apscheduler.triggers.cron:CronTrigger",
        "date": "apscheduler.triggers.date:DateTrigger",
        "excluding": "apscheduler.triggers.excluding:ExcludingTrigger",
        "interval": "apscheduler.triggers.interval:IntervalTrigger",
        "or": "apscheduler.triggers.combining:OrTrigger",
    },
    "executors": {
        "asyncio": "apscheduler.executors.asyncio:AsyncIOExecutor",
        "debug": "apscheduler.executors.debug:DebugExecutor",
        "gevent": "apscheduler.executors.gevent:GeventExecutor",
        "processpool": "apscheduler.executors.pool:ProcessPoolExecutor",
        "threadpool": "apscheduler.executors.pool:ThreadPoolExecutor",
        "tornado": "apscheduler.executors.tornado:TornadoExecutor",
        "twisted": "apscheduler.executors.twisted:TwistedExecutor",
    },
    "jobstores": {
        "etcd": "apscheduler.jobstores.etcd:EtcdJobStore",
        "memory": "apscheduler.jobstores.memory:MemoryJobStore",
        "mongodb": "apscheduler.jobstores.mongodb:MongoDBJobStore",
        "redis": "apscheduler.jobstores.redis:RedisJobStore",
        "sqlalchemy": "apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore",
        "zookeeper": "apscheduler.jobstores.zookeeper:ZooKeeperJobStore",
    },
}
_OF_DATE = ("run_date", "timezone")
_NAMES_OF_CLASS = ("class", "type")
_CALLED = {"triggers": "trigger", "executors": "executor", "jobstores": "jobstore"}

#: What the components of a scheduler are called in sentences.
SPOKEN = {"executors": "executor", "jobstores": "job store"}


def load_class(kind: str, name: str, base: type, loaded: MutableMapping[str, Any]) -> Any:
    """
    Return the plugin class that has this name in the entry-point group ``apscheduler.<kind>``.

    :param kind: "triggers", "executors" or "jobstores"
    :param base: the class that every plugin of this kind derives from
    :param loaded: classes by name, found before; the class is added to it
    :raises LookupError: if no plugin has this name
    :raises TypeError: if what has this name is no such plugin
    """
    if not isinstance(name, str):  # a configuration may hold anything
        raise _no_plugin(kind, name, _OWN[kind])
    if name in loaded:
        return loaded[name]

    own = _OWN[kind].get(name)
    plugin = ref_to_obj_or_cause(own) if own else _load_entry_point(kind, name)
    if not (isinstance(plugin, type) and issubclass(plugin, base)):
        raise TypeError(
            f'The {_CALLED[kind]} entry point "{name}" does not point to a {base.__name__} class'
        )

    loaded[name] = plugin
    return plugin


def is_own(kind: str, name: str, cls: type) -> bool:
    """Tell whether a class is the one of this package that has this name."""
    return _OWN[kind].get(name) == f"{cls.__module__}:{cls.__qualname__}"


def ref_to_obj_or_cause(ref: str) -> Any:
    """Resolve a reference; a missing package is named by the error of its import."""
    try:
        return ref_to_obj(ref)
    except LookupError as exc:
        raise (exc.__cause__ or exc) from None


def _load_entry_point(kind: str, name: str) -> Any:
    from importlib.metadata import entry_points  # slow to import, and seldom needed

    found = {entry.name: entry for entry in entry_points(group=f"apscheduler.{kind}")}
    if name not in found:
        raise _no_plugin(kind, name, found.keys() | _OWN[kind].keys())

    return found[name].load()


def _no_plugin(kind: str, name: str, known: Iterable[str]) -> LookupError:
    return LookupError(f'No {_CALLED[kind]} by the name "{name}" was found' + suggest(name, known))


def build(cls: Any, arguments: Mapping[str, Any], others: Collection[str] = ()) -> Any:
    """
    Call a plugin class with the arguments that a user gave.

    :param others: names that could be given beside them, one of which may have been meant
    :raises TypeError: if it has no parameter by one of the names, naming the nearest
    """
    try:
        return cls(**arguments)
    except TypeError as exc:
        raise _explained(exc, cls, arguments, others) from exc


def build_all(
    kind: str, value: Any, base: type, loaded: MutableMapping[str, Any]
) -> dict[str, Any]:
    """
    Build the executors or the job stores of a configuration; all or none.

    :param kind: "executors" or "jobstores"
    :param value: by alias, an instance or a mapping of options
    :param base: the class that every one of them derives from
    :param loaded: classes by name, found before
    :raises TypeError: if one is neither instance nor mapping, or an option is unknown
    :raises ValueError: if options name no class
    :raises LookupError: if there is no plugin by a name that was given
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{kind} must be a dict of aliases, got {type(value).__name__} instead")

    return {alias: _build_one(kind, alias, one, base, loaded) for alias, one in value.items()}


def _build_one(
    kind: str, alias: str, value: Any, base: type, loaded: MutableMapping[str, Any]
) -> Any:
    if isinstance(value, base):
        return value
    if not isinstance(value, Mapping):
        raise TypeError(
            f'Expected {SPOKEN[kind]} instance or dict for {kind}["{alias}"], got '
            f"{type(value).__name__} instead"
        )

    arguments = dict(value)
    component = build(class_from_options(kind, alias, arguments, base, loaded), arguments)
    if not isinstance(component, base):
        raise TypeError(
            f'The class of {kind}["{alias}"] must be a {base.__name__}, but it made a '
            f"{type(component).__name__}"
        )

    return component


def _explained(
    exc: TypeError, cls: Any, arguments: Mapping[str, Any], others: Collection[str]
) -> TypeError:
    # Only on the way to an error, so that nothing is inspected when all is well.
    from inspect import Parameter, signature

    try:
        parameters = signature(cls).parameters.values()
    except (TypeError, ValueError):
        return exc
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters):
        return exc

    names = [parameter.name for parameter in parameters]
    for name in arguments:
        if name not in names:
            meant = suggest(name, names, () if name in others else others)
            return TypeError(f'{cls.__name__} got an unexpected keyword argument "{name}"{meant}')

    return exc


def check_arguments_of_no_trigger(names: Collection[str], others: Collection[str]) -> None:
    """
    Refuse what the trigger "date", which is meant when none is given, does not take.

    :param others: names that could be given beside them, one of which may have been meant
    :raises TypeError: naming the trigger that may have been meant
    """
    unknown = [name for name in names if name not in _OF_DATE]
    if not unknown:
        return

    fitting = [
        f'"{trigger}"'
        for trigger in ("interval", "cron", "calendarinterval")
        if all(takes_keyword(ref_to_obj(_OWN["triggers"][trigger]), name) for name in names)
    ]
    meant = (
        f"; give the name of one, such as {' or '.join(fitting)}"
        if fitting
        else suggest(unknown[0], _OF_DATE, () if unknown[0] in others else others)
    )
    raise TypeError(
        f"No trigger was given, so the job would run once, and there is no use for the "
        f'argument "{unknown[0]}"{meant}'
    )


def class_from_options(
    kind: str, alias: str, options: dict[str, Any], base: type, loaded: MutableMapping[str, Any]
) -> Any:
    """
    Take "type" and "class" out of a component's options, and return the class that they name.

    If both are there, the type counts, as in 3.x.

    :raises ValueError: if neither is there
    :raises LookupError: if there is no such class
    :raises TypeError: if the class is nothing that could be called
    """
    type_name, class_name = options.pop("type", None), options.pop("class", None)
    if type_name:
        return load_class(kind, type_name, base, loaded)
    if class_name:
        cls = maybe_ref(class_name)
        if not callable(cls):
            raise TypeError(
                f'The class of {kind}["{alias}"] must be a {base.__name__} class or a reference '
                f'to one, such as "package.module:Class", got {class_name!r}'
            )
        return cls

    raise ValueError(
        f'Cannot create {SPOKEN[kind]} "{alias}" -- either "type" or "class" must be defined'
        + _meant_for(_NAMES_OF_CLASS, options)
    )


def _meant_for(known: Collection[str], names: Collection[str]) -> str:
    """Return the end of an error message: a name that was given and one that it resembles."""
    for name in names:
        hint = suggest(name, known)
        if "did you mean" in hint:
            return f'; got "{name}"{hint}'

    return f"; got only: {', '.join(map(str, names))}" if names else ""
