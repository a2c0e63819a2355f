"""What a loop waits for."""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import pytest

from apscheduler.schedulers import _flag
from apscheduler.schedulers._flag import Flag
from tests.recorder import PATIENCE


def test_it_is_set_until_it_is_cleared() -> None:
    flag = Flag()
    assert not flag.is_set()
    assert not flag.wait(0)

    flag.set()
    flag.set()
    assert flag.wait()
    assert flag.wait(0)
    assert flag.is_set()

    flag.clear()
    flag.clear()
    assert not flag.is_set()
    assert not flag.wait(0.001)


def test_whoever_waits_goes_on_when_another_thread_sets_it() -> None:
    flag = Flag()
    thread = threading.Thread(target=flag.set)
    thread.start()
    assert flag.wait(PATIENCE)
    thread.join()


def test_a_signal_handler_may_set_it_wherever_it_strikes() -> None:
    """Also where the same thread is about to set or to wait for it."""
    flag = Flag()
    lines = 0

    def strike(frame: Any, event: str, argument: Any) -> Any:
        nonlocal lines
        if event == "line" and frame.f_globals["__name__"] == Flag.__module__:
            lines += 1
            signal.raise_signal(signal.SIGTERM)
        return strike

    before = signal.signal(signal.SIGTERM, lambda *_: flag.set())
    traced = sys.gettrace()
    sys.settrace(strike)
    try:
        assert flag.wait(PATIENCE)
        flag.clear()
        assert flag.wait(PATIENCE)
        flag.set()
    finally:
        sys.settrace(traced)
        signal.signal(signal.SIGTERM, before)

    assert lines > 5


def test_a_wait_ends_though_the_program_makes_the_clock_stand_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_flag, "monotonic", lambda: 0.0)
    assert not Flag().wait(0.01)


def test_it_is_an_event() -> None:
    """Programs that look at the event of a scheduler find what they expect."""
    assert isinstance(Flag(), threading.Event)
