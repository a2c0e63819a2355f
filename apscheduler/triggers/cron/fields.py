"""The fields of cron triggers: a name, and the expressions that say which of its values match."""

from __future__ import annotations

from calendar import monthrange
from datetime import date
from typing import Any, ClassVar

from .expressions import (
    MAX_VALUES,
    MIN_VALUES,
    AllExpression,
    LastDayOfMonthExpression,
    MonthRangeExpression,
    RangeExpression,
    WeekdayPositionExpression,
    WeekdayRangeExpression,
)

__all__ = (
    "DEFAULT_VALUES",
    "MAX_VALUES",
    "MIN_VALUES",
    "BaseField",
    "DayOfMonthField",
    "DayOfWeekField",
    "MonthField",
    "WeekField",
)

# What an omitted field is below the least significant given one.
DEFAULT_VALUES: dict[str, int | str] = {
    "year": "*",
    "month": 1,
    "day": 1,
    "week": "*",
    "day_of_week": "*",
    "hour": 0,
    "minute": 0,
    "second": 0,
}


class BaseField:
    """A field of a date or of a time of day.

    :param name: one of CronTrigger.FIELD_NAMES
    :param exprs: expressions, separated by commas; also a number
    :param is_default: whether the user left the field out
    :raises ValueError: naming the field, the expression and what is allowed
    """

    REAL = True  # whether a date has a value of this name that can be set
    EXPRESSIONS: ClassVar[tuple[type[AllExpression], ...]] = (AllExpression, RangeExpression)
    HELP = "*, */a, a, a-b, a-b/c, a/c"

    name: str
    is_default: bool
    expressions: list[AllExpression]

    def __init__(self, name: str, exprs: Any, is_default: bool = False) -> None:
        self.name = name
        self.is_default = is_default
        self.compile_expressions(exprs)

    def get_min(self, dateval: date) -> int:
        """Return the least value of the field."""
        return MIN_VALUES[self.name]

    def get_max(self, dateval: date) -> int:
        """Return the greatest value of the field, in the month of a date where that matters."""
        return MAX_VALUES[self.name]

    def get_value(self, dateval: date) -> int:
        """Return the value that a date, or time, has in this field."""
        value: int = getattr(dateval, self.name)
        return value

    def get_next_value(self, dateval: date) -> int | None:
        """Return the least matching value not less than that of the date; None if none is."""
        values = (expression.get_next_value(dateval, self) for expression in self.expressions)
        return min((value for value in values if value is not None), default=None)

    def compile_expressions(self, exprs: Any) -> None:
        """Read expressions that are separated by commas."""
        self.expressions = []
        for text in str(exprs).strip().split(","):
            self.compile_expression(text.strip())

    def compile_expression(self, expr: str) -> None:
        """Read one expression and add it to the field."""
        try:
            read = (kind.read(expr.lower()) for kind in self.EXPRESSIONS)
            expression = next((one for one in read if one is not None), None)
            if expression is not None:
                expression.validate_range(self.name)
        except ValueError as exc:
            raise ValueError(
                f'Error validating expression {expr!r} for field "{self.name}": {exc} '
                f"({self._allowed()})"
            ) from exc

        if expression is None:
            raise ValueError(
                f'Unrecognized expression "{expr}" for field "{self.name}" -- {self._allowed()}'
            )

        self.expressions.append(expression)

    def _allowed(self) -> str:
        lowest, highest = MIN_VALUES[self.name], MAX_VALUES[self.name]
        return f"allowed are {self.HELP}, with values {lowest} to {highest}, and lists with commas"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, type(self))
            and self.name == other.name
            and self.expressions == other.expressions
        )

    __hash__ = None  # type: ignore[assignment]  # as in 3.x

    def __str__(self) -> str:
        return ",".join(map(str, self.expressions))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {str(self)!r})"


class WeekField(BaseField):
    """The ISO 8601 week of the year: week 1 is the one with the first Thursday."""

    REAL = False

    def get_value(self, dateval: date) -> int:
        """Return the ISO week of a date."""
        return dateval.isocalendar()[1]


class DayOfMonthField(BaseField):
    """The day of the month."""

    EXPRESSIONS = (
        AllExpression,
        RangeExpression,
        WeekdayPositionExpression,
        LastDayOfMonthExpression,
    )
    HELP = f'{BaseField.HELP}, last, "1st mon" ... "5th sun", "last fri"'

    def get_max(self, dateval: date) -> int:
        """Return the length of the month of a date."""
        return monthrange(dateval.year, dateval.month)[1]


class DayOfWeekField(BaseField):
    """The day of the week; Monday is 0."""

    REAL = False
    EXPRESSIONS = (
        AllExpression,
        RangeExpression,
        WeekdayRangeExpression,
    )
    HELP = f"{BaseField.HELP}, mon ... sun, mon-fri"

    def get_value(self, dateval: date) -> int:
        """Return the day of the week of a date."""
        return dateval.weekday()


class MonthField(BaseField):
    """The month."""

    EXPRESSIONS = (
        AllExpression,
        RangeExpression,
        MonthRangeExpression,
    )
    HELP = f"{BaseField.HELP}, jan ... dec, jan-mar"
