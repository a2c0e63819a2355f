"""Zones, conversions and the arithmetic of instants."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pytest
import pytz
from hypothesis import given, settings
from hypothesis import strategies as st

from apscheduler import _time
from apscheduler.util import (
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
from tests.triggers import reference

UTC = timezone.utc
BERLIN = ZoneInfo("Europe/Berlin")
PYTZ_BERLIN = pytz.timezone("Europe/Berlin")
IN_THE_GAP = datetime(2024, 3, 31, 2, 30)
FIRST_TURN = datetime(2024, 10, 27, 2, 30, tzinfo=BERLIN)
SECOND_TURN = FIRST_TURN.replace(fold=1)


class CustomZone(tzinfo):
    """A tzinfo that is of no library."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        # It names a test, which has to be the same in every process of a test run.
        return f"CustomZone({self.name!r})"

    def utcoffset(self, dt: datetime | None) -> timedelta:
        return timedelta(hours=1)

    def dst(self, dt: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, dt: datetime | None) -> str:
        return self.name


CUSTOM = CustomZone("custom")


@pytest.mark.parametrize(
    ("given_zone", "expected"),
    [
        (None, None),
        ("UTC", UTC),
        ("Europe/Berlin", BERLIN),
        (BERLIN, BERLIN),
        (UTC, UTC),
        (timezone(timedelta(hours=2)), timezone(timedelta(hours=2))),
        (PYTZ_BERLIN, BERLIN),
        (PYTZ_BERLIN.localize(datetime(2024, 7, 1)).tzinfo, BERLIN),
        (pytz.utc, ZoneInfo("UTC")),
        (pytz.FixedOffset(90), timezone(timedelta(minutes=90))),
        (CUSTOM, CUSTOM),
    ],
    ids=repr,
)
def test_a_zone_is_read_from_names_and_objects(given_zone: Any, expected: Any) -> None:
    assert astimezone(given_zone) == expected


@pytest.mark.parametrize(
    ("given_zone", "error", "words"),
    [
        ("Europe/Berlim", ZoneInfoNotFoundError, 'key "Europe/Berlim" -- did you mean "Europe/Be'),
        ("europe/berlin", ZoneInfoNotFoundError, 'did you mean "Europe/Berlin"'),
        ("", ZoneInfoNotFoundError, 'No time zone found with key "" -- give one such as'),
        ("Europe", ZoneInfoNotFoundError, 'No time zone found with key "Europe"'),
        ("../etc/passwd", ZoneInfoNotFoundError, "No time zone found"),
        (5, TypeError, "Expected tzinfo, got int instead"),
        (CustomZone("local"), ValueError, "give the name of the place instead"),
    ],
)
def test_what_is_no_zone_is_refused_in_words(given_zone: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        astimezone(given_zone)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        (BERLIN, "Europe/Berlin"),
        (UTC, "datetime.timezone.utc"),
        (timezone(timedelta(hours=1)), "datetime.timezone(datetime.timedelta(seconds=3600))"),
    ],
)
def test_a_zone_is_shown_by_its_key(zone: tzinfo, text: str) -> None:
    assert timezone_repr(zone) == text


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-01-02", date(2024, 1, 2)),
        (date(2024, 1, 2), date(2024, 1, 2)),
        (datetime(2024, 1, 2, 3), date(2024, 1, 2)),
        (None, None),
    ],
)
def test_a_date_is_read_from_strings_and_datetimes(value: Any, expected: Any) -> None:
    found = asdate(value)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "error", "words"),
    [
        ("2024-1-2", ValueError, 'Invalid date "2024-1-2" -- give it as YYYY-MM-DD'),
        (5, TypeError, "Expected a date or a string YYYY-MM-DD, got int instead"),
    ],
)
def test_what_is_no_date_is_refused_in_words(value: Any, error: Any, words: str) -> None:
    with pytest.raises(error, match=words):
        asdate(value)


