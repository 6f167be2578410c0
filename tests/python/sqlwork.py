"""A worker for queries and scripts that does one step at a time, so that tests decide what happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.pq import Format

from pgqueue import Client
from pgqueue.models import ClaimedJob, QueryVerdict
from tests.support.cluster import Database

__all__ = ["Run", "SqlWorker"]


@dataclass
class Run:
    """A query that has been begun; `session` is its own connection, on which it is done."""

    client: Client
    job: ClaimedJob
    session: psycopg.Connection[Any]
    sql: str
    max_rows: int | None
    chunks: int = 0

    def put(self, *lines: str) -> None:
        """Stores a chunk of lines."""
        self.client.query_put(
            self.job.lease, self.job.id, self.chunks, len(lines), "".join(f"{line}\n" for line in lines)
        )
        self.chunks += 1

    def copy(self, rows: int) -> None:
        """Does the query, and stores its result in chunks of so many rows."""
        with self.session.cursor() as cursor, cursor.copy(f"copy ({self.sql}\n) to stdout".encode()) as copy:
            lines = [bytes(line).decode().removesuffix("\n") for line in copy]
        for start in range(0, len(lines), rows):
            self.put(*lines[start : start + rows])

    def end(self, command: str | None = "SELECT", error: dict[str, Any] | None = None) -> QueryVerdict:
        """Ends the run and settles the job."""
        verdict = self.client.query_end(self.job.lease, self.job.id, command, error)
        self.settle(verdict.verdict)
        return verdict

    def settle(self, outcome: str) -> None:
        assert not self.client.settle([self.job.lease], [self.job.id], [outcome])


class SqlWorker:
    """Registered for the queues of queries and scripts."""

    def __init__(self, pg: Database) -> None:
        self.pg = pg
        self.client = Client(connection=pg.connect())
        self.worker = self.client.register_worker("by hand", ["queries", "scripts"], 10)

    def claim(self, queue: str = "queries") -> ClaimedJob:
        (job,) = self.client.claim(self.worker, [queue], 1)
        return job

    def begin(self) -> Run:
        """Claims a query and begins it on a connection of its own."""
        job = self.claim()
        session = self.pg.connect()
        started = session.execute("select backend_start from pg_stat_activity where pid = pg_backend_pid()").fetchone()
        assert started is not None
        orders = self.client.query_begin(job.lease, job.id, session.info.backend_pid, started[0])
        assert orders.sql is not None, orders
        described = self._describe(session, orders.sql)
        plan = self.client.query_describe(job.lease, job.id, *described)
        return Run(self.client, job, session, plan.sql, orders.max_rows)

    def lose(self) -> None:
        """What this worker holds goes back, as if it had crashed, and it registers anew."""
        self.client.deregister_worker(self.worker)
        self.worker = self.client.register_worker("by hand again", ["queries", "scripts"], 10)

    def run(self, rows: int = 1000) -> Run:
        """Does the next query from beginning to end."""
        run = self.begin()
        run.copy(rows)
        run.end()
        return run

    def _describe(self, session: psycopg.Connection[Any], sql: str) -> tuple[list[dict[str, Any]], Sequence[str]]:
        session.pgconn.prepare(b"", sql.encode())
        found = session.pgconn.describe_prepared(b"")
        names = {
            oid: session.execute("select format_type(%s, %s)", (oid, modifier)).fetchone()
            for oid, modifier in [
                *((found.ftype(n), found.fmod(n)) for n in range(found.nfields)),
                *((found.param_type(n), -1) for n in range(found.nparams)),
            ]
        }
        columns = [
            {
                "name": (found.fname(n) or b"").decode(),
                "type": names[found.ftype(n)][0],  # type: ignore[index]
                "oid": found.ftype(n),
            }
            for n in range(found.nfields)
        ]
        assert all(found.fformat(n) == Format.TEXT for n in range(found.nfields))
        return columns, [names[found.param_type(n)][0] for n in range(found.nparams)]  # type: ignore[index]
