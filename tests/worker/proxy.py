"""A wire between worker and server that eats notifications, as a transaction pooler does to LISTEN."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType
from typing import Self

from psycopg.conninfo import conninfo_to_dict, make_conninfo


class DeafWire:
    """Forwards everything but NotificationResponse messages; `.dsn` leads through it."""

    def __init__(self, dsn: str) -> None:
        self._server = conninfo_to_dict(dsn)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run)
        self._ready = threading.Event()
        self.eaten = 0
        self.dsn = dsn

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        self.dsn = make_conninfo(**{**self._server, "host": "127.0.0.1", "port": self._port, "sslmode": "disable"})
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._done.set_result, None)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._done = self._loop.create_future()
        self._pipes: set[asyncio.Task[None]] = set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._done
        server.close()
        for pipe in self._pipes:
            pipe.cancel()
        await asyncio.gather(*self._pipes, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(
            str(self._server["host"]), int(str(self._server["port"]))
        )
        for pipe in (self._all(reader, far_writer), self._messages(far_reader, writer)):
            task = asyncio.ensure_future(pipe)
            self._pipes.add(task)

    async def _all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def _messages(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                if head[:1] == b"A":
                    self.eaten += 1
                    continue
                writer.write(head + body)
                if reader._buffer:  # type: ignore[attr-defined]
                    continue
                await writer.drain()
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()
