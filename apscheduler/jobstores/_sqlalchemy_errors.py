"""What the errors of databases mean to the job store on SQLAlchemy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError

# By MySQL's numbers, and by SQLSTATE: a key is taken.
_TAKEN = (1062, "23505")

# The transaction was rolled back so that others can go on: it is to be done again.
_ENDED_FOR_OTHERS = (1213, "40P01", "40001")

# An insert gives no value to a column that has no default.
_NO_DEFAULT = (1364,)


def is_taken(error: DBAPIError) -> bool:
    # SQLite has no number for it before Python 3.11.
    return _is_one_of(_TAKEN, error) or str(error.orig).startswith("UNIQUE constraint failed")


def has_ended_for_others(error: DBAPIError) -> bool:
    """Tell whether the server rolled back because of a deadlock, or could not put in order."""
    return _is_one_of(_ENDED_FOR_OTHERS, error)


def lacks_default(error: DBAPIError) -> bool:
    return _is_one_of(_NO_DEFAULT, error)


def id_in_message(error: DBAPIError, job_ids: Sequence[str]) -> str:
    """Return the id that is taken as MySQL and PostgreSQL write it; the first if none is there."""
    message = str(error.orig)
    return next(
        (id for id in job_ids if f"'{id}'" in message or f"=({id})" in message), job_ids[0]
    )


def _is_one_of(codes: Sequence[object], error: DBAPIError) -> bool:
    found = [getattr(error.orig, name, None) for name in ("sqlstate", "pgcode", "errno")]
    if error.orig is not None:
        found += error.orig.args[:1]

    return any(code in found for code in codes)
