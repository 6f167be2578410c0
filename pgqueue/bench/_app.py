"""The tasks that the bench's own workers run."""

from __future__ import annotations

import os
import socket
import struct
import time

from pgqueue import App

CLOCK = "PGQUEUE_BENCH_CLOCK"
"""Port on the loopback to which handlers tell when they started."""

app = App()
_port = int(os.environ.get(CLOCK, "0"))
_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM) if _port else None
if _socket is not None:
    _socket.connect(("127.0.0.1", _port))


@app.task("noop")
async def noop(a: int = 0, b: str = "") -> None:
    """Nothing, on the event loop."""


@app.task("noop_sync")
def noop_sync(a: int = 0, b: str = "") -> None:
    """Nothing, in a thread."""


@app.task("stamp")
async def stamp(number: int) -> None:
    """Tell the time, on the clock that all processes of a machine share: a datagram, which waits for nobody."""
    now = time.monotonic()
    if _socket is not None:
        _socket.send(struct.pack("!qd", number, now))
