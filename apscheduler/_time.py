"""Zones, conversions and the arithmetic of instants.

The rule behind everything here: an instant is compared and moved in UTC, and a wall-clock time
is only a way to name one. Zones are handed out as :class:`zoneinfo.ZoneInfo` or
:class:`datetime.timezone`; pytz zones are understood wherever a zone is accepted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone, tzinfo
from math import inf
from typing import Any, overload
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

UTC = timezone.utc

# Compiled when first needed: most programs give no dates as strings.
_DATE_TIME = (
    r"(?P<year>\d{4})-(?P<month>\d{1,2})-(?P<day>\d{1,2})"
    r"(?:[ T](?P<hour>\d{1,2}):(?P<minute>\d{1,2})(?::(?P<second>\d{1,2})"
    r"(?:\.(?P<fraction>\d{1,6}))?)?"
    r"(?P<zone>Z|[+-]\d{2}:?\d{2})?)?"
)


# --- zones ------------------------------------------------------------------------------------


@overload
def astimezone(obj: str | tzinfo) -> tzinfo: ...
@overload
def astimezone(obj: None) -> None: ...
@overload
def astimezone(obj: Any) -> tzinfo | None: ...
def astimezone(obj: Any) -> tzinfo | None:
    """Return the time zone that is meant by a name, a tzinfo or a pytz zone.

    :param obj: an IANA key ("Europe/Berlin"), a tzinfo object, or None, which is given back
    :raises zoneinfo.ZoneInfoNotFoundError: (a KeyError) no zone has this name
    :raises TypeError: it is none of these
    """
    if obj is None or isinstance(obj, (ZoneInfo, timezone)):
        return obj
    if isinstance(obj, str):
        return _zone_by_name(obj)
    if not isinstance(obj, tzinfo):
        raise TypeError(
            f"Expected tzinfo, got {type(obj).__name__} instead -- give a name such as "
            f'"Europe/Berlin" or a tzinfo object'
        )
    if hasattr(obj, "localize") and hasattr(obj, "zone"):
        return _from_pytz(obj)
    if obj.tzname(None) == "local":
        raise ValueError(
            'The zone named "local" cannot be found again by its name after a restart -- '
            'give the name of the place instead, such as "Europe/Helsinki"'
        )

    return obj


def _zone_by_name(name: str) -> tzinfo:
    if name == "UTC":
        return UTC

    try:
        return ZoneInfo(name)
    # Directories of the database, such as "Europe", are refused with an OSError.
    except (ZoneInfoNotFoundError, ValueError, OSError) as exc:
        raise ZoneInfoNotFoundError(_unknown_zone(name)) from exc


def _unknown_zone(name: str) -> str:
    # Only needed on the way to an error.
    from difflib import get_close_matches
    from zoneinfo import available_timezones

    by_lowered = {key.lower(): key for key in available_timezones()}
    near = get_close_matches(name.lower(), by_lowered, n=1)
    hint = f'did you mean "{by_lowered[near[0]]}"?' if near else 'give one such as "Europe/Berlin"'

    return f'No time zone found with key "{name}" -- {hint}'


def _from_pytz(zone: Any) -> tzinfo:
    # pytz zones have a key; its fixed offsets have none, but an offset that needs no time.
    return timezone(zone.utcoffset(None)) if zone.zone is None else ZoneInfo(zone.zone)


def timezone_repr(timezone: tzinfo) -> str:
    """Return the key of a zone, or the repr of a tzinfo that has no key."""
    return timezone.key if isinstance(timezone, ZoneInfo) and timezone.key else repr(timezone)


def same_zone(first: tzinfo, second: tzinfo) -> bool:
    """Tell whether clocks in two zones always agree, as far as their names or offsets tell."""
    if first == second:
        return True

    key = getattr(first, "key", None)
    if key is not None and key == getattr(second, "key", None):
        return True  # ZoneInfo objects are equal only if they come from its cache

    # UTC has many names, and releases before 3.11 stored another than ours.
    offset = _constant_offset(first)
    return offset is not None and offset == _constant_offset(second)


def _constant_offset(zone: tzinfo) -> timedelta | None:
    """Return the offset of a zone in which it never changes, None of any other."""
    try:
        return zone.utcoffset(None)
    except Exception:  # a zone of somebody's own, which was never asked this
        return None


def choose_timezone(given: str | tzinfo | None, *dates: Any) -> tzinfo:
    """Return the zone of a trigger: the given one, else that of its first date with a zone,
    else the computer's."""
    if given is not None:
        return astimezone(given)

    for value in dates:
        if isinstance(value, datetime) and value.tzinfo is not None:
            return astimezone(value.tzinfo)

    from tzlocal import get_localzone  # read when asked: programs set it after the import

    return astimezone(get_localzone())


