"""An App whose tasks stand between scripts and queries, for worker processes."""

from __future__ import annotations

from typing import Any

from pgqueue import App, Client, Context

app = App()


@app.task
def read(context: Context, dsn: str) -> list[list[Any]]:
    """The rows of the query it waited for."""
    (query,) = context.parents()
    with Client(dsn) as client:
        return [list(row) for row in client.query_handle(query.id)]


@app.task
def told(what: Any) -> Any:
    return what
