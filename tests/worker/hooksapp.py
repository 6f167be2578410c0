"""An App with middleware, a carried variable and a codec, for worker processes under test."""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

from pgqueue import App, JobRun, Middleware, Retry
from pgqueue.middleware import AsyncRun, Run

__all__ = ["Reverse", "app", "tenant"]

tenant: ContextVar[str] = ContextVar("tenant", default="nobody")


class Reverse:
    """Keeps nothing secret, but nobody reads it by accident."""

    key_id = "reverse"

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    decode = encode


class Marking(Middleware):
    """Puts a mark on every result."""

    def execute(self, job: JobRun, proceed: Run, /) -> Any:
        return {"kind": job.kind, "tenant": tenant.get(), "value": proceed(job)}

    async def aexecute(self, job: JobRun, proceed: AsyncRun, /) -> Any:
        await asyncio.sleep(0)
        return {"kind": job.kind, "tenant": tenant.get(), "value": await proceed(job)}


app = App(middleware=[Marking()], codec=Reverse(), seal_errors=True)
app.carry(tenant)


@app.task
def double(n: int) -> int:
    return 2 * n


@app.task
async def adouble(n: int) -> int:
    await asyncio.sleep(0)
    return 2 * n


@app.task
def keep(x: Any) -> Any:
    return x


@app.task
async def akeep(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


@app.task(max_attempts=1)
def fail(secret: str) -> Retry:
    raise ValueError(f"no {secret}")
