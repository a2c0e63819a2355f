"""Run the jobs until Ctrl+C or SIGTERM: python manage.py runjobs"""

from __future__ import annotations

import signal
from time import sleep
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from apscheduler.schedulers.background import BackgroundScheduler
from shop.jobs import clear_sessions


class Command(BaseCommand):
    help = "Run the scheduled jobs."

    def handle(self, *args: Any, **options: Any) -> None:
        # The handler only takes note: a signal may come between any two steps of this thread.
        received: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, frame: received.append(number))

        scheduler = BackgroundScheduler(timezone=settings.TIME_ZONE)
        scheduler.add_job(clear_sessions, "interval", seconds=1)
        scheduler.start()
        self.stdout.write("Running jobs; press Ctrl+C to stop")
        self.stdout.flush()
        while not received:
            sleep(0.5)  # briefly: a signal that another thread takes ends no sleep
        scheduler.shutdown()
        self.stdout.write("Stopped")