def offset(**parts: int) -> timezone:
    return timezone(timedelta(**parts))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ("2024-01-02", datetime(2024, 1, 2, tzinfo=BERLIN)),
        ("2024-1-2", datetime(2024, 1, 2, tzinfo=BERLIN)),
        ("2024-01-02 03:04", datetime(2024, 1, 2, 3, 4, tzinfo=BERLIN)),
        ("2024-01-02 3:4:5", datetime(2024, 1, 2, 3, 4, 5, tzinfo=BERLIN)),
        ("2024-01-02T03:04:05", datetime(2024, 1, 2, 3, 4, 5, tzinfo=BERLIN)),
        ("2024-01-02 03:04:05.123456", datetime(2024, 1, 2, 3, 4, 5, 123456, tzinfo=BERLIN)),
        ("2024-01-02 03:04:05.5", datetime(2024, 1, 2, 3, 4, 5, 500000, tzinfo=BERLIN)),
        ("2024-01-02T03:04:05Z", datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2024-01-02 03:04:05+02:00", datetime(2024, 1, 2, 3, 4, 5, tzinfo=offset(hours=2))),
        ("2024-01-02 03:04:05-0230", datetime(2024, 1, 2, 3, 4, 5, tzinfo=offset(minutes=-150))),
        (date(2024, 1, 2), datetime(2024, 1, 2, tzinfo=BERLIN)),
        (datetime(2024, 1, 2, 3, 4, 5, 6), datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=BERLIN)),
        (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)),
        (PYTZ_BERLIN.localize(datetime(2024, 1, 2)), datetime(2024, 1, 2, tzinfo=BERLIN)),
        (IN_THE_GAP, datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)),
        (IN_THE_GAP.replace(tzinfo=BERLIN), datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "zone", [BERLIN, "Europe/Berlin", PYTZ_BERLIN], ids=["zone", "name", "pytz"]
)
def test_a_time_is_read_from_strings_dates_and_datetimes(
    value: Any, expected: Any, zone: Any
) -> None:
    found = convert_to_datetime(value, zone, "when")

    assert found == expected
    assert (found and found.tzinfo) == (expected and expected.tzinfo)


@pytest.mark.parametrize(
    ("value", "zone", "error", "words"),
    [
        ("x", BERLIN, ValueError, 'Invalid date string for when: "x" -- give YYYY-MM-DD'),
        ("2024-01-02 03", BERLIN, ValueError, "Invalid date string for when"),
        ("2024-01-02 03:04:05.1234567", BERLIN, ValueError, "Invalid date string for when"),
        ("2024-13-02", BERLIN, ValueError, '"2024-13-02" -- month must be in 1..12'),
        ("2024-01-02", None, ValueError, 'The "tz" argument must be specified if when has no'),
        (datetime(2024, 1, 2), None, ValueError, "if when has no timezone information"),
        ("2024-01-02", 5, TypeError, "Expected tzinfo, got int instead"),
        (5, BERLIN, TypeError, "Unsupported type for when: int -- give a datetime, a date"),
        (time(3), BERLIN, TypeError, "Unsupported type for when: time"),
    ],
)
def test_what_is_no_time_is_refused_in_words(
    value: Any, zone: Any, error: Any, words: str
) -> None:
    with pytest.raises(error, match=words.replace("..", r"\.\.")):
        convert_to_datetime(value, zone, "when")


def test_a_time_that_needs_no_change_is_handed_on_as_it_is() -> None:
    for moment in (datetime(2024, 1, 2, tzinfo=BERLIN), datetime(2024, 1, 2, tzinfo=UTC)):
        assert convert_to_datetime(moment, None, "when") is moment
        assert normalize(moment) is moment


def test_a_time_in_a_gap_is_named_by_one_that_exists() -> None:
    assert localize(IN_THE_GAP, BERLIN) == datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)
    assert localize(IN_THE_GAP, PYTZ_BERLIN).tzinfo is BERLIN
    shifted = normalize(IN_THE_GAP.replace(tzinfo=BERLIN))
    assert (shifted.hour, shifted.minute) == (3, 30)
    assert normalize(IN_THE_GAP) is IN_THE_GAP