# --- dates and times that users give ----------------------------------------------------------


@overload
def asdate(obj: str | date) -> date: ...
@overload
def asdate(obj: None) -> None: ...
@overload
def asdate(obj: Any) -> date | None: ...
def asdate(obj: Any) -> date | None:
    """Return the date that is meant by a date, a datetime or a string (YYYY-MM-DD).

    None is given back. Raises ValueError for a string that is no date, TypeError for the rest.
    """
    if isinstance(obj, str):
        try:
            return date.fromisoformat(obj)
        except ValueError as exc:
            raise ValueError(f'Invalid date "{obj}" -- give it as YYYY-MM-DD') from exc
    if isinstance(obj, datetime):
        return obj.date()
    if obj is None or isinstance(obj, date):
        return obj

    raise TypeError(f"Expected a date or a string YYYY-MM-DD, got {type(obj).__name__} instead")


def convert_to_datetime(input: Any, tz: tzinfo | str | None, arg_name: str) -> datetime | None:
    """Return the aware datetime that is meant by a datetime, a date or a string.

    A value without a zone is taken as wall-clock time in ``tz``; one that has a zone keeps it.
    A time that does not exist in its zone (spring forward) is named by the one that does.

    :param input: None is given back; strings are ``YYYY-MM-DD``, or that followed by
        ``HH:MM[:SS[.ffffff]]`` after a blank or a T, and an offset (``Z``, ``+02:00``) if any
    :param tz: zone or its name for values without one
    :param arg_name: what errors call the value
    :raises TypeError: the value is of no usable type
    :raises ValueError: the string cannot be read, or a zone is needed and missing
    """
    if input is None:
        return None
    if isinstance(input, datetime):
        value = input
    elif isinstance(input, date):
        value = datetime(input.year, input.month, input.day)
    elif isinstance(input, str):
        value = _parse(input, arg_name)
    else:
        raise TypeError(
            f"Unsupported type for {arg_name}: {type(input).__name__} -- "
            f"give a datetime, a date or a string such as 2030-12-31 23:59:59"
        )

    if value.tzinfo is not None:
        return in_zone(value, astimezone(value.tzinfo))
    if tz is None:
        raise ValueError(
            f'The "tz" argument must be specified if {arg_name} has no timezone information'
        )

    return localize(value, astimezone(tz))


def _parse(text: str, arg_name: str) -> datetime:
    match = re.fullmatch(_DATE_TIME, text)
    if match is None:
        raise ValueError(
            f'Invalid date string for {arg_name}: "{text}" -- give YYYY-MM-DD, '
            f"YYYY-MM-DD HH:MM:SS or YYYY-MM-DD HH:MM:SS.ffffff, with an offset (+02:00) if any"
        )

    parts = match.groupdict()
    fraction, zone = parts.pop("fraction"), parts.pop("zone")
    numbers = {name: int(value) for name, value in parts.items() if value is not None}
    microsecond = int(fraction.ljust(6, "0")) if fraction else 0
    try:
        return datetime(**numbers, microsecond=microsecond, tzinfo=_fixed_offset(zone))
    except ValueError as exc:
        raise ValueError(f'Invalid date string for {arg_name}: "{text}" -- {exc}') from exc


