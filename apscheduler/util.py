"""The helper names of APScheduler 3.x, kept in one importable place."""

from __future__ import annotations

from ._refs import (
    _Undefined,
    asbool,
    asint,
    check_callable_args,
    get_callable_name,
    iscoroutinefunction_partial,
    maybe_ref,
    obj_to_ref,
    ref_to_obj,
    undefined,
)
from ._time import (
    asdate,
    astimezone,
    convert_to_datetime,
    datetime_ceil,
    datetime_repr,
    datetime_to_utc_timestamp,
    datetime_utc_add,
    localize,
    normalize,
    timedelta_seconds,
    timezone_repr,
    utc_timestamp_to_datetime,
)

__all__ = (
    "_Undefined",
    "asbool",
    "asdate",
    "asint",
    "astimezone",
    "check_callable_args",
    "convert_to_datetime",
    "datetime_ceil",
    "datetime_repr",
    "datetime_to_utc_timestamp",
    "datetime_utc_add",
    "get_callable_name",
    "iscoroutinefunction_partial",
    "localize",
    "maybe_ref",
    "normalize",
    "obj_to_ref",
    "ref_to_obj",
    "timedelta_seconds",
    "timezone_repr",
    "undefined",
    "utc_timestamp_to_datetime",
)
