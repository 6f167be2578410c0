"""Queries in SQL: sharing, chunks, expiry, the audit trail. The worker's part is played here; no server is asked."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row, blocked, wait_until
from tests.sql.support import contents, refused

Session = Callable[[], Caller]
COLUMNS = [{"name": "n", "type": "integer", "oid": 23}, {"name": "t", "type": "text", "oid": 25}]


def submit(q: Caller, sql: str = "select 1", owner: str = "A", **more: Any) -> tuple[int, bool, bool]:
    more = {name: Jsonb(value) if isinstance(value, list | dict) else value for name, value in more.items()}
    row = q.one("submit_query", sql=sql, owner=owner, **more)
    return row["id"], row["created"], row["reused"]


def claim(q: Caller, worker: int | None = None) -> Row:
    (job,) = q.claim(q.worker("queries") if worker is None else worker, 1, ["queries"])
    return job


def begin(q: Caller, job: Row) -> Row:
    return q.one("query_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01")


def describe(q: Caller, job: Row, columns: list[dict[str, Any]] = COLUMNS, types: list[str] | None = None) -> Row:
    return q.one("query_describe", lease=job["lease"], job=job["id"], columns=Jsonb(columns), param_types=types or [])


def put(q: Caller, job: Row, n: int, data: str) -> bool:
    rows = data.count("\n")
    return bool(q.value("query_put", lease=job["lease"], job=job["id"], n=n, row_count=rows, data=data))


def end(q: Caller, job: Row, error: dict[str, Any] | None = None, command: str = "SELECT") -> str:
    row = q.one("query_end", lease=job["lease"], job=job["id"], command=command, error=error)
    result = {} if row["result"] is None else {"result": row["result"]}
    assert q.settle([job], row["verdict"], **({"error": row["failure"]} if row["failure"] else result)) == []
    return str(row["verdict"])


def run(q: Caller, *chunks: str, types: list[str] | None = None) -> int:
    """The next query, with these chunks as its result."""
    job = claim(q)
    begin(q, job)
    describe(q, job, types=types)
    for n, chunk in enumerate(chunks):
        put(q, job, n, chunk)
    assert end(q, job) == "succeeded"
    return int(job["id"])


def status(q: Caller, query: int) -> Row:
    return q.one("query_status", id=query)


# Sharing


def test_the_same_query_runs_once(q: Caller) -> None:
    first = submit(q, params=[1, "x"])
    assert first[1:] == (True, False)
    assert submit(q, params=[1, "x"], owner="B") == (first[0], False, False)
    job = claim(q)
    assert submit(q, params=[1, "x"]) == (first[0], False, False), "running, and still the same"
    begin(q, job)
    end(q, job)
    assert submit(q, params=[1, "x"])[1:] == (True, False), "it was live no more"


@pytest.mark.parametrize(
    "other",
    [
        *({"sql": "select 1 "}, {"params": [1]}, {"datasource": "d"}, {"role": "r"}, {"settings": {"work_mem": "1MB"}}),
        *({"read_only": True}, {"unique": False}),
    ],
)
def test_what_differs_runs_by_itself(q: Caller, other: dict[str, Any]) -> None:
    first = submit(q)
    if "unique" in other:
        again = q.sql(
            """select id, created, reused from pgqueue.submit_query('select 1', owner => 'A', "unique" => false)"""
        )[0]
    else:
        again = submit(q, **other)
    assert again[0] != first[0]
    assert again[1:] == (True, False)


@pytest.mark.parametrize(
    "other", [{"owner": "B"}, {"queue": "elsewhere"}, {"params": []}, {"settings": {}}, {"timeout": "1 s"}]
)
def test_what_does_not_matter_is_shared(q: Caller, other: dict[str, Any]) -> None:
    first = submit(q)
    assert submit(q, **other) == (first[0], False, False)


def test_twenty_at_once_are_one(q: Caller, session: Session) -> None:
    barrier = threading.Barrier(20)
    made: list[tuple[int, bool, bool]] = []

    def one(own: Caller) -> None:
        barrier.wait()
        made.append(submit(own))

    threads = [threading.Thread(target=one, args=[session()]) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({query for query, _, _ in made}) == 1
    assert sorted(created for _, created, _ in made) == [False] * 19 + [True]
    assert q.sql("select count(*) from pgqueue.job") == [(1,)]
    assert q.sql("select count(*) from pgqueue.query_caller") == [(20,)]
    run(q)
    assert q.places() == {}


@pytest.mark.parametrize("commits", [True, False])
def test_a_submit_waits_for_the_same_one_that_is_open(q: Caller, session: Session, commits: bool) -> None:
    holder, waiting = session(), session()
    made: list[tuple[int, bool, bool]] = []
    with holder.connection.transaction(force_rollback=not commits):
        first = submit(holder)
        assert submit(q, "select 2")[1], "another one waits for nobody"
        thread = threading.Thread(target=lambda: made.append(submit(waiting)))
        thread.start()
        wait_until(lambda: blocked(q, waiting.connection.info.backend_pid), "the second waits for the first")
    thread.join()
    assert made[0][1] is not commits
    assert (made[0][0] == first[0]) is commits


def test_a_fresh_result_is_used_again(q: Caller) -> None:
    q.clock("2026-01-01 12:00:00+00")
    first = submit(q)[0]
    run(q, "1\ta\n")
    q.clock("2026-01-01 12:01:00+00")
    assert submit(q, max_age="61 seconds", owner="B") == (first, False, True)
    assert q.one("query_batch", id=first, n=0, as_owner="B")["row_count"] == 1
    assert submit(q, max_age="61 seconds", owner="B") == (first, False, True)
    assert q.sql("select count(*) from pgqueue.query_caller") == [(2,)], "asking again leaves nothing more"
    assert submit(q, max_age="59 seconds")[1:] == (True, False)
    run(q)
    q.clock("2026-01-01 14:00:00+00")
    assert submit(q, max_age="1 day")[1:] == (True, False), "the result has expired"


@pytest.mark.parametrize("outcome", ["failed", "cancelled"])
def test_what_failed_is_no_fresh_result(q: Caller, outcome: str) -> None:
    query = submit(q)[0]
    if outcome == "failed":
        job = claim(q)
        begin(q, job)
        end(q, job, {"message": "no", "sqlstate": "42P01"})
    else:
        q("cancel_query", id=query)
    assert status(q, query)["state"] == outcome
    assert submit(q, max_age="1 day")[1:] == (True, False)


def test_the_last_caller_to_leave_cancels(q: Caller) -> None:
    query = submit(q)[0]
    for owner in "ABB":
        submit(q, owner=owner)
    left = [q.one("cancel_query", id=query, as_owner=owner) for owner in "ABBA"]
    assert [(row["state"], row["changed"], row["others"]) for row in left] == [
        *(("queued", True, 3), ("queued", True, 2), ("queued", True, 1), ("cancelled", True, 0)),
    ]
    assert q.one("cancel_query", id=query, as_owner="A") == {"state": "cancelled", "changed": False, "others": 0}
    with refused(q, "PQ002"):
        q("cancel_query", id=query, as_owner="C")
    assert submit(q)[1:] == (True, False)


def test_leaving_twice_counts_once(q: Caller) -> None:
    query = submit(q)[0]
    submit(q, owner="B")
    assert q.one("cancel_query", id=query, as_owner="A")["others"] == 1
    assert q.one("cancel_query", id=query, as_owner="A") == {"state": "queued", "changed": False, "others": 1}
    assert status(q, query)["state"] == "queued"


def test_a_run_that_is_being_cancelled_is_joined_by_nobody(q: Caller) -> None:
    query = submit(q)[0]
    job = claim(q)
    begin(q, job)
    assert q.one("cancel_query", id=query, as_owner="A")["state"] == "running"
    assert put(q, job, 0, "1\ta\n"), "the worker is told"
    again = submit(q)
    assert again[1:] == (True, False)
    assert end(q, job) == "cancelled", "though it came to its end"
    assert status(q, query)["reason"] == "cancelled_by_user"
    assert status(q, again[0])["state"] == "queued"
    assert q.one("query_begin", **lease(claim(q)))["run"] == 1


def lease(job: Row) -> dict[str, Any]:
    return {"lease": job["lease"], "job": job["id"], "backend_pid": 1, "backend_start": "2026-01-01"}


def test_who_joins_and_who_leaves_meet(q: Caller, session: Session) -> None:
    """A caller whose transaction is still open counts: the one who leaves waits for it."""
    query = submit(q)[0]
    holder, leaving = session(), session()
    answer: list[Row] = []
    with holder.connection.transaction():
        assert submit(holder, owner="B")[0] == query
        thread = threading.Thread(target=lambda: answer.append(leaving.one("cancel_query", id=query, as_owner="A")))
        thread.start()
        wait_until(lambda: blocked(q, leaving.connection.info.backend_pid), "who leaves waits for who joins")
        run(q)  # the worker waits for neither
    thread.join()
    assert (answer[0]["others"], status(q, query)["state"]) == (1, "succeeded")


# The result


def test_chunks_while_it_runs_and_after(q: Caller) -> None:
    query = submit(q)[0]
    none = q.one("query_batch", id=query, n=0)
    assert (none["state"], none["data"], none["is_last"]) == ("queued", None, False)
    with refused(q, "PQ005"):
        q("query_columns", id=query)
    job = claim(q)
    begin(q, job)
    assert describe(q, job)["mode"] == "copy"
    assert [row["name"] for row in q("query_columns", id=query)] == ["n", "t"]
    put(q, job, 0, "1\ta\n2\tb\n")
    first = q.one("query_batch", id=query, n=0, format="arrays")
    assert (first["row_count"], first["is_last"], json.loads(first["data"])) == (2, False, [[1, "a"], [2, "b"]])
    put(q, job, 1, "3\t\\N\n")
    assert (status(q, query)["row_count"], status(q, query)["batches"], status(q, query)["byte_count"]) == (3, 2, 13)
    end(q, job, command="SELECT 3")
    for _ in range(2):
        batches = [q.one("query_batch", id=query, n=n) for n in range(3)]
        assert [json.loads(row["data"]) for row in batches] == [
            [{"n": 1, "t": "a"}, {"n": 2, "t": "b"}],
            [{"n": 3, "t": None}],
            [],
        ]
        assert [row["is_last"] for row in batches] == [False, True, True]
    assert q.one("result", id=query)["result"] == {"rows": 3, "bytes": 13, "batches": 2, "command": "SELECT 3"}


def test_no_rows_have_columns(q: Caller) -> None:
    query = submit(q)[0]
    run(q)
    assert [row["type"] for row in q("query_columns", id=query)] == ["integer", "text"]
    batch = q.one("query_batch", id=query, n=0)
    assert (batch["data"], batch["row_count"], batch["is_last"]) == ("[]", 0, True)
    assert q.one("query_batch", id=query, n=0, format="csv")["data"] == ""


VALUES = [
    "plain",
    "",
    None,
    "tab\there",
    "line\nbreak",
    "back\\slash",
    "\\N",
    'quo"te',
    "a,b",
    "\r\b\f\v",
    "é\U0001f600",
    "\\t",
    "\\\\n",
]


def copied(value: str | None) -> str:
    """As COPY writes a text."""
    if value is None:
        return "\\N"
    for raw, escaped in zip("\\\b\f\n\r\t\v", ["\\\\", "\\b", "\\f", "\\n", "\\r", "\\t", "\\v"], strict=True):
        value = value.replace(raw, escaped)
    return value


def test_every_form_gives_the_values_back(q: Caller) -> None:
    query = submit(q)[0]
    chunk = "".join(f"{n}\t{copied(value)}\n" for n, value in enumerate(VALUES))
    with psycopg.connect(q.connection.info.dsn, password="") as own, own.cursor() as cursor:
        cursor.execute("create temp table t (n int, t text)")
        with cursor.copy("copy t from stdin") as copy:
            copy.write(chunk)
        assert [value for (value,) in cursor.execute("select t from t order by n")] == VALUES, (
            "the test's own COPY text"
        )
    run(q, chunk)
    forms = {
        name: q.one("query_batch", id=query, n=0, format=name)["data"] for name in ("json", "arrays", "csv", "text")
    }
    assert json.loads(forms["json"]) == [{"n": n, "t": value} for n, value in enumerate(VALUES)]
    assert json.loads(forms["arrays"]) == [[n, value] for n, value in enumerate(VALUES)]
    assert list(csv.reader(io.StringIO(forms["csv"], newline=""))) == [
        [str(n), value or ""] for n, value in enumerate(VALUES)
    ]
    assert forms["text"] == chunk


def test_json_has_numbers_booleans_and_documents(q: Caller) -> None:
    query = submit(q)[0]
    kinds = {
        "smallint": 21,
        "bigint": 20,
        "numeric": 1700,
        "double precision": 701,
        "boolean": 16,
        "jsonb": 3802,
        "date": 1082,
    }
    job = claim(q)
    begin(q, job)
    describe(q, job, [{"name": name, "type": name, "oid": oid} for name, oid in kinds.items()])
    put(
        q,
        job,
        0,
        '1\t9007199254740993\t1.50\t1e+20\tt\t{"a": [1, "\\\\n"]}\t2026-01-01\n'
        "\\N\t\\N\tNaN\t-Infinity\tf\tnull\t\\N\n",
    )
    end(q, job)
    one, two = json.loads(q.one("query_batch", id=query, n=0, format="arrays")["data"])
    assert one == [1, 9007199254740993, 1.5, 1e20, True, {"a": [1, "\n"]}, "2026-01-01"]
    assert two == [None, None, "NaN", "-Infinity", False, None, None]


def test_json_has_arrays(q: Caller) -> None:
    query = submit(q)[0]
    kinds = {"integer[]": 1007, "text[]": 1009, "boolean[]": 1000, "double precision[]": 1022, "inet[]": 1041}
    job = claim(q)
    begin(q, job)
    describe(q, job, [{"name": name, "type": name, "oid": oid} for name, oid in kinds.items()])
    put(q, job, 0, '{1,NULL,{}}\t{a,"b,c",NULL,"x\\\\"y"}\t{t,f}\t{1.5,NaN}\t{::1}\n'.replace(",{}", ""))
    end(q, job)
    (row,) = json.loads(q.one("query_batch", id=query, n=0, format="arrays")["data"])
    assert row == [[1, None], ["a", "b,c", None, 'x"y'], [True, False], [1.5, "NaN"], "{::1}"]


def test_a_result_without_columns_in_it_has_rows(q: Caller) -> None:
    query = submit(q, "select from x")[0]
    job = claim(q)
    begin(q, job)
    assert describe(q, job, [])["mode"] == "command"
    put(q, job, 0, "\n\n")
    end(q, job)
    assert q.one("query_batch", id=query, n=0)["data"] == "[{},{}]"
    assert q.one("query_batch", id=query, n=0, format="csv")["data"] == "\n\n"


@pytest.mark.parametrize(
    ("sql", "mode"),
    [
        *(("select 1", "copy"), (" -- a\n/* b */ (Select 1)", "copy"), ("with a as (select 1) table a", "copy")),
        *(("values (1)", "copy"), ("insert into x values (1) returning *", "copy"), ("explain select 1", "rows")),
        *(("show all", "rows"), ("call p()", "rows"), ("selection", "rows")),
    ],
)
def test_how_a_statement_is_run(q: Caller, sql: str, mode: str) -> None:
    submit(q, sql)
    job = claim(q)
    begin(q, job)
    assert describe(q, job)["mode"] == mode


def test_the_number_of_parameters_must_fit(q: Caller) -> None:
    submit(q, "select $1", params=[1, 2])
    job = claim(q)
    assert begin(q, job)["param_count"] == 2
    with refused(q, "PQ001", "takes 1 parameters and 2 were given"):
        describe(q, job, types=["integer"])


def test_chunks_come_in_order_and_once(q: Caller) -> None:
    query = submit(q)[0]
    job = claim(q)
    with refused(q, "PQ001"):
        put(q, job, 0, "1\ta\n")  # not begun
    begin(q, job)
    put(q, job, 0, "1\ta\n")
    put(q, job, 0, "1\ta\n")  # the answer was lost
    assert status(q, query)["row_count"] == 1
    for n, data in ((0, "2\tb\n"), (2, "1\ta\n")):
        with refused(q, "PQ001", "not the next one"):
            put(q, job, n, data)
    end(q, job)
    with refused(q, "PQ004"):
        put(q, job, 1, "2\tb\n")


def test_a_run_that_is_lost_starts_anew(q: Caller) -> None:
    query = submit(q)[0]
    job = claim(q)
    begin(q, job)
    describe(q, job)
    put(q, job, 0, "1\ta\n")
    q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
    q("maintain", duties=["rescue"])
    again = claim(q)
    orders = begin(q, again)
    assert (orders["run"], orders["old_pid"]) == (2, 1)
    assert (status(q, query)["row_count"], status(q, query)["columns"]) == (0, None)
    for function, more in {
        "query_put": {"n": 0, "row_count": 1, "data": "1\ta\n"},
        "query_end": {},
        "query_describe": {"columns": Jsonb([])},
    }.items():
        with refused(q, "PQ004"):
            q(function, lease=job["lease"], job=query, **more)
    describe(q, again)
    put(q, again, 0, "2\tb\n")
    end(q, again)
    batch = q.one("query_batch", id=query, n=0, format="text")
    assert (batch["data"], batch["run"]) == ("2\tb\n", 2)
    assert q.sql("select count(*) from pgqueue.query_chunk") == [(1,)]


def test_a_failed_query_says_why_whatever_is_asked(q: Caller) -> None:
    query = submit(q)[0]
    job = claim(q)
    begin(q, job)
    put(q, job, 0, "1\ta\n")
    assert end(q, job, {"type": "SqlError", "message": "division by zero", "sqlstate": "22012"}) == "discard"
    for n in (0, 1):
        with refused(q, "PQ005", "division by zero"):
            q("query_batch", id=query, n=n)
    found = status(q, query)
    assert (found["state"], found["reason"], found["error"]["sqlstate"]) == ("failed", "error", "22012")


@pytest.mark.parametrize(
    ("kind", "reason"), [("Timeout", "timeout"), ("ResultTooLarge", "result_too_large"), ("SqlError", "error")]
)
def test_reasons(q: Caller, kind: str, reason: str) -> None:
    query = submit(q)[0]
    job = claim(q)
    begin(q, job)
    end(q, job, {"type": kind, "message": "x"})
    assert status(q, query)["reason"] == reason


def test_a_failure_before_the_begin_is_in_the_audit(q: Caller) -> None:
    query = submit(q)[0]
    assert (
        q.settle([claim(q)], "discard", error={"type": "NoSource", "message": "no data source x", "sqlstate": "08001"})
        == []
    )
    assert q.sql("select outcome, sqlstate, error from pgqueue.query_log where id = %s", query) == [
        ("failed", "08001", "no data source x")
    ]


# Limits and expiry


def test_limits_are_handed_to_the_worker(q: Caller) -> None:
    q("configure", settings={"sql_timeout": "1 hour", "result_max_rows": 10, "result_max_bytes": 20})
    submit(q)
    orders = begin(q, claim(q))
    assert (orders["timeout"], orders["max_rows"], orders["max_bytes"], orders["batch_rows"]) == (
        timedelta(hours=1),
        10,
        20,
        None,
    )
    submit(q, "select 2", timeout="1 minute", max_rows=3, max_bytes=4, batch_rows=5)
    orders = begin(q, claim(q))
    assert (orders["timeout"], orders["max_rows"], orders["max_bytes"], orders["batch_rows"]) == (
        timedelta(minutes=1),
        3,
        4,
        5,
    )
    submit(q, "select 3", timeout="1 day")
    assert begin(q, claim(q))["timeout"] == timedelta(hours=1)


def test_results_expire_and_the_audit_stays(q: Caller) -> None:
    start = datetime(2026, 1, 1, 12, tzinfo=UTC)
    q.clock(start.isoformat())
    query = submit(q, params=["x"], role="r", ttl="10 minutes")[0]
    run(q, "1\ta\n", "2\tb\n", types=["text"])
    assert status(q, query)["expires_at"] == start + timedelta(minutes=10)
    q.clock((start + timedelta(minutes=11)).isoformat())
    with refused(q, "PQ002", "has expired"):
        q("query_batch", id=query, n=0)
    assert {row["duty"]: row["done"] for row in q("maintain")}["results"] == 2
    assert q.sql("select count(*) from pgqueue.query_chunk") == [(0,)]
    assert {row["duty"]: row["done"] for row in q("maintain")}["results"] == 0
    q.clock((start + timedelta(days=89)).isoformat())
    q("maintain")
    assert status(q, query)["state"] == "succeeded", "the status outlives the result"
    assert q.sql(
        "select owner, sql, params, role, row_count, byte_count, outcome, took is not null from pgqueue.query_log"
    ) == [("A", "select 1", ["x"], "r", 2, 8, "succeeded", True)]
    q.clock((start + timedelta(days=91)).isoformat())
    q("maintain")
    assert q.sql("select count(*) from pgqueue.query_log") == [(0,)]
    with refused(q, "PQ002"):
        q("query_status", id=query)


def test_chunks_go_in_bounded_passes(q: Caller) -> None:
    q.clock("2026-01-01")
    submit(q)
    query = run(q)
    q.sql("insert into pgqueue.query_chunk select %s, 1, n, 1, 'x' from generate_series(0, 4999) n", query)
    q.sql("update pgqueue.query_run set kept = true, batches = 5000")
    q.clock("2026-01-02")
    passes = [{row["duty"]: row["done"] for row in q("maintain", duties=["results"])}["results"] for _ in range(4)]
    assert passes == [2000, 2000, 1000, 0]


def test_a_query_can_be_retried(q: Caller) -> None:
    query = submit(q)[0]
    job = claim(q)
    begin(q, job)
    end(q, job, {"message": "x"})
    assert q.one("retry", id=query)["changed"]
    assert (status(q, query)["state"], status(q, query)["error"]) == ("queued", None)
    assert run(q, "1\ta\n") == query
    assert (status(q, query)["state"], status(q, query)["error"]) == ("succeeded", None)


@pytest.mark.parametrize(
    "bad",
    [
        *(
            {"sql": None},
            {"sql": " "},
            {"params": Jsonb({"a": 1})},
            {"params": Jsonb(5)},
            {"timeout": "0"},
            {"timeout": "-1 s"},
        ),
        *(
            {"wait_timeout": "0"},
            {"max_age": "-1 s"},
            {"ttl": "0"},
            {"batch_rows": 0},
            {"batch_rows": 10**7},
            {"max_rows": -1},
        ),
        *({"max_bytes": -1}, {"read_only": None}, {"owner": ""}, {"queue": ""}, {"priority": 99999}),
    ],
)
def test_bad_queries_are_refused(q: Caller, bad: dict[str, Any]) -> None:
    with refused(q, "PQ001"):
        q("submit_query", **{"sql": "select 1", **bad})
    assert q.sql("select count(*) from pgqueue.job") == [(0,)]


@pytest.mark.parametrize(
    "bad",
    [
        *({"n": None}, {"row_count": None}, {"row_count": -1}, {"data": None}),
        *({"columns": None}, {"columns": {}}, {"columns": [5]}, {"columns": [{"name": "a"}]}, {"param_types": [None]}),
        {"columns": [{"name": 1, "type": "x", "oid": 1}]},
    ],
)
def test_bad_words_of_a_worker_are_refused(q: Caller, bad: dict[str, Any]) -> None:
    submit(q)
    job = claim(q)
    begin(q, job)
    given: dict[str, Any] = {"n": 0, "row_count": 1, "data": "1\n"}
    function = "query_put"
    if "columns" in bad or "param_types" in bad:
        function, given = "query_describe", {"columns": []}
    given = {
        name: Jsonb(value) if name == "columns" and value is not None else value
        for name, value in (given | bad).items()
    }
    with refused(q, "PQ001"):
        q(function, lease=job["lease"], job=job["id"], **given)


def test_a_json_null_is_no_error(q: Caller) -> None:
    submit(q)
    job = claim(q)
    begin(q, job)
    assert q.one("query_end", lease=job["lease"], job=job["id"], error=Jsonb(None))["verdict"] == "succeeded"


@pytest.mark.parametrize("bad", [{"n": -1}, {"n": None}, {"n": 0, "format": "xml"}, {"n": 0, "format": None}])
def test_bad_reads_are_refused(q: Caller, bad: dict[str, Any]) -> None:
    query = submit(q)[0]
    before = contents(q)
    with refused(q, "PQ001"):
        q("query_batch", id=query, **bad)
    assert contents(q) == before


def test_a_query_whose_text_is_forgotten_is_not_retried(q: Caller) -> None:
    """Its job may be kept for longer: a worker would find nothing to run."""
    q("configure", settings={"log_retention": 60})
    query, _, _ = submit(q)
    job = claim(q)
    begin(q, job)
    end(q, job, {"message": "no"})
    q("retry", id=query)
    job = claim(q)
    begin(q, job)
    end(q, job, {"message": "no"})
    q.clock((datetime.now(UTC) + timedelta(minutes=2)).isoformat())
    assert [row["error"] for row in q("maintain", duties=["results"])] == [None]
    with refused(q, "PQ005", "forgotten"):
        q("retry", id=query)
    assert q.one("retry_jobs", filter={"ids": [query]})["skipped"] == 1