def _fixed_offset(text: str | None) -> timezone | None:
    if text is None:
        return None
    if text == "Z":
        return UTC

    offset = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return timezone(-offset if text[0] == "-" else offset)


# --- instants ---------------------------------------------------------------------------------


def in_zone(instant: datetime, tz: tzinfo) -> datetime:
    """Return the same instant by the name that it has in ``tz``: a time that exists there."""
    # Through UTC, since a datetime that is already in tz would be given back as it is.
    named = instant.astimezone(UTC).astimezone(tz)
    unchanged = instant.tzinfo is tz and named == instant and named.fold == instant.fold

    return instant if unchanged else named


def exists(dt: datetime) -> bool:
    """Tell whether an aware datetime names a time that its zone's clocks show."""
    offset = dt.utcoffset()
    # In a gap and in a repeated hour only, the two folds have different offsets (PEP 495).
    if offset == dt.replace(fold=1 - dt.fold).utcoffset():
        return True

    return dt.astimezone(UTC).astimezone(dt.tzinfo).utcoffset() == offset


def is_later(first: datetime, second: datetime) -> bool:
    """Tell whether one instant is later than another.

    Python compares two datetimes of one zone by their wall-clock times, which is wrong in the
    hour that is repeated when the clocks go back; those of two zones it compares as instants.
    """
    return first.astimezone(UTC) > second.astimezone(UTC)


def is_same_instant(first: datetime | None, second: datetime) -> bool:
    """Compare instants, not readings of clocks."""
    return first is not None and first.timestamp() == second.timestamp()


def earliest(times: Iterable[datetime | None]) -> datetime | None:
    """Return the earliest of some instants; None stands for never."""
    first, least = None, inf
    for time in times:
        if time is not None and (timestamp := time.timestamp()) < least:
            first, least = time, timestamp

    return first


def localize(dt: datetime, tzinfo: tzinfo) -> datetime:
    """Read a wall-clock time in a zone; one that does not exist there is moved past the gap."""
    zone = astimezone(tzinfo)
    return normalize(dt.replace(tzinfo=zone))


def normalize(dt: datetime) -> datetime:
    """Return the same instant by a wall-clock time that exists; a naive one is given back."""
    if dt.tzinfo is None:
        return dt

    return in_zone(dt, astimezone(dt.tzinfo))


def datetime_utc_add(dateval: datetime, tdelta: timedelta) -> datetime:
    """Add real (not wall-clock) time; a naive datetime is added to as it stands."""
    if dateval.tzinfo is None:
        return dateval + tdelta

    zone = astimezone(dateval.tzinfo)
    return (dateval.astimezone(UTC) + tdelta).astimezone(zone)


def datetime_ceil(dateval: datetime) -> datetime:
    """Round up to the next whole second, which may lie behind a change of the clocks."""
    if not dateval.microsecond:
        return dateval

    return datetime_utc_add(dateval, timedelta(microseconds=1_000_000 - dateval.microsecond))


def datetime_repr(dateval: datetime | None) -> str:
    """Return a datetime in seconds with the abbreviation of its zone, or "None"."""
    return dateval.strftime("%Y-%m-%d %H:%M:%S %Z") if dateval else "None"


def datetime_to_utc_timestamp(timeval: datetime | None) -> float | None:
    """Return seconds since 1970-01-01 UTC (None for None); a naive time is taken as UTC."""
    if timeval is None:
        return None
    if timeval.tzinfo is None:
        timeval = timeval.replace(tzinfo=UTC)

    return timeval.timestamp()


def utc_timestamp_to_datetime(timestamp: float | None) -> datetime | None:
    """Return the datetime, in UTC, of seconds since 1970-01-01 UTC (None for None)."""
    return None if timestamp is None else datetime.fromtimestamp(timestamp, UTC)


def timedelta_seconds(delta: timedelta) -> float:
    """Return the length of a timedelta in seconds."""
    return delta.total_seconds()
