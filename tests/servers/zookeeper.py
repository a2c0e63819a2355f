"""ZooKeeper for the tests."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tests.servers._server import Server

JARS = Path("/usr/share/java")
# Without snappy the server drops each session; without nop the log says so at length.
NEEDED_JARS = (
    "zookeeper.jar",
    "zookeeper-jute.jar",
    "slf4j-api.jar",
    "slf4j-nop.jar",
    "metrics-core.jar",
    "snappy-java.jar",
)


class ZooKeeper(Server):
    name = "ZooKeeper"
    variable = "APSCHEDULER_TEST_ZOOKEEPER_HOSTS"
    install = "apt-get install libzookeeper-java default-jre-headless"

    @property
    def address(self) -> str:
        """``host:port`` pairs as ``KazooClient(hosts=...)`` takes them."""
        return self.external or f"127.0.0.1:{self.port}"

    def fresh(self) -> dict[str, Any]:
        """Return ``{"path": ..., "hosts": ...}`` of a node that does not exist yet."""
        return {"path": f"/{self._fresh_name()}", "hosts": self.address}

    def _prepare(self, directory: Path) -> None:
        self._driver("kazoo")
        if shutil.which("java") is None or not all((JARS / jar).exists() for jar in NEEDED_JARS):
            raise self._missing()

        (directory / "zoo.cfg").write_text(
            f"dataDir={directory / 'data'}\n"
            f"clientPort={self.port}\n"
            "clientPortAddress=127.0.0.1\n"
            "admin.enableServer=false\n"
            "maxClientCnxns=0\n"
            # Sessions may be as short as two ticks, so that tests see one expire soon.
            "tickTime=500\n"
        )

    def _command(self, directory: Path) -> list[str]:
        return [
            "java",
            "-Xmx128m",
            # Written before each answer, flushed by the kernel: survives a kill.
            "-Dzookeeper.forceSync=no",
            "-cp",
            ":".join(str(JARS / jar) for jar in NEEDED_JARS),
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            str(directory / "zoo.cfg"),
        ]

    def _ping(self) -> None:
        from kazoo.client import KazooClient

        client = KazooClient(self.address, connection_retry={"max_tries": 0})
        try:
            client.start(timeout=5)
            client.exists("/")
        finally:
            client.stop()
            client.close()
