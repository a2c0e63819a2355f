"""What only one can have: whoever runs a submission, or whoever takes it back."""

from __future__ import annotations


class Claimable:
    """Can be claimed once, by any thread."""

    def __init__(self) -> None:
        self._claims = [None]

    def claim(self) -> bool:
        """Claim this; False if somebody has done so before."""
        try:
            self._claims.pop()  # of two threads, one gets an error
        except IndexError:
            return False

        return True