def test_time_is_added_as_it_passes() -> None:
    before_the_gap = datetime(2024, 3, 31, 1, 30, tzinfo=BERLIN)
    hour = timedelta(hours=1)

    assert datetime_utc_add(before_the_gap, hour) == datetime(2024, 3, 31, 3, 30, tzinfo=BERLIN)
    later = datetime_utc_add(FIRST_TURN, hour)
    assert (later.hour, later.fold) == (2, 1)
    assert datetime_utc_add(IN_THE_GAP, hour) == IN_THE_GAP + hour


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (datetime(2024, 1, 2, 3, 4, 5), datetime(2024, 1, 2, 3, 4, 5)),
        (datetime(2024, 1, 2, 3, 4, 59, 1), datetime(2024, 1, 2, 3, 5)),
        (
            datetime(2024, 3, 31, 1, 59, 59, 999_999, tzinfo=BERLIN),
            datetime(2024, 3, 31, 3, tzinfo=BERLIN),
        ),
        (
            datetime(2024, 10, 27, 2, 59, 59, 1, tzinfo=BERLIN),
            datetime(2024, 10, 27, 2, tzinfo=BERLIN, fold=1),
        ),
    ],
)
def test_fractions_of_a_second_are_rounded_up(moment: datetime, expected: datetime) -> None:
    rounded = datetime_ceil(moment)

    assert (rounded, rounded.fold) == (expected, expected.fold)


def test_a_time_is_shown_with_its_zone() -> None:
    assert (
        datetime_repr(datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=BERLIN)) == "2024-01-02 03:04:05 CET"
    )
    assert datetime_repr(None) == "None"


def test_lengths_are_counted_in_seconds() -> None:
    assert timedelta_seconds(timedelta(days=1, microseconds=500_000)) == 86_400.5


@pytest.mark.parametrize(
    "zone",
    [
        UTC,
        timezone(timedelta(0), "UTC"),
        ZoneInfo("UTC"),
        ZoneInfo("Etc/UTC"),
        ZoneInfo("Zulu"),
        ZoneInfo.no_cache("UTC"),
        astimezone(pytz.utc),
    ],
    ids=repr,
)
def test_utc_is_one_zone_by_whichever_name(zone: tzinfo) -> None:
    assert _time.same_zone(zone, UTC)
    assert _time.same_zone(ZoneInfo("UTC"), zone)
    assert not _time.same_zone(zone, BERLIN)
    assert not _time.same_zone(ZoneInfo("Europe/London"), zone)
    assert not _time.same_zone(zone, timezone(timedelta(hours=1)))


def test_zones_are_the_same_by_their_names() -> None:
    assert _time.same_zone(BERLIN, ZoneInfo.no_cache("Europe/Berlin"))
    assert not _time.same_zone(BERLIN, ZoneInfo("Europe/Paris"))
    custom = CustomZone("here")
    assert _time.same_zone(custom, custom)
    assert not _time.same_zone(custom, BERLIN)


@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
@settings(max_examples=100)
def test_timestamps_keep_microseconds(moment: datetime) -> None:
    timestamp = datetime_to_utc_timestamp(moment.astimezone(BERLIN))

    assert utc_timestamp_to_datetime(timestamp) == moment
    assert datetime_to_utc_timestamp(moment.replace(tzinfo=None)) == timestamp


def test_no_time_has_no_timestamp() -> None:
    assert datetime_to_utc_timestamp(None) is None
    assert utc_timestamp_to_datetime(None) is None


def test_instants_are_compared_where_an_hour_is_repeated() -> None:
    early_in_second_turn = SECOND_TURN.replace(minute=10)

    assert _time.is_later(early_in_second_turn, FIRST_TURN)
    assert not _time.is_later(FIRST_TURN, early_in_second_turn)
    assert not _time.is_later(FIRST_TURN, FIRST_TURN)


@given(
    zone=st.sampled_from(reference.ALL_ZONES).map(ZoneInfo),
    local=st.datetimes(datetime(2000, 1, 1), datetime(2040, 1, 1)),
    fold=st.integers(0, 1),
)
@settings(max_examples=200)
def test_a_time_in_any_zone_is_named_by_one_that_exists(
    zone: ZoneInfo, local: datetime, fold: int
) -> None:
    moment = local.replace(tzinfo=zone, fold=fold)
    named = normalize(moment)

    assert reference.exists(named)
    assert named.astimezone(UTC) == moment.astimezone(UTC)
    assert _time.exists(moment) == bool(reference.instants_named(local, zone))
