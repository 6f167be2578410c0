"""A cancel ends the statement of the session that was recorded, in this database, and never another one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, wait_until
from tests.sql.test_batch_locks import Started

Session = Callable[[], Caller]


class Run:
    """A session in which a statement goes on for long, as a worker's would."""

    def __init__(self, q: Caller, session: Caller) -> None:
        self.pid, self.start = session.sql(
            "select pid, backend_start from pg_stat_activity where pid = pg_backend_pid()"
        )[0]
        self.ended: str | None = None
        self._q = q
        self._session = session
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        wait_until(lambda: self.state == "active", "the statement runs")

    def _run(self) -> None:
        try:
            self._session.sql("select pg_sleep(600)")
        except psycopg.Error as error:
            self.ended = error.sqlstate

    @property
    def state(self) -> str:
        return str(
            self._q.sql(
                """select coalesce(
                     (select state from pg_stat_activity where pid = %s and wait_event = 'PgSleep'), 'gone')""",
                self.pid,
            )[0][0]
        )

    def finish(self) -> None:
        self._q.sql("select pg_cancel_backend(%s)", self.pid)
        self._thread.join()


def started(q: Caller, room: str, run: Run, **more: Any) -> int:
    if room == "script":
        job = int(q.value("submit_script", document=Jsonb("select pg_sleep(600)"), owner="A", **more))
    else:
        job = int(q.one("submit_query", sql="select pg_sleep(600)", owner="A", **more)["id"])
    (taken,) = q.claim(q.worker("scripts", "queries"), queues=["scripts", "queries"])
    backend = {"backend_pid": run.pid, "backend_start": run.start}
    q(f"{room}_begin", lease=taken["lease"], job=job, **backend)
    return job


@pytest.mark.parametrize("room", ["script", "query"])
@pytest.mark.parametrize("how", ["cancel", "cancel of the room"])
def test_the_statement_is_over_when_the_cancel_returns(q: Caller, session: Session, room: str, how: str) -> None:
    run = Run(q, session())
    job = started(q, room, run)
    q("cancel" if how == "cancel" else f"cancel_{room}", id=job)
    assert run.state == "gone"
    run.finish()
    assert run.ended == "57014"


@pytest.mark.parametrize("other", ["a later session with the same number", "another data source", "a run that ended"])
def test_another_statement_goes_on(q: Caller, session: Session, other: str) -> None:
    run = Run(q, session())
    more = {"datasource": "elsewhere"} if other == "another data source" else {}
    script = started(q, "script", run, **more)
    if other == "a later session with the same number":
        q.sql("update pgqueue.backend set backend_start = backend_start - interval '1 microsecond'")
    elif other == "a run that ended":
        ((lease,),) = q.sql("select id from pgqueue.lease")
        q.sql(
            """update pgqueue.script
               set length = 2, document = jsonb_set(document, '{queries,1}', '{"query": "select 1"}')"""
        )
        assert q.one("script_end", lease=lease, job=script)["verdict"] == "release"
    q("cancel_script", id=script)
    assert run.state == "active"
    run.finish()


def test_who_may_not_signal_leaves_it_to_the_worker(q: Caller, session: Session) -> None:
    """The functions belong to a role without the right to: the cancel is taken all the same."""
    run = Run(q, session())
    script = started(q, "script", run)
    role = f"{q.connection.info.dbname}_plain"
    q.sql(f"create role {role}")
    try:
        q.sql(f"grant usage on schema pgqueue to {role}")
        q.sql(f"grant all on all tables in schema pgqueue to {role}")
        q.sql(f"grant all on all sequences in schema pgqueue to {role}")
        q.sql(f"grant execute on all functions in schema pgqueue to {role}")
        q.sql(f"grant pg_read_all_stats to {role}")
        q.sql(f"alter function pgqueue.cancel_script owner to {role}")
        q.sql(f"alter function pgqueue.cancel owner to {role}")
        assert q.value("cancel_script", id=script)["status"] == "cancelled"
        assert run.state == "active"
    finally:
        run.finish()
        q.sql("alter function pgqueue.cancel_script owner to current_user")
        q.sql("alter function pgqueue.cancel owner to current_user")
        q.sql(f"drop owned by {role}")
        q.sql(f"drop role {role}")


def test_a_settle_and_a_cancel_of_one_script(q: Caller, session: Session) -> None:
    """A worker that stops gives the script back, while somebody cancels it: one waits for the other, not both."""
    script = int(q.value("submit_script", document=Jsonb("select 1"), owner="A"))
    (taken,) = q.claim(q.worker("scripts"), queues=["scripts"])
    q("script_begin", lease=taken["lease"], job=script, backend_pid=1, backend_start="2026-01-01")
    with (holder := session()).connection.transaction():
        holder.sql("select from pgqueue.backend where job_id = %s for update", script)
        settle = Started(session(), lambda s: s.settle([taken], "discard")).waits(q)
        cancel = Started(session(), lambda s: s("cancel", id=script)).waits(q)
    assert [call.ended().error for call in (settle, cancel)] == [None, None]
    assert q.value("script_report", id=script)["status"] == "failed"
