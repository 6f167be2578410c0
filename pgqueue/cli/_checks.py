"""What `pgqueue doctor` looks at, in the order in which one thing rests on another: what fails at the bottom ends the
examination.
"""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from pgqueue.cli._errors import SCHEMA, UNREACHABLE, CliError, explain
from pgqueue.cli._options import Settings
from pgqueue.cli._output import span
from pgqueue.cli._session import open_connection, resolve
from pgqueue.errors import PgQueueError
from pgqueue.models import HealthItem

if TYPE_CHECKING:
    import psycopg

    from pgqueue import Client

OLDEST_SERVER = 15
TOLERATED_SKEW = timedelta(seconds=1)
ECHO_DEADLINE = 2.0


@dataclass
class Examination:
    """One run of all checks; `code` is the exit code when something at the bottom failed, else 0."""

    settings: Settings
    code: int = 0
    _dsn: str = field(default="", init=False)

    def items(self) -> Iterator[HealthItem]:
        """Look, and tell as soon as something is known."""
        yield _program()
        connection, item = self._connect()
        yield item
        if connection is None:
            return
        with connection:
            yield _server(connection)
            yield _clock(connection)
            yield self._listener(connection)
            schema = _schema(connection, self.settings.schema)
            yield schema
            if not schema.ok:
                self.code = SCHEMA
                return
            from pgqueue import Client

            with Client(connection=connection, schema=self.settings.schema) as client:
                yield from _guarded("health", lambda: _health(client))
                yield from _guarded("served", lambda: [_served(client)])

    def _connect(self) -> tuple[psycopg.Connection[Any] | None, HealthItem]:
        try:
            found = resolve(self.settings)
            self._dsn = found.dsn
            started = time.monotonic()
            connection = open_connection(found.dsn, application_name="pgqueue doctor")
        except (CliError, PgQueueError) as error:
            told = error if isinstance(error, CliError) else CliError(error.message, error.hint, UNREACHABLE)
            self.code = told.exit_code
            return None, HealthItem("connection", False, told.message, told.hint)
        took = time.monotonic() - started
        info = connection.info
        where = f"{info.user}@{info.host or 'socket'}:{info.port}/{info.dbname}"
        return connection, HealthItem(
            "connection", True, f"{where}, named by {found.source}, connected in {span(took)}", None
        )

    def _listener(self, connection: psycopg.Connection[Any]) -> HealthItem:
        """Send a notification from a second connection and wait for its echo."""
        channel = f"{self.settings.schema}_doctor_{os.getpid()}"
        connection.execute(f"listen {channel}".encode())
        try:
            with open_connection(self._dsn, application_name="pgqueue doctor") as second:
                started = time.monotonic()
                second.execute("select pg_catalog.pg_notify(%(channel)s, '')", {"channel": channel})
            heard = next(
                (
                    time.monotonic() - started
                    for n in connection.notifies(timeout=ECHO_DEADLINE, stop_after=1)
                    if n.channel == channel
                ),
                None,
            )
        finally:
            connection.execute(f"unlisten {channel}".encode())
        if heard is not None:
            return HealthItem("listener", True, f"a notification came back in {span(heard)}", None)
        return HealthItem(
            "listener",
            False,
            f"a notification was not heard within {span(ECHO_DEADLINE)}"
            + (", and this looks like a pooler" if _pooled(connection) else ""),
            "Nothing is lost: workers poll. For quick starts give them a direct way: pgqueue worker --listen-dsn DSN.",
        )


def own_version() -> str:
    """The version of the installed distribution; a source tree on the path has none."""
    try:
        return version("pgqueue-sql")
    except PackageNotFoundError:
        return "(from a source tree)"


def _program() -> HealthItem:
    import psycopg

    own = own_version()
    driver = f"psycopg {psycopg.__version__} ({psycopg.pq.__impl__}, libpq {psycopg.pq.version() // 10000})"
    return HealthItem("program", True, f"pgqueue {own}, Python {platform.python_version()}, {driver}", None)


