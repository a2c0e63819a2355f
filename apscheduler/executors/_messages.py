"""Messages between a scheduler's process and a worker, in pieces of which none can block."""

from __future__ import annotations

import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

# A process that dies leaves whoever sends to it, or has received half of what it sent, waiting for
# ever if yet another process has inherited its end of the connection, as any that is forked may.
# So pieces are sent one at a time, each in one write (Connection makes two of more than 16384
# bytes), and the buffer takes it at once (8192 bytes are the least, on macOS and Windows).
PIECE = 16000 if sys.platform == "linux" else 8000

# Asks for the next piece.
GO_ON = b"go on"

# Returns what Connection.recv_bytes() does, or notices that there will be nothing.
Receive = Callable[[], bytes]


def send_message(connection: Connection, message: bytes, receive: Receive) -> None:
    """Send a message; the last piece is a short one, empty if need be."""
    for start in range(0, len(message) + 1, PIECE):
        if start:
            receive()
        connection.send_bytes(message, start, min(PIECE, len(message) - start))


def receive_message(connection: Connection, receive: Receive) -> bytes:
    """Receive what :func:`send_message` sends."""
    pieces = [receive()]
    while len(pieces[-1]) == PIECE:
        connection.send_bytes(GO_ON)
        pieces.append(receive())
    return b"".join(pieces)
