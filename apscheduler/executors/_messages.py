"""Messages between a scheduler's process and a worker, in pieces of which none can block."""

from __future__ import annotations

import sys
from collections.abc import Callable
from multiprocessing.connection import Connection

# A process that dies leaves whoever sends to it, or has received half of what it sent, waiting
# for ever if yet another process has inherited its end of the connection, as any that is forked
# may. So a message is sent in pieces, each in one write (Connection makes two of more than 16384
# bytes), and so few at a time that the buffer takes them at once: that of Linux takes 13 of
# these, and 8192 bytes are the least, on macOS and Windows.
PIECE, AT_ONCE = (16000, 6) if sys.platform == "linux" else (8000, 1)

# Asks for the next pieces.
GO_ON = b"go on"

# Returns what Connection.recv_bytes() does, or notices that there will be nothing.
Receive = Callable[[], bytes]


def send_message(connection: Connection, message: bytes, receive: Receive) -> None:
    """Send a message; the last piece is a short one, empty if need be."""
    for number, start in enumerate(range(0, len(message) + 1, PIECE)):
        if number and number % AT_ONCE == 0:
            receive()
        connection.send_bytes(message, start, min(PIECE, len(message) - start))


def receive_message(connection: Connection, receive: Receive) -> bytes:
    """Receive what :func:`send_message` sends."""
    pieces = [receive()]
    while len(pieces[-1]) == PIECE:
        if len(pieces) % AT_ONCE == 0:
            connection.send_bytes(GO_ON)
        pieces.append(receive())
    return b"".join(pieces)
