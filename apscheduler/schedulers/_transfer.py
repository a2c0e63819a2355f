"""Jobs to JSON and back, in the format of APScheduler 3.11."""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import IO, Any

from .. import version
from .._refs import obj_to_ref, ref_to_obj
from ..job import Job

FORMAT_VERSION = 1

_CLASS = "__apscheduler_class__"
_STATE = "__apscheduler_state__"
_PICKLE = "__apscheduler_pickle__"
_KEYS = (_CLASS, _STATE, _PICKLE)


def write_jobs(jobs: Iterable[Job], outfile: IO[str]) -> None:
    """
    Write jobs as JSON.

    :raises ValueError: if there is no textual reference to the function of one of them
    """
    document = {
        "version": FORMAT_VERSION,
        "scheduler_version": version,
        "jobs": [_faithful(job.__getstate__()) for job in jobs],
    }
    json.dump(document, outfile, default=_encode)


def read_jobs(infile: IO[str]) -> list[dict[str, Any]]:
    """
    Return the states of the jobs that :func:`write_jobs` wrote. Read only what you trust: the
    format can call any function.

    :raises ValueError: if the file does not hold such jobs, or a later version wrote it
    :raises LookupError: if a class that a job needs cannot be found
    """
    document = json.load(infile, object_hook=_decode)
    if not isinstance(document, dict) or not isinstance(document.get("jobs"), list):
        raise ValueError('Expected a JSON object with a list of "jobs", as export_jobs() writes')
    if document.get("version", 1) > FORMAT_VERSION:
        raise ValueError(
            f"The jobs were exported in format {document['version']}, but only format "
            f"{FORMAT_VERSION} and earlier can be read"
        )

    states: list[dict[str, Any]] = document["jobs"]
    for state in states:
        state["args"] = tuple(state["args"])

    return states


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
        return pickle.loads(b64decode(value[_PICKLE]))
    if _CLASS not in value:
        return value

    cls = ref_to_obj(value[_CLASS])
    instance = cls.__new__(cls)
    instance.__setstate__(value[_STATE])
    return instance
