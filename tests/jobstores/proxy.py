"""A proxy that loses the answer of a server: the connection breaks, but the request was heard."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Lock, Thread
from types import TracebackType


class Proxy:
    """
    Forwards what comes to its port to another one of this computer, and back.

    :ivar lost: how many answers have been lost
    """

    def __init__(self, target: int) -> None:
        self.lost = 0
        self._target = target
        self._lock = Lock()
        self._passing: int | None = None  # so many answers pass, then one is lost; None: all pass
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        Thread(target=self._accept, daemon=True).start()

    def lose_answer(self, passing: int) -> None:
        """Let so many answers pass from now on, and lose the next one."""
        with self._lock:
            self._passing = passing

    def lose_none(self) -> None:
        with self._lock:
            self._passing = None

    def __enter__(self) -> Proxy:
        return self

    def __exit__(
        self,
        cls: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for end in (self._server, *self._sockets):
            _close(end)

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._server.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += (client, server)
                Thread(target=self._forward, args=(client, server, False), daemon=True).start()
                Thread(target=self._forward, args=(server, client, True), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer and self._is_to_be_lost():
                    break
                sink.sendall(data)
        for end in (source, sink):
            _close(end)

    def _is_to_be_lost(self) -> bool:
        with self._lock:
            if self._passing is None:
                return False
            if self._passing:
                self._passing -= 1
                return False

            self._passing = None
            self.lost += 1
            return True


def _close(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
