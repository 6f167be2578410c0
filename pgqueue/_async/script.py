"""The handle of a script: its report, and waiting for its end."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from pgqueue.errors import ScriptFailed, UnknownJob
from pgqueue.models import JSON

if TYPE_CHECKING:
    from pgqueue._async.client import AsyncClient

__all__ = ["AsyncScriptHandle"]


class AsyncScriptHandle:
    """One script. With an `owner` it is only that owner's: another's raises UnknownJob."""

    def __init__(self, client: AsyncClient, id: int, *, owner: str | None = None) -> None:
        self._client = client
        self.owner = owner
        self.id = id

    def __repr__(self) -> str:
        return f"{type(self).__name__}(id={self.id})"

    async def report(self) -> dict[str, JSON]:
        """The document with the status, times and error of each query. SQL function: script_report."""
        return await self._client.script_report(self.id, self.owner)

    async def status(self) -> str:
        """held (it waits for other jobs), queued, running, succeeded, failed or cancelled. It is final before a
        fallback of the whole script runs.
        """
        return str((await self.report())["status"])

    async def wait(self, timeout: float | None = None) -> dict[str, JSON]:
        """Waits up to `timeout` seconds (None: for ever) until the script has succeeded and nothing of it runs any
        more, fallbacks included; returns the report.

        Raises ScriptFailed, which has the report, when it failed or was cancelled, ResultTimeout, UnknownJob. SQL
        functions: result, watch, script_report.
        """
        report = await self.report()
        if "ended_at" not in report:
            # What counts is the report: it outlives the job, of which its queue may keep nothing at all.
            with suppress(UnknownJob):
                await self._client.results().wait(self.id, timeout)
            report = await self.report()
        if report["status"] != "succeeded":
            raise ScriptFailed(self.id, report["status"], report.get("failed_reason"), report)
        return report

    async def cancel(self, why: str | None = None) -> dict[str, JSON]:
        """Cancels it: what runs is ended on the server, nothing else is begun. Returns the report. Raises Conflict when
        it has ended. SQL function: cancel_script.
        """
        return await self._client.cancel_script(self.id, self.owner, why)
