"""Let what subclasses override count, though a class of ours has a faster way round it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def keep_to_overridden(cls: type[Any], base: type[Any], rule: str, derived: Iterable[str]) -> None:
    """
    Let no derived method bypass a rule that overrides the rule of the derived method's class.

    Classes that were written for 3.x override the rule alone.

    :param cls: a new subclass; it gets back the methods of the base class that go by the rule
    :param base: the class whose derived methods go by the rule
    :param rule: name of the method that says how it is
    :param derived: names of methods that may say the same in a faster way
    """
    classes = cls.__mro__
    for name in derived:
        if _position(classes, rule) < _position(classes, name) < classes.index(base):
            setattr(cls, name, getattr(base, name))


def _position(classes: tuple[type, ...], name: str) -> int:
    """Return the position of the class that a method comes from."""
    return next(i for i, cls in enumerate(classes) if name in vars(cls))
