"""A turn of a script: one of its queries, or one fallback."""

from __future__ import annotations

from pgqueue.models import JSON, ScriptOrders
from pgqueue.outcomes import Settlement
from pgqueue.worker.sql.running import run
from pgqueue.worker.sql.session import Backend, Session
from pgqueue.worker.sql.turn import Turn, settlement

__all__ = ["ScriptTurn"]


class ScriptTurn(Turn[ScriptOrders]):
    """Runs a text of any number of statements; their rows are let go."""

    word = "script"

    async def _begin(self, backend: Backend | None) -> ScriptOrders:
        pid, start = (None, None) if backend is None else (backend.pid, backend.start)
        return await self._engine.call(self._engine.calls.script_begin(self.job.lease, self.job.id, pid, start))

    def _settle(self, orders: ScriptOrders, verdict: str) -> Settlement:
        return settlement(verdict, orders.failure, orders.result)

    async def _execute(self, session: Session, orders: ScriptOrders) -> str | None:
        return await run(session, orders.sql or "")

    async def _end(self, command: str | None, error: dict[str, JSON] | None, notices: list[JSON] | None) -> Settlement:
        ended = await self._engine.call(self._engine.calls.script_end(self.job.lease, self.job.id, error, notices))
        return settlement(ended.verdict, ended.failure, ended.result)
