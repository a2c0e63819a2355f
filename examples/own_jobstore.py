"""A job store of your own: all jobs in one file, which is written anew at each change."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Sequence
from pathlib import Path
from threading import Lock

from apscheduler.job import Job
from apscheduler.jobstores.base import ConflictingIdError
from apscheduler.jobstores.persistent import PersistentJobStore, Record
from apscheduler.schedulers.background import BackgroundScheduler


class FileJobStore(PersistentJobStore):
    """Keeps some jobs in a file. One process may use it."""

    _lock = Lock()  # held from reading to writing

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        self._path = Path(path)

    def _read_file(self) -> dict[str, Record]:
        if not self._path.exists():
            return {}

        return {record[0]: Record(*record) for record in pickle.loads(self._path.read_bytes())}

    def _write_file(self, records: dict[str, Record]) -> None:
        """Write all or nothing: the old file stays until the new one is complete."""
        new = self._path.with_suffix(".new")
        new.write_bytes(pickle.dumps([tuple(record) for record in records.values()]))
        new.replace(self._path)

    def _read(self, job_id: str) -> Job | None:
        record = self._read_file().get(job_id)
        return None if record is None else self._restore_row(*record)

    def _read_due(self, timestamp: float) -> list[Job]:
        timed = [(r.timestamp, r) for r in self._read_file().values() if r.timestamp is not None]
        return self._restore_rows(record for time, record in timed if time <= timestamp)

    def _read_first(self, after: float | None, limit: int) -> Sequence[tuple[str, float, bytes]]:
        timed = [(r.timestamp, r) for r in self._read_file().values() if r.timestamp is not None]
        first = sorted((time, r.id, r.data) for time, r in timed if after is None or time > after)
        return [(job_id, time, data) for time, job_id, data in first[:limit]]

    def _read_all(self) -> list[Job]:
        return self._restore_rows(self._read_file().values())

    def _write_new(self, records: Sequence[Record]) -> None:
        with self._lock:
            stored = self._read_file()
            for record in records:
                if record.id in stored:
                    raise ConflictingIdError(record.id)
            self._write_file(stored | {record.id: record for record in records})

    def _write_changed(self, records: Sequence[Record]) -> list[str]:
        with self._lock:
            stored = self._read_file()
            changed = {record.id: record for record in records if record.id in stored}
            self._write_file(stored | changed)
        return [record.id for record in records if record.id not in changed]

    def _delete(self, job_ids: Sequence[str]) -> list[str]:
        with self._lock:
            stored = self._read_file()
            missing = [job_id for job_id in job_ids if stored.pop(job_id, None) is None]
            self._write_file(stored)
        return missing

    def _delete_all(self) -> None:
        with self._lock:
            self._write_file({})


if __name__ == "__main__":
    path = sys.argv[1] if len(sys.argv) > 1 else "jobs.pickle"
    scheduler = BackgroundScheduler(jobstores={"default": FileJobStore(path)})
    scheduler.start(paused=True)
    scheduler.add_job(print, "interval", ["tick"], hours=1, id="tick", replace_existing=True)
    scheduler.shutdown()

    scheduler.start(paused=True)
    print("Kept in", path, "are", [job.id for job in scheduler.get_jobs()])
    scheduler.shutdown()
