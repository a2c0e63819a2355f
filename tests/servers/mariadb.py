"""MariaDB for the tests."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tests.servers._server import Server, run

SYSTEM_TABLES = Path("/usr/share/mysql/mysql_system_tables.sql")


class MariaDB(Server):
    name = "MariaDB"
    variable = "APSCHEDULER_TEST_MYSQL_URL"
    install = "apt-get install mariadb-server-core"

    @property
    def address(self) -> str:
        """An SQLAlchemy URL."""
        return self.external or f"mysql+pymysql://root@127.0.0.1:{self.port}/mysql"

    def fresh(self) -> dict[str, Any]:
        """Return ``{"url": ...}`` of a new, empty database."""
        from sqlalchemy import make_url

        name = self._fresh_name()
        self._execute(f"CREATE DATABASE `{name}` CHARACTER SET utf8mb4")
        url = make_url(self.address).set(database=name)
        return {"url": url.render_as_string(hide_password=False)}

    def _prepare(self, directory: Path) -> None:
        self._driver("pymysql")
        self._program("mariadbd")
        if not SYSTEM_TABLES.exists():
            raise self._missing()

        (directory / "data").mkdir()
        # The bootstrap reader takes one statement a line.
        tables = b"CREATE DATABASE IF NOT EXISTS mysql;\nUSE mysql;\n" + SYSTEM_TABLES.read_bytes()
        run([*self._base_command(directory), "--bootstrap"], input=tables)

    def _command(self, directory: Path) -> list[str]:
        return [
            *self._base_command(directory),
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={directory / 'socket'}",
            f"--pid-file={directory / 'pid'}",
            "--skip-grant-tables",
            "--skip-networking=0",
            # Written at each commit, flushed by the kernel: survives a kill.
            "--innodb-flush-log-at-trx-commit=2",
        ]

    def _base_command(self, directory: Path) -> list[str]:
        command = [self._program("mariadbd"), "--no-defaults", f"--datadir={directory / 'data'}"]
        command.append("--innodb-log-file-size=8M")
        return [*command, "--user=root"] if os.geteuid() == 0 else command

    def _ping(self) -> None:
        self._execute("SELECT 1")

    def _execute(self, statement: str) -> None:
        import pymysql
        from sqlalchemy import make_url

        url = make_url(self.address)
        connection = pymysql.connect(
            host=url.host,
            port=url.port or 3306,
            user=url.username,
            password=str(url.password or ""),
            autocommit=True,
            connect_timeout=5,
        )
        try:
            connection.cursor().execute(statement)
        finally:
            connection.close()
