"""What the errors of databases mean to the job store on SQLAlchemy."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

# A key is taken, by MySQL's number and by SQLSTATE.
_TAKEN_IN_MYSQL = (1062,)
_TAKEN_IN_POSTGRESQL = ("23505",)

# The transaction was rolled back so that others can go on: it is to be done again.
_ENDED_FOR_OTHERS = (1213, "40P01", "40001")

# An insert gives no value to a column that has no default.
_NO_DEFAULT = (1364,)


def taken_id(error: DBAPIError, table: str, job_ids: Sequence[str]) -> str | None:
    """
    Return the id that is taken; the first if the error does not say which.

    :returns: None if it is about something else, as the key of an index that somebody has added
    """
    message = _message(error)
    if _is_one_of(_TAKEN_IN_POSTGRESQL, error):
        return next((id for id in job_ids if f"(id)=({id})" in message), None)

    if _is_one_of(_TAKEN_IN_MYSQL, error):
        # MariaDB does not name the table.
        if not re.search(rf"'({re.escape(table)}\.)?PRIMARY'", message, re.IGNORECASE):
            return None
        return next((id for id in job_ids if f"'{id}'" in message), job_ids[0])

    # SQLite has no number for it before Python 3.11.
    is_taken = message.lower() == f"UNIQUE constraint failed: {table}.id".lower()
    return job_ids[0] if is_taken else None


def has_ended_for_others(error: DBAPIError) -> bool:
    """Tell whether the server rolled back because of a deadlock, or could not put in order."""
    return _is_one_of(_ENDED_FOR_OTHERS, error)


def lacks_default(error: DBAPIError) -> bool:
    return _is_one_of(_NO_DEFAULT, error)


def _message(error: DBAPIError) -> str:
    # The text of an error with a number is that of a tuple, where quotes are escaped.
    return "" if error.orig is None else " ".join(str(part) for part in error.orig.args)


def _is_one_of(codes: Sequence[object], error: DBAPIError) -> bool:
    found = [getattr(error.orig, name, None) for name in ("sqlstate", "pgcode", "errno")]
    if error.orig is not None:
        found += error.orig.args[:1]

    return any(code in found for code in codes)
