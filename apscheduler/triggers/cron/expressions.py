"""The expressions of which the fields of cron triggers consist."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import TYPE_CHECKING, ClassVar

from ..._refs import asint

if TYPE_CHECKING:
    from .fields import BaseField

__all__ = (
    "AllExpression",
    "LastDayOfMonthExpression",
    "MonthRangeExpression",
    "RangeExpression",
    "WeekdayPositionExpression",
    "WeekdayRangeExpression",
)

WEEKDAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]

MIN_VALUES = {
    "year": 1970,
    "month": 1,
    "day": 1,
    "week": 1,
    "day_of_week": 0,
    "hour": 0,
    "minute": 0,
    "second": 0,
}
MAX_VALUES = {
    "year": 9999,
    "month": 12,
    "day": 31,
    "week": 53,
    "day_of_week": 6,
    "hour": 23,
    "minute": 59,
    "second": 59,
}


class AllExpression:
    """All values of a field, or each ``step``-th from the least on: ``*`` and ``*/a``."""

    step: int | None

    def __init__(self, step: int | str | None = None) -> None:
        self.step = asint(step)
        if self.step == 0:
            raise ValueError("Increment must be higher than 0")

    @classmethod
    def read(cls, text: str) -> AllExpression | None:
        """Return the expression that a text in lower case stands for, None if it is none."""
        values, slash, step = text.partition("/")
        is_one = values == "*" and (not slash or _is_number(step))
        return cls(step or None) if is_one else None

    def validate_range(self, field_name: str) -> None:
        """Raise ValueError if the expression does not fit the limits of the field."""
        span = MAX_VALUES[field_name] - MIN_VALUES[field_name]
        self._validate_step(span)

    def _validate_step(self, span: int) -> None:
        if self.step and self.step > span:
            raise ValueError(
                f"the step value ({self.step}) is higher than the total range of the expression "
                f"({span})"
            )

    def values(self, minimum: int, maximum: int) -> range:
        """Return the values that the expression stands for, in a field with these limits."""
        return range(minimum, maximum + 1, self.step or 1)

    def days(self, year: int, month: int) -> range:
        """Return the days of a month that the expression stands for in the field ``day``."""
        return self.values(1, monthrange(year, month)[1])

    def get_next_value(self, date: date, field: BaseField) -> int | None:
        """Return the least value that is not less than that of the date, None if there is none."""
        start = field.get_value(date)
        values = self.values(field.get_min(date), field.get_max(date))
        return next((value for value in values if value >= start), None)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    __hash__ = None  # type: ignore[assignment]  # as in 3.x

    def __str__(self) -> str:
        return f"*/{self.step}" if self.step else "*"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.step})"


class RangeExpression(AllExpression):
    """One value, a range, or each ``step``-th value of a range: ``a``, ``a-b``, ``a-b/c``.

    ``a/c`` is each ``c``-th value from ``a`` up to the limit of the field.
    """

    first: int
    last: int | None  # None: the limit of the field

    def __init__(
        self, first: int | str, last: int | str | None = None, step: int | str | None = None
    ) -> None:
        super().__init__(step)
        self.first = int(first)
        self.last = asint(last)
        if self.last is None and self.step is None:
            self.last = self.first
        if self.last is not None and self.first > self.last:
            raise ValueError("The minimum value in a range must not be higher than the maximum")

    @classmethod
    def read(cls, text: str) -> RangeExpression | None:
        """Return the range that a text stands for; None if it is no range of numbers."""
        values, slash, step = text.partition("/")
        first, dash, last = values.partition("-")
        numbers = [first, *([last] if dash else []), *([step] if slash else [])]
        return cls(first, last or None, step or None) if all(map(_is_number, numbers)) else None

    def validate_range(self, field_name: str) -> None:
        """Raise ValueError if the expression does not fit the limits of the field."""
        minimum, maximum = MIN_VALUES[field_name], MAX_VALUES[field_name]
        if self.first < minimum:
            raise ValueError(
                f"the first value ({self.first}) is lower than the minimum value ({minimum})"
            )
        last = maximum if self.last is None else self.last
        if max(self.first, last) > maximum:
            raise ValueError(
                f"the last value ({max(self.first, last)}) is higher than the maximum value "
                f"({maximum})"
            )

        self._validate_step(last - self.first)

    def values(self, minimum: int, maximum: int) -> range:
        """Return the values that the expression stands for, in a field with these limits."""
        last = maximum if self.last is None else min(maximum, self.last)
        # The steps are counted from the first value, even where it lies below the minimum.
        return range(self.first, last + 1, self.step or 1)

    def __str__(self) -> str:
        text = str(self.first)
        if self.last is not None and self.last != self.first:
            text += f"-{self.last}"

        return f"{text}/{self.step}" if self.step else text

    def __repr__(self) -> str:
        args = [str(self.first)]
        if (self.last is not None and self.last != self.first) or self.step:
            args.append(str(self.last))
        if self.step:
            args.append(str(self.step))

        return f"{type(self).__name__}({', '.join(args)})"


class _NamedRangeExpression(RangeExpression):
    """A range that is given by names."""

    names: ClassVar[list[str]]
    kind: ClassVar[str]
    offset: ClassVar[int]  # value of the first name

    def __init__(self, first: str, last: str | None = None) -> None:
        super().__init__(self._number(first), None if last is None else self._number(last))

    @classmethod
    def read(cls, text: str) -> _NamedRangeExpression | None:
        """Return the range that a text stands for; None if it is no range of names."""
        first, dash, last = text.partition("-")
        names = [first, last] if dash else [first]
        return cls(first, last or None) if all(map(_is_name, names)) else None

    def _number(self, name: str) -> int:
        return number_of(name, self.names, self.kind) + self.offset

    def _given(self) -> list[str]:
        last = self.first if self.last is None else self.last
        values = [self.first] if last == self.first else [self.first, last]
        return [self.names[value - self.offset] for value in values]

    def __str__(self) -> str:
        return "-".join(self._given())

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self._given()))})"


class MonthRangeExpression(_NamedRangeExpression):
    """A month or a range of months by name: ``jan``, ``jan-mar``."""

    names = MONTHS
    kind = "month"
    offset = 1


class WeekdayRangeExpression(_NamedRangeExpression):
    """A weekday or a range of weekdays by name: ``mon``, ``mon-fri``."""

    names = WEEKDAYS
    kind = "weekday"
    offset = 0


class WeekdayPositionExpression(AllExpression):
    """The so-many-th weekday of the month: ``1st mon`` ... ``5th sun``, ``last fri``."""

    options: ClassVar[list[str]] = ["1st", "2nd", "3rd", "4th", "5th", "last"]

    option_num: int
    weekday: int

    def __init__(self, option_name: str, weekday_name: str) -> None:
        super().__init__()
        self.option_num = number_of(option_name, self.options, "weekday position")
        self.weekday = number_of(weekday_name, WEEKDAYS, "weekday")

    @classmethod
    def read(cls, text: str) -> WeekdayPositionExpression | None:
        """Return the weekday that a text stands for; None if it names no position."""
        option, _, weekday = text.partition(" ")
        is_one = option in cls.options and _is_name(weekday.strip())
        return cls(option, weekday.strip()) if is_one else None

    def days(self, year: int, month: int) -> range:
        """Return the one day of a month that is meant, if it has one."""
        first_weekday, length = monthrange(year, month)
        first = 1 + (self.weekday - first_weekday) % 7
        same_weekday = range(first, length + 1, 7)
        return same_weekday[-1:] if self.option_num == 5 else same_weekday[self.option_num :][:1]

    def get_next_value(self, date: date, field: BaseField) -> int | None:
        """Return the day if it is not earlier than that of the date, None if it is."""
        return next((day for day in self.days(date.year, date.month) if day >= date.day), None)

    def __str__(self) -> str:
        return f"{self.options[self.option_num]} {WEEKDAYS[self.weekday]}"

    def __repr__(self) -> str:
        option, weekday = self.options[self.option_num], WEEKDAYS[self.weekday]
        return f"{type(self).__name__}({option!r}, {weekday!r})"


class LastDayOfMonthExpression(AllExpression):
    """The last day of the month: ``last``."""

    def __init__(self) -> None:
        super().__init__()

    @classmethod
    def read(cls, text: str) -> LastDayOfMonthExpression | None:
        """Return the expression if the text is "last", else None."""
        return cls() if text == "last" else None

    def days(self, year: int, month: int) -> range:
        """Return the last day of a month."""
        length = monthrange(year, month)[1]
        return range(length, length + 1)

    def get_next_value(self, date: date, field: BaseField) -> int | None:
        """Return the last day of the month of the date."""
        return monthrange(date.year, date.month)[1]

    def __str__(self) -> str:
        return "last"

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def number_of(name: str, names: list[str], kind: str) -> int:
    """Return the position of a name in a list; upper and lower case are the same."""
    try:
        return names.index(name.lower())
    except ValueError:
        raise ValueError(
            f'Invalid {kind} name "{name}" -- allowed are {", ".join(names)}'
        ) from None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_name(text: str) -> bool:
    return text.isascii() and text.isalpha()
