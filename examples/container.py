"""A scheduler in a container: SIGTERM lets running jobs end, but not for ever.

Docker and Kubernetes stop a container by sending SIGTERM to its first process, and kill what is
left after 10 and 30 seconds. Run this and try ``kill -TERM`` with the number that it prints.
"""

from __future__ import annotations

import logging
import os
import signal
from time import sleep

from apscheduler.schedulers.background import BackgroundScheduler

GRACE = 8.0  # seconds; less than what is granted, so that there is time left to clean up


def work() -> None:
    print("working ...", flush=True)
    sleep(1)
    print("... done", flush=True)


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    # The handler only takes note, for a signal may also come before start(), or a second time.
    received: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: received.append(number))

    scheduler = BackgroundScheduler()
    scheduler.add_job(work, "interval", seconds=2)
    scheduler.start()
    print(f"process {os.getpid()} is running", flush=True)

    while not received:
        sleep(0.5)  # briefly: a signal that another thread takes ends no sleep
    print(f"stopping because of {signal.Signals(received[0]).name}", flush=True)
    scheduler.shutdown(wait=GRACE)
    print("stopped", flush=True)


if __name__ == "__main__":
    main()
