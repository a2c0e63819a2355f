"""Jobs to JSON and back, in the format of APScheduler 3.11."""

from __future__ import annotations

import errno
import json
import os
import pickle
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from reprlib import repr as shortened
from typing import Any
from uuid import uuid4

from .. import version
from .._refs import obj_to_ref, ref_to_obj
from ..job import Job
from ..triggers.base import BaseTrigger

FORMAT_VERSION = 1

_CLASS = "__apscheduler_class__"
_STATE = "__apscheduler_state__"
_PICKLE = "__apscheduler_pickle__"
_KEYS = (_CLASS, _STATE, _PICKLE)

# What the settings of a job are, and what that is called.
_SETTINGS: dict[str, tuple[Any, str]] = {
    "args": ((list, tuple), "a list"),
    "coalesce": (object, "true or false"),
    "executor": (str, "a string"),
    "func": (str, "a string"),
    "id": (str, "a string"),
    "kwargs": (Mapping, "an object"),
    "max_instances": (int, "a number"),
    "misfire_grace_time": ((int, type(None)), "a number or null"),
    "name": (str, "a string"),
    "next_run_time": ((datetime, type(None)), "a datetime or null"),
    "trigger": (BaseTrigger, "a BaseTrigger"),
}

# A directory that may not be written to, and a file that is mounted by itself, as in a container.
_NOT_REPLACEABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EBUSY)


def write_jobs(jobs: Iterable[Job], outfile: Any) -> None:
    """
    Write jobs as JSON. Until all is known, nothing is written.

    :param outfile: a path, or a text file that is open for writing
    :raises ValueError: if there is no textual reference to the function of one of them
    """
    document = {
        "version": FORMAT_VERSION,
        "scheduler_version": version,
        "jobs": [_faithful(job.__getstate__()) for job in jobs],
    }
    text = json.dumps(document, default=_encode)
    if hasattr(outfile, "write"):
        outfile.write(text)
    else:
        _write_file(outfile, text)


def _write_file(path: Any, text: str) -> None:
    """Write a file whole or not at all: a full disk leaves what is there."""
    path = os.path.realpath(os.fsdecode(path))  # a link goes on leading there
    if os.path.exists(path) and not os.path.isfile(path):  # a pipe or a device
        _write_in_place(path, text)
        return

    try:
        _replace(path, text)
    except OSError as exc:
        if exc.errno not in _NOT_REPLACEABLE:
            raise
        _write_in_place(path, text)


def _replace(path: str, text: str) -> None:
    beside = f"{path}.{uuid4().hex}"
    try:
        with open(beside, "x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            os.chmod(beside, os.stat(path).st_mode & 0o7777)
        os.replace(beside, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(beside)
        raise


def _write_in_place(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def read_jobs(infile: Any) -> list[dict[str, Any]]:
    """
    Return the states of the jobs that :func:`write_jobs` wrote. Read only what you trust: the
    format can call any function.

    :param infile: a path, or a text file that is open for reading
    :raises ValueError: if the file does not hold such jobs, or a later version wrote it
    :raises LookupError: if a class that a job needs cannot be found
    """
    document = json.loads(_read_text(infile), object_hook=_decode)
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        raise ValueError('Expected a JSON object with a list of "jobs", as export_jobs() writes')
    written_in = document.get("version", 1)
    if not isinstance(written_in, int) or written_in > FORMAT_VERSION:
        raise ValueError(
            f"The jobs were exported in format {written_in!r}, but only format "
            f"{FORMAT_VERSION} and earlier can be read"
        )

    states: list[dict[str, Any]] = document["jobs"]
    for number, state in enumerate(states, 1):
        _check(state, f"Job {number} of {len(states)}")
        state["args"] = tuple(state["args"])

    return states


def _read_text(infile: Any) -> Any:
    if hasattr(infile, "read"):
        return infile.read()

    with open(infile, encoding="utf-8") as file:
        return file.read()


def _check(state: Any, job: str) -> None:
    """
    Refuse what :meth:`.Job.__setstate__` would take over, and the scheduler stumble over.

    :param job: which one it is, for the error
    """
    if not isinstance(state, dict):
        raise ValueError(f"{job} must be an object with the settings of a job, got {state!r}")
    if missing := sorted(_SETTINGS.keys() - state.keys()):
        raise ValueError(f"{job} lacks {', '.join(missing)}")

    types = {**_SETTINGS, "version": (int, "a number")}
    for name, value in state.items():
        type_, called = types.get(name, (object, ""))
        if not isinstance(value, type_):
            raise ValueError(f"{job}: {name} must be {called}, got {value!r}")
    if not state["id"]:
        raise ValueError(f"{job}: id must not be empty")


def _faithful(state: dict[str, Any]) -> dict[str, Any]:
    """Pickle arguments that JSON would change: tuples into lists, numbers as keys into strings."""
    for name, plain in (("args", list(state["args"])), ("kwargs", state["kwargs"])):
        state[name] = plain if _survives_json(plain) else _pickled(plain)

    return state


def _survives_json(plain: Any) -> bool:
    try:
        text = json.dumps(plain)
    except (TypeError, ValueError):
        return False

    # Data that has our own keys would be decoded, and so could make the reader call anything.
    return not any(f'"{key}"' in text for key in _KEYS) and _is_same(json.loads(text), plain)


def _is_same(first: Any, second: Any) -> bool:
    # A tuple is not equal to a list, but True is to 1: compare what is written, too.
    return bool(first == second) and repr(first) == repr(second)


def _encode(value: Any) -> dict[str, Any]:
    if hasattr(value, "__getstate__") and hasattr(value, "__setstate__"):
        return {_CLASS: obj_to_ref(type(value)), _STATE: value.__getstate__()}

    return _pickled(value)


def _pickled(value: Any) -> dict[str, Any]:
    return {_PICKLE: b64encode(pickle.dumps(value)).decode("ascii")}


def _decode(value: dict[str, Any]) -> Any:
    if _PICKLE in value:
        return _restored(value, lambda: pickle.loads(b64decode(value[_PICKLE])))
    if _CLASS not in value:
        return value

    cls = ref_to_obj(value[_CLASS])
    return _restored(value, lambda: _with_state(cls, value[_STATE]))


def _with_state(cls: Any, state: Any) -> Any:
    instance = cls.__new__(cls)
    instance.__setstate__(state)
    return instance


def _restored(value: dict[str, Any], restore: Callable[[], Any]) -> Any:
    try:
        return restore()
    except Exception as exc:  # whatever the code of others raises
        raise ValueError(
            f"Cannot restore {shortened(value)} ({type(exc).__name__}: {exc})"
        ) from exc
