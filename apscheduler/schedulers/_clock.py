"""Notice that somebody has set the clock back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

# A clock that is corrected by less is not taken to be set back.
_TOLERANCE = timedelta(seconds=1)


class ClockWatch:
    """Compares the wall clock, from look to look, with a clock that nobody can set."""

    def __init__(self) -> None:
        self._last: tuple[datetime, float] | None = None

    def set_back_from(self, now: datetime, elapsed: float) -> datetime | None:
        """
        Return what time it would be, had the clock not been set back; None if it was not.

        :param now: the time on the wall clock
        :param elapsed: seconds on the clock that nobody can set
        """
        last, self._last = self._last, (now.astimezone(timezone.utc), elapsed)
        if last is None:
            return None

        expected = last[0] + timedelta(seconds=elapsed - last[1])
        return expected if self._last[0] < expected - _TOLERANCE else None
