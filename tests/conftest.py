"""What all tests share."""

from __future__ import annotations

import signal

pytest_plugins = ["tests.loops", "tests.release", "tests.servers.fixtures"]


def pytest_configure() -> None:
    # A shell starts what it runs in the background with Ctrl+C ignored, and so would be the
    # programs that tests start and press it on.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
