"""An App whose task writes down in a table when it runs, for worker processes that are killed."""

from __future__ import annotations

import asyncio

import psycopg

from pgqueue import App, Backoff, Context

app = App()


@app.task(backoff=Backoff(base=0.05, jitter=0))
async def step(context: Context, dsn: str, mark: str, nth: int, fails: int = 0) -> int:
    """Fails in its first attempts, when told so."""
    connection = await psycopg.AsyncConnection.connect(dsn, autocommit=True)
    async with connection:
        cursor = await connection.execute(
            "insert into public.trace (job, mark, nth) values (%s, %s, %s) returning id", (context.job_id, mark, nth)
        )
        row = await cursor.fetchone()
        await asyncio.sleep(0.01)
        await connection.execute("update public.trace set ended_at = clock_timestamp() where id = %s", row)
    if context.attempt <= fails:
        raise ValueError("as it was told")
    return nth
