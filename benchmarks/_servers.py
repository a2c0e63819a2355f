"""Places for the job stores of the cases: files, and databases on real servers."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from _libraries import ROOT
from cases import Case

if TYPE_CHECKING:
    from tests.servers import Server

# References that lead into whichever library is measured.
SQLALCHEMY = "apscheduler.jobstores.sqlalchemy:SQLAlchemyJobStore"
STORES = {
    "SQLite": SQLALCHEMY,
    "PostgreSQL": SQLALCHEMY,
    "MariaDB": SQLALCHEMY,
    "Redis": "apscheduler.jobstores.redis:RedisJobStore",
    "MongoDB": "apscheduler.jobstores.mongodb:MongoDBJobStore",
}


class Servers(ExitStack):
    """The servers that were asked for; each is started once, and stopped at the end."""

    def __init__(self) -> None:
        super().__init__()
        self._known: dict[str, Server] = {}
        # All folders are in this one, so that a signal that strikes as one is made leaves none.
        everything = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        self.folder = self.enter_context(everything)

    @contextmanager
    def place_for(self, case: Case) -> Iterator[dict[str, Any]]:
        """Give options with the arguments of a job store that has an empty place of its own."""
        if case.server is None:
            yield {}
        elif case.server == "SQLite":
            with tempfile.TemporaryDirectory(dir=self.folder) as folder:
                url = f"sqlite:///{Path(folder) / 'jobs.sqlite'}"
                yield {"store": {"class": STORES["SQLite"], "url": url}}
        else:
            server = self._server(case.server)
            place = server.fresh()
            try:
                yield {"store": {"class": STORES[case.server], **place}}
            finally:
                drop(server, place)

    def _server(self, name: str) -> Server:
        if name not in self._known:
            server = server_of(name)
            self.callback(server.close)  # also of one that does not get through its start
            self._known[name] = server

        self._known[name].start()
        return self._known[name]


def server_of(name: str) -> Server:
    """Return the server of the tests with this name, which is not started yet."""
    sys.path.insert(0, str(ROOT))
    from tests import servers

    server: Server = getattr(servers, name)()
    return server


def drop(server: Server, place: dict[str, Any]) -> None:
    """Remove what ``fresh()`` gave: a server that runs for others keeps nothing of ours."""
    if "url" in place:
        _drop_database(server, place["url"])
    elif "database" in place:
        from pymongo import MongoClient

        with MongoClient(place["host"]) as client:
            client.drop_database(place["database"])
    else:
        from redis import Redis

        with Redis(**place) as client:
            client.flushdb()


def _drop_database(server: Server, url: str) -> None:
    from sqlalchemy import create_engine, make_url, text

    # PostgreSQL refuses as long as a process that was ended is still connected.
    end = " WITH (FORCE)" if server.name == "PostgreSQL" else ""
    engine = create_engine(server.address, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE {make_url(url).database}{end}"))
    engine.dispose()
