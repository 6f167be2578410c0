"""An App with schedules, for worker processes under test."""

from __future__ import annotations

from pgqueue import App, Context

__all__ = ["app"]

app = App()


@app.cron("every 1 second", missed="all")
@app.task
async def tick(context: Context) -> str:
    """What the job was told of its schedule."""
    headers = context.headers or {}
    return f"{headers['schedule']} {headers['tick']}"


@app.cron("61 * * * *", name="bad")
@app.task
async def never() -> None:
    return None
