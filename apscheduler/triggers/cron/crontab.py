"""Crontab lines, read as Debian's cron reads them, and what they mean in fields of ours."""

from __future__ import annotations

from .expressions import MAX_VALUES, MIN_VALUES, MONTHS, WEEKDAYS
from .fields import BaseField, DayOfMonthField, DayOfWeekField, MonthField

ALIASES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
FIELDS = ("second", "minute", "hour", "day", "month", "day_of_week")
NAMES = {"month": MONTHS, "day_of_week": [WEEKDAYS[-1], *WEEKDAYS[:-1]]}
# Besides L, what 3.x took here.
LAST_DAY = {"l", "last"}
HELP = {
    "day": "1 to 31, L for the last day of the month",
    "month": "1 to 12, jan to dec (also in ranges and lists)",
    "day_of_week": "0 to 7 (0 and 7 are Sunday), sun to sat (also in ranges and lists)",
}


class CrontabLine:
    """A crontab line, as keyword fields and the two rules that these cannot express.

    :param text: five fields (minute, hour, day of month, month, day of week), six with seconds
        first, or one of the aliases such as @daily
    :raises TypeError: it is no string
    :raises ValueError: naming the field, the expression and what is allowed
    """

    __slots__ = ("either_day", "fields", "fixed_time", "text")

    def __init__(self, text: str) -> None:
        if not isinstance(text, str):
            raise TypeError(
                f'A crontab line must be a string such as "0 6 * * 1-5" or "@daily", not {text!r}'
            )

        self.text = " ".join(text.split())
        given = _split(self.text)
        parts = dict(zip(FIELDS[-len(given) :], given, strict=True))
        self.fields = {name: _translated(name, part) for name, part in parts.items()}
        # As in Debian's cron, a field is unrestricted if it begins with a star: */2 is, too.
        starred = {name for name, part in parts.items() if part.startswith("*")}
        # Both days restricted: one of them has to match.
        self.either_day = not starred & {"day", "day_of_week"}
        # Runs at fixed times are not lost and not doubled when clocks change; runs with wildcards
        # follow the clock. (Seconds are ours; a line with "0" for them is like one without.)
        self.fixed_time = not starred & {"second", "minute", "hour"}


def _split(text: str) -> list[str]:
    if text.startswith("@"):
        if text.lower() not in ALIASES:
            raise ValueError(
                f'Unrecognized crontab line "{text}" -- the aliases are {", ".join(ALIASES)}'
            )
        text = ALIASES[text.lower()]

    parts = text.split()
    if len(parts) not in (5, 6):
        raise ValueError(
            f'Wrong number of fields in crontab line "{text}"; got {len(parts)}, expected 5 '
            f"(minute, hour, day of month, month, day of week), or 6 with seconds first"
        )

    return parts


def _translated(name: str, text: str) -> str:
    """Return a crontab field as the same expressions of a keyword field."""
    values: set[int] = set()
    last_day = False
    for item in text.split(","):
        if name == "day" and item.lower() in LAST_DAY:
            last_day = True
        else:
            values.update(_values(name, item))

    if name == "day_of_week":
        values = {(value - 1) % 7 for value in values}  # ours begin with Monday as 0

    as_it_is = text.lower()
    if not last_day and _means(name, as_it_is, values):
        return as_it_is

    return ",".join([*_ranges(name, values), *(["last"] if last_day else [])])


def _values(name: str, item: str) -> range:
    """Return the values of one item of a list: ``*``, ``a`` or ``a-b``, with ``/step`` or not."""
    span, slash, step = item.partition("/")
    first, dash, last = span.partition("-")
    lowest, highest = MIN_VALUES[name], 7 if name == "day_of_week" else MAX_VALUES[name]
    try:
        if span == "*":
            start, end = lowest, highest
        else:
            start = _number(name, first)
            end = _number(name, last) if dash else highest if slash else start
        by = _digits(step) if slash else 1
    except ValueError:
        raise _error(name, item, "it cannot be read") from None

    if last.lower() == "sun" and start > end:
        end = highest  # a range up to Sunday by name, as 3.x took it: 0 and 7 are both Sunday
    for value in (start, end):
        if not lowest <= value <= highest:
            raise _error(name, item, f"{value} is out of range")
    if start > end:
        raise _error(name, item, "the first value of a range must not be higher than the last")
    if by == 0:
        raise _error(name, item, "the step must be higher than 0")

    return range(start, end + 1, by)


def _number(name: str, text: str) -> int:
    names = NAMES.get(name, [])
    if text.lower() in names:
        return names.index(text.lower()) + MIN_VALUES[name]

    return _digits(text)


def _digits(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(text)

    return int(text)


def _error(name: str, item: str, problem: str) -> ValueError:
    values = HELP.get(name, f"{MIN_VALUES[name]} to {MAX_VALUES[name]}")
    return ValueError(
        f'Error in crontab field "{name}", expression "{item}": {problem} -- allowed are *, a, '
        f"a-b, */c, a/c, a-b/c and lists of these with commas; the values are {values}"
    )


def _means(name: str, text: str, values: set[int]) -> bool:
    """Tell whether a keyword field understands a text, and as these values."""
    field_class = {
        "day": DayOfMonthField,
        "month": MonthField,
        "day_of_week": DayOfWeekField,
    }.get(name, BaseField)
    try:
        field = field_class(name, text)
    except ValueError:
        return False

    limits = MIN_VALUES[name], MAX_VALUES[name]
    return values == {value for item in field.expressions for value in item.values(*limits)}


def _ranges(name: str, values: set[int]) -> list[str]:
    """Return values as expressions: runs of three or more as ranges, weekdays by name."""
    runs: list[list[int]] = []
    for value in sorted(values):
        if runs and runs[-1][-1] == value - 1:
            runs[-1].append(value)
        else:
            runs.append([value])

    texts = []
    for run in runs:
        named = [WEEKDAYS[value] if name == "day_of_week" else str(value) for value in run]
        texts += [f"{named[0]}-{named[-1]}"] if len(run) > 2 else named

    return texts
