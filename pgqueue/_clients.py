"""The connections an App has of its own, made at first use: a sync client a process, an async one an event loop."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pgqueue._calls import Calls
from pgqueue._hooks import AppHooks

if TYPE_CHECKING:
    import asyncio

    from pgqueue._async.client import AsyncClient
    from pgqueue._sync.client import Client

__all__ = ["Clients"]


class Clients:
    """`dsn` None means that of `pgqueue.config.resolve_dsn`, asked at first use. `listen_dsn`: where to LISTEN, when
    `dsn` leads to a pooler.

    With `listen` False nothing ever listens, and results are polled for. `hooks`: what goes around the jobs that these
    connections carry.
    """

    def __init__(
        self,
        dsn: str | None,
        *,
        schema: str,
        listen_dsn: str | None,
        listen: bool,
        prepare_threshold: int | None,
        pool_size: int,
        hooks: AppHooks,
    ) -> None:
        self.hooks = hooks
        self.dsn = dsn
        self.schema = schema
        self.calls = Calls(schema)
        self.listen_dsn = listen_dsn
        self.listen = listen
        self.prepare_threshold = prepare_threshold
        self.pool_size = pool_size
        self._lock = threading.Lock()
        self._forget()

    def _forget(self) -> None:
        self._pid = os.getpid()
        self._client: Client | None = None
        self._by_loop: dict[asyncio.AbstractEventLoop, AsyncClient] = {}

    def _unfork(self) -> None:
        if self._pid != os.getpid():
            # A forked child shares its parent's sockets: using them, even closing them properly, would garble the
            # parent's sessions.
            self._lock = threading.Lock()
            self._forget()

    @property
    def client(self) -> Client:
        """The sync client, for any thread."""
        self._unfork()
        client = self._client
        if client is None:
            from pgqueue._sync.client import Client

            with self._lock:
                if self._client is None:
                    self._client = Client(
                        self.dsn,
                        schema=self.schema,
                        prepare_threshold=self.prepare_threshold,
                        max_size=self.pool_size,
                        listen=self.listen,
                        listen_dsn=self.listen_dsn,
                    )
                client = self._client
        return client

    @property
    def aclient(self) -> AsyncClient:
        """The async client of the running event loop."""
        import asyncio

        self._unfork()
        loop = asyncio.get_running_loop()
        client = self._by_loop.get(loop)
        if client is None:
            from pgqueue._async.client import AsyncClient

            # What was left open by a loop that has ended (asyncio.run without aclose) can only be dropped.
            self._by_loop = {other: held for other, held in self._by_loop.items() if not other.is_closed()}
            client = self._by_loop[loop] = AsyncClient(
                self.dsn,
                schema=self.schema,
                prepare_threshold=self.prepare_threshold,
                max_size=self.pool_size,
                listen=self.listen,
                listen_dsn=self.listen_dsn,
            )
        return client

    def close(self) -> None:
        """Closes the sync client's connections; a later call opens them anew."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    async def aclose(self) -> None:
        """Closes the connections of the running event loop, and the sync client's."""
        import asyncio

        client = self._by_loop.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
        self.close()
