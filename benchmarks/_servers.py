"""Places for the job stores of the cases: files, and databases on real servers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from _libraries import OURS
from cases import Case

sys.path.insert(0, str(OURS))

from tests.servers import (  # found by the line above
    MariaDB,
    MissingServerError,
    MongoDB,
    PostgreSQL,
    Redis,
    Server,
)

__all__ = ("MissingServerError", "Servers")

KINDS: dict[str, type[Server]] = {
    server.name: server for server in (PostgreSQL, MariaDB, Redis, MongoDB)
}

# References that lead into whichever library is measured.
SQLALCHEMY = "apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore"
STORES = {
    "SQLite": SQLALCHEMY,
    "PostgreSQL": SQLALCHEMY,
    "MariaDB": SQLALCHEMY,
    "Redis": "apscheduler.jobstores.redis:RedisJobStore",
    "MongoDB": "apscheduler.jobstores.mongodb:MongoDBJobStore",
}


class Servers:
    """The servers that were asked for; each is started once, and stopped at the end."""

    def __init__(self) -> None:
        self._started: dict[str, Server] = {}

    @contextmanager
    def place_for(self, case: Case) -> Iterator[dict[str, Any]]:
        """Give options with the arguments of a job store that has an empty place of its own."""
        if case.server is None:
            yield {}
        elif case.server == "SQLite":
            with tempfile.TemporaryDirectory() as folder:
                url = f"sqlite:///{Path(folder) / 'jobs.sqlite'}"
                yield {"store": {"class": STORES["SQLite"], "url": url}}
        else:
            place = self._server(case.server).fresh()
            yield {"store": {"class": STORES[case.server], **place}}

    def _server(self, name: str) -> Server:
        if name not in self._started:
            server = KINDS[name]()
            server.start()
            self._started[name] = server

        return self._started[name]

    def __enter__(self) -> Servers:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for server in self._started.values():
            server.close()
