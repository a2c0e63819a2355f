"""Textual references to callables, their names, and checks of the arguments they take."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache, partial
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ReferenceType, WeakKeyDictionary

if TYPE_CHECKING:
    from inspect import Signature


class _Undefined:
    """The type of :data:`undefined`."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<undefined>"

    def __reduce__(self) -> str:
        return "undefined"  # a copy or an unpickled one is still the same object


undefined = _Undefined()  # "not given, take the scheduler's default"

_TRUE = frozenset(("true", "yes", "on", "y", "t", "1"))
_FALSE = frozenset(("false", "no", "off", "n", "f", "0"))


def asbool(obj: object) -> bool:
    """
    Read a boolean out of a configuration value.

    :raises ValueError: if a string is given that means neither true nor false
    """
    if not isinstance(obj, str):
        return bool(obj)

    word = obj.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False

    raise ValueError(f'Unable to interpret value "{obj}" as boolean')


def asint(text: Any) -> int | None:
    """
    Read a whole number out of a configuration value; None stays None.

    :raises ValueError: if the value is not a whole number
    """
    return None if text is None else int(text)


def get_callable_name(func: Any) -> str:
    """
    Return the name by which people know a callable: its qualified name, or its class's.

    :raises TypeError: if ``func`` is not callable
    """
    # The name of a bound method starts with its class: of the instance, or itself if the method
    # is a class method.
    if isinstance(func, MethodType):
        owner = func.__self__
        cls = owner if isinstance(owner, type) else type(owner)
        return f"{cls.__qualname__}.{func.__name__}"

    name = getattr(func, "__qualname__", None)
    if isinstance(name, str):
        return name
    if callable(func):
        return type(func).__qualname__

    raise TypeError(f"Unable to determine a name for {func!r} -- maybe it is not a callable?")


def obj_to_ref(obj: Any) -> str:
    """
    Return the reference, ``module:name``, by which the object can be found again.

    It is made of the names that the object itself tells, as in 3.x: whether its module knows it by
    that name is not looked up.

    :raises ValueError: if there can be none: a lambda, a nested function, a partial, an instance,
        or an object that belongs to no module
    :raises TypeError: if ``obj`` is not callable
    """
    if isinstance(obj, partial):
        raise ValueError("Cannot create a reference to a partial()")

    name = get_callable_name(obj)
    if "<lambda>" in name:
        raise ValueError("Cannot create a reference to a lambda")
    if "<locals>" in name:
        raise ValueError("Cannot create a reference to a nested function")

    owner = obj
    if isinstance(obj, MethodType):
        owner = obj.__self__ if isinstance(obj.__self__, type) else type(obj.__self__)
    elif getattr(obj, "__qualname__", None) is None:
        raise ValueError(f"Cannot create a reference to an instance of {name}")

    module = getattr(owner, "__module__", None)
    if not isinstance(module, str):
        raise ValueError(f"Cannot create a reference to {obj!r}: it belongs to no module")

    return f"{module}:{name}"


_function_aliases: dict[str, str] = {}


def add_function_alias(old_ref: str, new_ref: str) -> None:
    """
    Tell where a function lives now, so that stored jobs that name its old place run again.

    The alias is consulted, in this process, whenever a reference is resolved.

    :param old_ref: the reference in stored jobs, ``"old.module:function"``
    :param new_ref: where the function is now, ``"new.module:function"``
    :raises ValueError: if either is not of the form ``"module:name"``, or both lead in a circle
    """
    for ref in (old_ref, new_ref):
        _split_ref(ref)

    target = new_ref
    while target in _function_aliases and target != old_ref:
        target = _function_aliases[target]
    if target == old_ref:
        raise ValueError(f'The alias "{old_ref}" -> "{new_ref}" leads back to "{old_ref}"')

    _function_aliases[old_ref] = new_ref
    for watcher in list(_watchers.values()):
        known = watcher()
        if known is not None:
            known.function_alias_added()


class AliasWatcher(Protocol):
    """Wants to know when a reference may have become good."""

    def function_alias_added(self) -> None: ...


# By id(), and changed in single steps only: a lock might be held by another thread at a fork.
_watchers: dict[int, ReferenceType[AliasWatcher]] = {}


def watch_aliases(watcher: AliasWatcher) -> None:
    """Call the method of the watcher after each new function alias, until it is unwatched."""
    _watchers[id(watcher)] = ReferenceType(watcher)


def unwatch_aliases(watcher: AliasWatcher) -> None:
    _watchers.pop(id(watcher), None)


def _split_ref(ref: str) -> tuple[str, str]:
    if not isinstance(ref, str):
        raise TypeError("References must be strings")

    module_name, colon, name = ref.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f'Invalid reference "{ref}": expected the form "module:name"')

    return module_name, name


_split_ref_once = lru_cache(maxsize=1024)(_split_ref)  # many stored jobs name one function