def _server(connection: psycopg.Connection[Any]) -> HealthItem:
    number = connection.info.server_version
    name = connection.info.parameter_status("server_version") or str(number // 10000)
    encoding = connection.info.parameter_status("server_encoding")
    if number // 10000 < OLDEST_SERVER:
        return HealthItem("server", False, f"PostgreSQL {name}", f"pgqueue needs PostgreSQL {OLDEST_SERVER} or newer.")
    if encoding != "UTF8":
        return HealthItem(
            "server", False, f"PostgreSQL {name}, database in {encoding}", "Use a database whose encoding is UTF8."
        )
    return HealthItem("server", True, f"PostgreSQL {name}", None)


def _clock(connection: psycopg.Connection[Any]) -> HealthItem:
    """Compare clocks over the quickest of a few round trips; its half is the error of the comparison."""
    best: tuple[timedelta, timedelta] | None = None
    for _ in range(5):
        before = datetime.now(UTC)
        row = connection.execute("select pg_catalog.clock_timestamp()").fetchone()
        after = datetime.now(UTC)
        assert row is not None
        trip = after - before
        if best is None or trip < best[0]:
            best = trip, row[0] - (before + trip / 2)
    assert best is not None
    trip, skew = best
    side = "ahead" if skew > timedelta(0) else "behind"
    detail = f"the server's clock is {span(abs(skew))} {side}, round trip {trip / timedelta(milliseconds=1):.1f}ms"
    if abs(skew) - trip / 2 <= TOLERATED_SKEW:
        return HealthItem("clock", True, detail, None)
    return HealthItem(
        "clock",
        False,
        detail,
        "pgqueue goes by the server's clock alone; run_at computed here will be off. Run NTP on both machines.",
    )


def _schema(connection: psycopg.Connection[Any], schema: str) -> HealthItem:
    from pgqueue.schema import check

    try:
        status = check(connection, schema)
    except PgQueueError as error:
        return HealthItem("schema", False, error.message, error.hint)
    if status.ok:
        return HealthItem("schema", True, f"{status.schema}, revision {status.installed}", None)
    found = "is not installed" if status.installed is None else f"is at revision {status.installed}"
    return HealthItem("schema", False, f"{status.schema} {found}; this program needs {status.expected}", status.fix)


def _guarded(item: str, look: Any) -> Iterator[HealthItem]:
    """A check that may not be allowed to this role is a finding, not the end of the examination."""
    try:
        yield from look()
    except Exception as error:
        told = explain(error)
        if told is None:
            raise
        yield HealthItem(item, False, told.message, told.hint)


def _health(client: Client) -> Iterator[HealthItem]:
    """The server's half. Its version has been looked at already, and what is well needs no fix."""
    for item in client.health():
        if item.item != "server":
            yield replace(item, fix=None) if item.ok else item


def _served(client: Client) -> HealthItem:
    """Whether every queue with waiting jobs has a living worker."""
    served = {name for worker in client.workers() if not worker.lost for name in worker.queues}
    waiting = [q for q in client.queues() if q.queued and not q.paused and q.queue not in served]
    if not waiting:
        return HealthItem("served", True, "every queue with waiting jobs has a worker", None)
    named = ", ".join(f"{q.queue} ({q.queued} waiting)" for q in waiting[:5]) + (", …" if len(waiting) > 5 else "")
    return HealthItem(
        "served",
        False,
        f"no worker takes jobs from {named}",
        f"Start one: pgqueue worker module:app -q {waiting[0].queue}",
    )


def _pooled(connection: psycopg.Connection[Any]) -> bool:
    """A pooler invents the process id it greets with."""
    row = connection.execute("select pg_catalog.pg_backend_pid()").fetchone()
    return row is not None and row[0] != connection.info.backend_pid
