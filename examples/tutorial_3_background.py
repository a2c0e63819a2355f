"""Tutorial, step 3: a scheduler beside the rest of the program, changed while it runs."""

from __future__ import annotations

import time

from apscheduler.schedulers.background import BackgroundScheduler


def greet(name: str) -> None:
    print(f"Hello, {name}!", flush=True)


with BackgroundScheduler() as scheduler:  # started here, shut down at the end of the block
    scheduler.add_job(greet, "interval", args=["Ada"], seconds=1, id="greeting")
    time.sleep(2.5)  # the rest of the program

    scheduler.modify_job("greeting", args=["Grace"])
    time.sleep(1)

    scheduler.pause_job("greeting")
    print("(a pause)", flush=True)
    time.sleep(1.5)

    job = scheduler.resume_job("greeting")
    assert job is not None  # it would be, had the schedule ended meanwhile
    print("Next run:", job.next_run_time, flush=True)
    scheduler.remove_job("greeting")
