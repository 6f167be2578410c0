"""Scripts and queries seen from a connection of the test's own, and a worker that runs nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Self

from pgqueue import App
from tests.support.cluster import Database
from tests.worker.harness import DEADLINE, Inside, Process, until

__all__ = ["QUEUES", "SqlJobs", "took", "worker", "worker_process"]

QUEUES = ["scripts", "queries"]
FINAL = ("succeeded", "failed", "cancelled")


def worker(dsn: str, app: App | None = None, **settings: Any) -> Inside:
    """In a thread of this process."""
    return Inside(app or App(), dsn, **{"queues": QUEUES, **settings})


def worker_process(dsn: str, **settings: Any) -> Process:
    """In a process of its own, to be killed."""
    return Process(dsn, app="tests.worker.sqljobs:empty", **{"queues": QUEUES, **settings})


empty = App()


def took(unit: dict[str, Any]) -> float:
    """Seconds between the two times of a report, which are the server's."""
    began, ended = (datetime.fromisoformat(unit[key]) for key in ("started_at", "ended_at"))
    return (ended - began).total_seconds()


class SqlJobs:
    """Calls of the functions of scripts and queries; arguments as in SQL."""

    def __init__(self, database: Database) -> None:
        self.dsn = database.dsn
        self.connect = database.connect
        self.connection = database.connect()

    def cleared(self) -> Self:
        self.run("drop schema public cascade; create schema public; grant usage on schema public to public")
        self.run("create table seen (n serial, what text)")
        return self

    def value(self, query: str, *args: Any) -> Any:
        row = self.connection.execute(query.encode(), args or None).fetchone()
        assert row is not None
        return row[0]

    def values(self, query: str) -> list[Any]:
        """The first column."""
        return [row[0] for row in self.connection.execute(query.encode()).fetchall()]

    def run(self, query: str) -> None:
        self.connection.execute(query.encode())

    def _submit(self, function: str, first: str, options: dict[str, Any]) -> int:
        options = {
            key: json.dumps(value) if isinstance(value, dict | list) else value for key, value in options.items()
        }
        named = "".join(f', "{key}" => %({key})s' for key in options)
        row = self.connection.execute(
            f"select id from pgqueue.{function}(%(first)s{named})".encode(), {"first": first, **options}
        ).fetchone()
        assert row is not None
        return int(row[0])

    # -- scripts ----------------------------------------------------------------------------------------------------

    def script(self, document: Any, **options: Any) -> int:
        return self._submit("submit_script", json.dumps(document), options)

    def report(self, id: int) -> dict[str, Any]:
        return dict(self.value("select pgqueue.script_report(%s)", id))

    def ended(self, id: int, seconds: float = DEADLINE) -> dict[str, Any]:
        """The report, when all of the script is over."""

        def over() -> bool:
            report = self.report(id)
            return report["status"] in FINAL and report.get("fallback_status", "skipped") in (*FINAL, "skipped")

        until(over, f"script {id} to end, it is {self.report(id)}", seconds)
        return self.report(id)

    def running(self, id: int, query: int = 0, key: str = "status") -> None:
        """Returns when that query of the script runs, on its server."""
        until(lambda: self.report(id)["queries"][query].get(key) == "running", f"script {id} to run")
        self.active(f"pgqueue script {id}")

    def active(self, name: str) -> int:
        """The process id of the session of that name, when it runs what it is to run."""
        found = (
            "select max(pid) from pg_stat_activity where application_name = %s and state = 'active' "
            "and query not like '%%pg_stat_get_activity%%' and query not like '%%set_config%%'"
        )
        return int(until(lambda: self.value(found, name), f"{name} to be active"))

    def sessions(self, name: str) -> int:
        """How many sessions have this name."""
        return int(self.value("select count(*) from pg_stat_activity where application_name = %s", name))

    # -- queries ----------------------------------------------------------------------------------------------------

    def query(self, sql: str, **options: Any) -> int:
        return self._submit("submit_query", sql, options)

    def status(self, id: int) -> dict[str, Any]:
        return dict(self.value("select to_jsonb(s) from pgqueue.query_status(%s) s", id))

    def done(self, id: int, seconds: float = DEADLINE) -> dict[str, Any]:
        """The status, when the query is final."""
        until(lambda: self.status(id)["state"] in FINAL, f"query {id} to end, it is {self.status(id)}", seconds)
        return self.status(id)

    def chunk(self, id: int, n: int) -> dict[str, Any]:
        return dict(self.value("select to_jsonb(b) from pgqueue.query_batch(%s, %s, 'text') b", id, n))

    def text(self, id: int) -> str:
        """All of a finished result, as COPY's lines."""
        return "".join(self.chunk(id, n)["data"] for n in range(self.status(id)["batches"]))
