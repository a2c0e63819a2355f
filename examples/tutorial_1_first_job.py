"""Tutorial, step 1: run a function every two seconds."""

from __future__ import annotations

from datetime import datetime

from apscheduler.schedulers.blocking import BlockingScheduler


def tick() -> None:
    print(f"It is {datetime.now():%H:%M:%S}", flush=True)


scheduler = BlockingScheduler()
scheduler.add_job(tick, "interval", seconds=2)
print("Press Ctrl+C to stop")
try:
    scheduler.start()
except KeyboardInterrupt:
    print("Stopped")
