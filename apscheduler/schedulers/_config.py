"""Configuration as users write it, turned into values: nested options, numbers, defaults."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from .._log import log_may_fail
from .._refs import asint, ref_to_obj
from .._settings import check_grace_time_length, read_coalesce, suggest

DEFAULT_MISFIRE_GRACE_TIME = None  # run however late; 3.x: 1 second, which loses runs in silence
DEFAULT_COALESCE = True
DEFAULT_MAX_INSTANCES = 1
DEFAULT_RETRY_INTERVAL = 10.0  # seconds

_NO_LIMIT = frozenset(("", "none", "null"))


def nest(gconfig: Mapping[str, Any], prefix: str | None) -> dict[str, Any]:
    """
    Turn dotted options into nested ones: ``{"a.b": 1}`` into ``{"a": {"b": 1}}``.

    :param prefix: only options that begin with it are taken, without it; None to take all
    :raises TypeError: if the options are no mapping, or one has a name that is no string
    :raises ValueError: if an option is both a value and the beginning of others
    """
    if not isinstance(gconfig, Mapping):
        raise TypeError(f"The configuration must be a dict of options, got {gconfig!r} instead")

    nested: dict[str, Any] = {}
    for option, value in gconfig.items():
        if not isinstance(option, str):
            raise TypeError(f"The names of options must be strings, got {option!r}")
        if prefix and not option.startswith(prefix):
            continue

        *path, name = option[len(prefix or "") :].split(".")
        parent = nested
        for part in path:
            inner = parent.get(part, {})
            if not isinstance(inner, Mapping):
                raise ValueError(
                    f'Cannot use the option "{option}": "{part}" has the value {inner!r} already'
                )
            parent[part] = parent = dict(inner)  # a copy: it may be the caller's

        # A dict of options may stand beside dotted ones.
        known = parent.get(name)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            value = {**known, **value}
        parent[name] = value

    return nested


def read_logger(value: Any, default: logging.Logger) -> logging.Logger:
    """
    Return the logger that is meant: a logger, its name, or a reference (``module:name``) to one.

    :raises TypeError: if it is none of these
    """
    if value is None:
        return default
    if isinstance(value, str):
        value = ref_to_obj(value) if ":" in value else logging.getLogger(value)
    if not callable(getattr(value, "warning", None)):  # an adapter is no Logger, but will do
        raise TypeError(f'Expected a logger, its name or "module:logger", got {value!r} instead')

    return value  # type: ignore[no-any-return]


def read_retry_interval(value: Any) -> float:
    """
    Return the seconds after which a failed job store is tried again.

    :raises ValueError: if it is not a number above 0
    """
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        seconds = 0.0  # refused below
    if not 0 < seconds < float("inf"):
        raise ValueError(
            f"jobstore_retry_interval must be a number of seconds above 0, got {value!r}"
        )

    return seconds


def read_job_defaults(value: Mapping[str, Any], logger: logging.Logger) -> dict[str, Any]:
    """
    Return the settings of jobs that do not have their own.

    :raises TypeError: if the value is not a dict
    :raises ValueError: if a setting cannot be read or is out of its range
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"job_defaults must be a dict, got {type(value).__name__} instead")

    defaults = {
        "misfire_grace_time": _read_misfire_grace_time(
            value.get("misfire_grace_time", DEFAULT_MISFIRE_GRACE_TIME)
        ),
        "coalesce": read_coalesce(value.get("coalesce", DEFAULT_COALESCE)),
        "max_instances": _read_max_instances(value.get("max_instances", DEFAULT_MAX_INSTANCES)),
    }
    warn_of_unknown("job_defaults option", value, defaults, logger)
    return defaults


def _read_misfire_grace_time(value: Any) -> int | None:
    if isinstance(value, str) and value.strip().lower() in _NO_LIMIT:
        return None

    seconds = _whole_number(value)
    if value is not None and (seconds is None or seconds <= 0):
        raise ValueError(
            f"misfire_grace_time must be a positive whole number of seconds, or None to run "
            f"however late, got {value!r}"
        )
    if seconds is not None:
        check_grace_time_length(seconds)

    return seconds


def _read_max_instances(value: Any) -> int:
    number = _whole_number(value)
    if number is None or number <= 0:
        raise ValueError(f"max_instances must be a positive integer, got {value!r}")

    return number


def _whole_number(value: Any) -> int | None:
    """Return a whole number; None for anything else, which the caller refuses by its name."""
    if isinstance(value, float) and not value.is_integer():  # int() would cut it down
        return None

    try:
        return asint(value)
    except (TypeError, ValueError):
        return None


def warn_of_unprefixed(
    given: Iterable[str], prefix: str | None, known: Iterable[str], logger: logging.Logger
) -> None:
    """Log each option that is passed over only because it does not begin with the prefix."""
    for option in given:
        if prefix and not option.startswith(prefix) and option.partition(".")[0] in known:
            with log_may_fail:
                logger.warning(
                    'The option "%s" is ignored, for it does not begin with "%s": write "%s", '
                    "give it as a keyword, or call configure() with prefix=None",
                    option,
                    prefix,
                    prefix + option,
                )


def warn_of_unknown(
    kind: str, given: Iterable[str], known: Iterable[str], logger: logging.Logger
) -> None:
    """Log each name that means nothing; 3.x passed over them, so they are no errors."""
    names = sorted(known)
    for name in given:
        if name not in names:
            with log_may_fail:
                logger.warning("Unknown %s %r is ignored%s", kind, name, suggest(name, names))
