"""Who cancels and moves scripts and queries beside others who do: all lock in one order, so none of them deadlock."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.sql.calls import Caller, blocked, wait_until
from tests.sql.support import pid
from tests.sql.test_sql_flow import submit

Session = Callable[[], Caller]


@pytest.mark.parametrize("place", ["arrival", "line", "running"])
def test_who_cancels_a_script_by_its_job_locks_it_first(q: Caller, session: Session, place: str) -> None:
    """As cancel_script and a move do: whoever has the script wants its place, or its row in cancel_request, next."""
    script = submit(q, "script")
    if place == "line":  # the owner's other one has the turn
        q.claim(q.worker("scripts"), 1, ["scripts"])
        script = submit(q, "script")
        q.claim(q.worker("scripts"), 1, ["scripts"])
    elif place == "running":
        q.claim(q.worker("scripts"), 1, ["scripts"])
    other, user = session(), session()
    waits = threading.Thread(target=lambda: user("cancel", id=script))
    with other.connection.transaction():
        other.sql("select from pgqueue.script where job_id = %s for update", script)
        waits.start()
        wait_until(lambda: blocked(q, pid(user)), "the other session to wait")
        other.sql("set local lock_timeout = '100ms'")
        if place == "running":
            other.sql("insert into pgqueue.cancel_request (job_id, requested_at) values (%s, now())", script)
            other.sql("delete from pgqueue.cancel_request where job_id = %s", script)
        else:
            found = other.sql(f"select job_id from pgqueue.{place} where job_id = %s for update", script)
            assert found == [(script,)]
    waits.join(20)
    assert q.value("script_report", id=script)["status"] == "cancelled"


def test_who_cancels_a_query_takes_its_key_last(q: Caller, session: Session) -> None:
    """As a cancel by its job does, which has its row in cancel_request when it wants the key."""
    query = submit(q, "query")
    q.claim(q.worker("queries"), 1, ["queries"])
    other, user = session(), session()
    waits = threading.Thread(target=lambda: user("cancel_query", id=query))
    with other.connection.transaction(force_rollback=True):
        other.sql("insert into pgqueue.cancel_request (job_id, requested_at) values (%s, now())", query)
        waits.start()
        wait_until(lambda: blocked(q, pid(user)), "the other session to wait")
        assert other.sql("select job_id from pgqueue.job_key where job_id = %s for update nowait", query) == [(query,)]
    waits.join(20)
    assert q.sql("select from pgqueue.job_key") == []
    assert q.sql("select job_id from pgqueue.cancel_request") == [(query,)]