def ref_to_obj(ref: str) -> Any:
    """
    Return the object that a reference of the form ``module:name`` or ``module:name.name`` names.

    :raises TypeError: if ``ref`` is not a string
    :raises ValueError: if it does not have that form
    :raises LookupError: if the module cannot be imported, or does not have the name
    """
    if not isinstance(ref, str):
        raise TypeError("References must be strings")

    module_name, name = _split_ref_once(ref)
    while ref in _function_aliases:
        ref = _function_aliases[ref]
        module_name, name = _split_ref_once(ref)

    obj = sys.modules.get(module_name)
    # A module in the middle of its import is left to the import system, which waits for it.
    if obj is None or getattr(getattr(obj, "__spec__", None), "_initializing", False):
        try:
            __import__(module_name)
            obj = sys.modules[module_name]
        except ImportError as exc:
            raise LookupError(f"Error resolving reference {ref}: could not import module") from exc

    try:
        for part in name.split("."):
            obj = getattr(obj, part)
    except AttributeError as exc:
        raise LookupError(f"Error resolving reference {ref}: error looking up object") from exc

    return obj


def maybe_ref(ref: Any) -> Any:
    """Return the object that a string refers to, or anything else as it is."""
    return ref_to_obj(ref) if isinstance(ref, str) else ref


def iscoroutinefunction_partial(f: Any) -> bool:
    """Tell whether calling ``f``, which may be a partial of it, makes a coroutine."""
    from inspect import iscoroutinefunction  # loaded by whoever has an event loop

    while isinstance(f, partial):
        f = f.func

    if iscoroutinefunction(f):
        return True

    # An instance of a class with "async def __call__" is no coroutine function by itself.
    call = getattr(type(f), "__call__", None)  # noqa: B004  # it may be inherited
    return not isinstance(f, type) and iscoroutinefunction(call)


def is_lasting(func: Any) -> bool:
    """Tell whether a function stays with its module, so that what is known of it may be kept."""
    return type(func) is FunctionType and "<" not in func.__qualname__  # <locals>, <lambda>


_signatures: WeakKeyDictionary[Any, Signature] = WeakKeyDictionary()


def _signature(func: Any) -> Signature | None:
    """The signature of a callable; None where it tells none, as some builtins do."""
    # Only functions and classes are remembered: others may be made anew for each job.
    if not isinstance(func, (FunctionType, BuiltinFunctionType, type)):
        return _read_signature(func)

    known = _signatures.get(func)
    if known is None and (known := _read_signature(func)) is not None:
        _signatures[func] = known

    return known


def _read_signature(func: Any) -> Signature | None:
    from inspect import signature  # takes as long to import as all of ours

    try:
        return signature(func)
    except (TypeError, ValueError):
        return None


@lru_cache(maxsize=64)  # asked for each job that names its trigger
def takes_keyword(cls: type, name: str) -> bool:
    """Tell whether a class takes a keyword argument of this name; True where it tells none."""
    sig = _signature(cls)
    return sig is None or any(
        param.kind is param.VAR_KEYWORD or param.name == name for param in sig.parameters.values()
    )


def check_callable_args(
    func: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]
) -> None:
    """
    Make sure that the callable can be called with these arguments.

    :raises ValueError: naming the argument that is missing, unknown or given twice
    """
    check_call_shape(func, len(tuple(args)), tuple(kwargs))


def check_call_shape(func: Callable[..., Any], given: int, names: tuple[str, ...]) -> None:
    """
    Check a call by what counts: so many positional arguments, and these keywords.

    :raises ValueError: as :func:`check_callable_args` does
    """
    sig = _signature(func)
    if sig is None:
        return

    open_names = dict.fromkeys(names)  # keyword arguments that no parameter has taken yet
    positional_only_as_keyword: list[str] = []
    given_twice: list[str] = []
    missing: list[str] = []
    missing_keywords: list[str] = []
    taken = 0
    has_args = has_kwargs = False

    for param in sig.parameters.values():
        if param.kind is param.VAR_POSITIONAL:
            has_args = True
        elif param.kind is param.VAR_KEYWORD:
            has_kwargs = True
        elif param.kind is param.KEYWORD_ONLY:
            if param.name in open_names:
                del open_names[param.name]
            elif param.default is param.empty:
                missing_keywords.append(param.name)
        elif taken < given:
            taken += 1
            if param.name in open_names and param.kind is not param.POSITIONAL_ONLY:
                given_twice.append(param.name)
        elif param.name in open_names and param.kind is param.POSITIONAL_ONLY:
            positional_only_as_keyword.append(param.name)
        elif param.name in open_names:
            del open_names[param.name]
        elif param.default is param.empty:
            missing.append(param.name)

    if given_twice:
        raise ValueError(
            "The following arguments are supplied in both args and kwargs: "
            + ", ".join(given_twice)
        )
    if positional_only_as_keyword:
        raise ValueError(
            "The following arguments cannot be given as keyword arguments: "
            + ", ".join(positional_only_as_keyword)
        )
    if missing:
        raise ValueError("The following arguments have not been supplied: " + ", ".join(missing))
    if missing_keywords:
        raise ValueError(
            "The following keyword-only arguments have not been supplied in kwargs: "
            + ", ".join(missing_keywords)
        )
    if not has_args and taken < given:
        raise ValueError(
            "The list of positional arguments is longer than the target callable can handle "
            f"(allowed: {taken}, given in args: {given})"
        )
    if not has_kwargs and open_names:
        raise ValueError(
            "The target callable does not accept the following keyword arguments: "
            + ", ".join(open_names)
        )
