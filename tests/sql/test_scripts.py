"""Scripts as a state machine: every combination of outcomes and fallbacks against a model, cancels, limits, retention.
The worker here asks no server: the text of a query says how it ends.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller, Row
from tests.sql.support import contents, refused, shared_database
from tests.support.cluster import Server

Session = Callable[[], Caller]
Document = dict[str, Any]

FALLBACKS = [set[str](), {"onsuccess"}, {"onerror"}, {"onsuccess", "onerror"}]


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    with shared_database(server) as caller:
        yield caller


def submit(q: Caller, document: object, owner: str = "A", **more: Any) -> int:
    return int(q.value("submit_script", document=Jsonb(document), owner=owner, **more))


def begin(q: Caller, job: Row) -> Row:
    return q.one("script_begin", lease=job["lease"], job=job["id"], backend_pid=1, backend_start="2026-01-01")


def end(q: Caller, job: Row, failed: str | None = None) -> str:
    error = None if failed is None else {"message": failed, "sqlstate": "XX000"}
    verdict = q.one("script_end", lease=job["lease"], job=job["id"], error=error)
    assert q.settle([job], verdict["verdict"], error=verdict["failure"]) == []
    return str(verdict["verdict"])


def run(q: Caller, worker: int) -> list[str]:
    """All there is to do; the texts in the order in which they ran. One that begins with `bad` fails with itself."""
    ran = []
    while taken := q.claim(worker, 1, ["scripts"]):
        sql = begin(q, taken[0])["sql"]
        ran.append(sql)
        end(q, taken[0], sql if sql.startswith("bad") else None)
    return ran


def text(name: str, works: bool) -> str:
    return f"{'ok' if works else 'bad'} {name}"


def expected(document: Document) -> tuple[list[str], Document]:
    """The model: what runs, and the report."""
    ran: list[str] = []
    queries: list[Document] = []
    failed: str | None = None

    def runs(sql: str) -> str:
        ran.append(sql)
        return "failed" if sql.startswith("bad") else "succeeded"

    for query in document["query"]:
        has = "onsuccess" in query or "onerror" in query
        if failed is not None:
            queries.append({"status": "skipped", "fallback_status": "skipped" if has else None})
            continue
        status = runs(query["query"])
        if status == "failed":
            failed = query["query"]
        fallback = query.get("onsuccess" if status == "succeeded" else "onerror")
        outcome = runs(fallback) if fallback else "skipped"
        queries.append(
            {
                "status": status,
                "fallback_status": outcome if has else None,
                "failed_reason": failed,
                "fallback_error": fallback if outcome == "failed" else None,
            }
        )
    status = "succeeded" if failed is None else "failed"
    fallback = document.get("onsuccess" if failed is None else "onerror")
    outcome = runs(fallback) if fallback else "skipped"
    has = "onsuccess" in document or "onerror" in document
    return ran, {
        "status": status,
        "failed_reason": failed,
        "fallback_status": outcome if has else None,
        "fallback_error": fallback if outcome == "failed" else None,
        "queries": queries,
    }


def documents(queries: int) -> Iterator[Document]:
    for outcomes in itertools.product([True, False], repeat=queries):
        for sets in itertools.product(FALLBACKS, repeat=queries + 1):
            for works in (True, False):
                document: Document = {"query": []}
                for n, (good, fallbacks) in enumerate(zip(outcomes, sets, strict=False)):
                    names = {name: text(f"{name} {n}", works) for name in sorted(fallbacks)}
                    document["query"].append({"query": text(f"query {n}", good), **names})
                yield {**document, **{name: text(name, works) for name in sorted(sets[-1])}}


def agrees(report: Document, model: Document) -> bool:
    keys = ("status", "fallback_status", "failed_reason", "fallback_error")
    return all(report.get(key) == model[key] for key in keys) and [
        {key: query.get(key) for key in keys} for query in report["queries"]
    ] == [{key: query.get(key) for key in keys} for query in model["queries"]]


@pytest.mark.parametrize(("queries", "every"), [(1, 1), (2, 7), pytest.param(2, 1, marks=pytest.mark.slow)])
def test_every_combination_of_outcomes_and_fallbacks(shared: Caller, queries: int, every: int) -> None:
    """Of two queries every seventh by default: a number that meets all of the sets in turn."""
    worker = shared.worker("scripts")
    count = 0
    for document in itertools.islice(documents(queries), 0, None, every):
        nested = {"query": {**document}}
        ran, model = expected(document)
        for form in (document, nested) if queries == 1 else (document,):
            script = submit(shared, form)
            assert run(shared, worker) == ran, form
            report = shared.value("script_report", id=script)
            assert agrees(report, model), (form, report)
            assert shared.state(script) == model["status"]
            count += 1
    assert count == {(1, 1): 128, (2, 7): 74, (2, 1): 512}[queries, every]


def test_forms_come_to_the_same(shared: Caller) -> None:
    forms = [
        "select 1",
        ["select 1"],
        {"query": "select 1"},
        {"query": [{"query": "select 1"}]},
        {"query": {"query": [{"query": "select 1"}]}},
    ]
    reports = [shared.value("script_report", id=submit(shared, form)) for form in forms]
    for report in reports:
        assert report["queries"] == [{"query": "select 1", "status": "queued"}]
        assert {*report} == {"id", "owner", "queue", "status", "created_at", "updated_at", "queries"}
        shared("cancel_script", id=report["id"])


def test_keys_of_the_caller_come_back_and_ours_are_ours(shared: Caller) -> None:
    given = {
        "query": "select 1",
        "id": "a:b:c",
        "timeout": 7,
        "x": {"y": None},
        "onerror": "select '<%= job_id %>'",
        "status": "succeeded",
    }
    script = submit(shared, [given])
    (query,) = shared.value("script_report", id=script)["queries"]
    assert query == {**given, "status": "queued", "fallback_status": "queued"}
    shared("cancel_script", id=script)


@pytest.mark.parametrize(
    "document",
    [
        *(
            None,
            5,
            True,
            {},
            [],
            {"query": []},
            {"query": {"query": []}},
            {"query": {}},
            {"query": None},
            {"query": 5},
            {"query": ""},
        ),
        *({"query": " \n"}, [""], ["select 1", ""], ["select 1", None], [5], [["select 1"]], [{"onerror": "select 1"}]),
        *({"query": {"query": "select 1"}}, {"query": {"onsuccess": "select 1"}}, [{"query": 5}], [{"query": ""}]),
        *(
            [{"query": "select 1", "onsuccess": 5}],
            [{"query": "select 1", "onerror": ""}],
            {"query": "select 1", "onerror": []},
        ),
        *(
            {"query": {"query": [{"query": "select 1"}], "onerror": 5}},
            {"query": {"query": ["select 1"], "onerror": "a"}, "onerror": "b"},
        ),
    ],
)
def test_bad_documents_are_refused_and_nothing_is_stored(shared: Caller, document: object) -> None:
    before = contents(shared)
    with refused(shared, "PQ001"):
        submit(shared, document)
    assert contents(shared) == before


@pytest.mark.parametrize("size", [16384, 16385])
def test_the_size_counts_as_compact_json(shared: Caller, size: int) -> None:
    document: Document = {"query": [{"query": "", "x": 'é", : "\\\n', "y": [1, 2], "z": {"a": None}}, "select 1"]}
    import json

    have = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False))
    document["query"][0]["query"] = "select" + " " * (size - have - 7) + "1"
    assert len(json.dumps(document, separators=(",", ":"), ensure_ascii=False)) == size
    if size == 16384:
        shared("cancel_script", id=submit(shared, document))
    else:
        with refused(shared, "PQ001", "too large"):
            submit(shared, document)


# Cancel


def at_unit(q: Caller, worker: int, unit: str) -> tuple[int, Row]:
    """A script that runs the unit named."""
    bad = unit in ("onerror", "final_onerror")
    document: Document = {"query": [{"query": "bad q" if bad else "ok q"}, "ok last"]}
    if unit.startswith("final"):
        document[unit[6:]] = "ok f"
        document["query"][0].pop("onerror", None)
    elif unit != "query":
        document["query"][0][unit] = "ok f"
        document["onsuccess"] = "ok never"
    script = submit(q, document)
    while True:
        (job,) = q.claim(worker, 1, ["scripts"])
        orders = begin(q, job)
        if orders["unit"] == unit:
            return script, job
        end(q, job, orders["sql"] if orders["sql"].startswith("bad") else None)


@pytest.mark.parametrize(
    ("unit", "status", "fallback", "first", "second"),
    [
        ("query", "cancelled", None, ("cancelled", None), "skipped"),
        ("onsuccess", "cancelled", "skipped", ("succeeded", "cancelled"), "skipped"),
        ("onerror", "cancelled", "skipped", ("failed", "cancelled"), "skipped"),
        ("final_onsuccess", "succeeded", "cancelled", ("succeeded", None), "succeeded"),
        ("final_onerror", "failed", "cancelled", ("failed", None), "skipped"),
    ],
)
@pytest.mark.parametrize("how", ["cancel_script", "cancel"])
@pytest.mark.parametrize("then", ["ends", "succeeds", "fails", "is given back", "is lost"])
def test_cancel_while_a_unit_runs(
    q: Caller,
    unit: str,
    status: str,
    fallback: str | None,
    first: tuple[str, str | None],
    second: str,
    how: str,
    then: str,
) -> None:
    """Whatever the unit still comes to, and whoever is left to say so."""
    worker = q.worker("scripts")
    script, job = at_unit(q, worker, unit)
    q(how, id=script)
    report = q.value("script_report", id=script)
    with refused(q, "PQ005", f"Cannot set status from {status} to cancelled"):
        q("cancel_script", id=script)
    if then == "ends":
        assert q.settle([job], "cancelled") == []
    elif then == "is given back":
        assert q.settle([job], "release") == []
    elif then == "is lost":
        q.sql("update pgqueue.worker set heartbeat_at = '2020-01-01'")
        q("maintain", duties=["rescue"])
    else:
        assert end(q, job, "too late" if then == "fails" else None) in ("cancelled", "succeeded", "discard")
    after = q.value("script_report", id=script)
    for seen in (report, after):
        assert (seen["status"], seen.get("fallback_status")) == (status, fallback)
        one, two = seen["queries"]
        assert ((one["status"], one.get("fallback_status")), two["status"]) == (first, second)
    assert "ended_at" in after
    assert run(q, q.worker("scripts")) == []
    q.sql("update pgqueue.cancel_request set requested_at = '2020-01-01'")
    q("maintain", duties=["tidy"])
    assert q.places() == {}


def test_cancel_between_two_queries(q: Caller) -> None:
    worker = q.worker("scripts")
    script = submit(q, {"query": ["ok 1", "ok 2", "ok 3"], "onerror": "ok never"})
    (job,) = q.claim(worker, 1, ["scripts"])
    begin(q, job)
    assert end(q, job) == "release"
    report = q.value("cancel_script", id=script, as_owner="A")
    assert [report["status"], report["fallback_status"]] == ["cancelled", "skipped"]
    assert [query["status"] for query in report["queries"]] == ["succeeded", "cancelled", "skipped"]
    assert run(q, worker) == []


def test_cancel_between_claim_and_begin(q: Caller) -> None:
    worker = q.worker("scripts")
    script = submit(q, ["ok 1"])
    (job,) = q.claim(worker, 1, ["scripts"])
    q("cancel_script", id=script)
    orders = begin(q, job)
    assert (orders["unit"], orders["verdict"]) == (None, "cancelled")
    assert q.settle([job], orders["verdict"]) == []
    assert q.value("script_report", id=script)["status"] == "cancelled"


def test_an_answer_lost_is_asked_for_again(q: Caller) -> None:
    worker = q.worker("scripts")
    script = submit(q, [{"query": "ok 1", "onsuccess": "ok s"}, "ok 2"])
    (job,) = q.claim(worker, 1, ["scripts"])
    assert begin(q, job)["sql"] == begin(q, job)["sql"] == "ok 1"
    once = q.one("script_end", lease=job["lease"], job=script)
    assert once == q.one("script_end", lease=job["lease"], job=script), "the second would have ended the fallback"
    assert q.settle([job], "release") == []
    assert run(q, worker) == ["ok s", "ok 2"]


# Who may


def test_only_the_owner_sees_and_cancels(q: Caller) -> None:
    script = submit(q, ["ok 1"], "alice")
    for function in ("script_report", "cancel_script"):
        with refused(q, "PQ002", "not found"):
            q(function, id=script, as_owner="bob")
        with refused(q, "PQ002", "not found"):
            q(function, id=script + 1000)
    assert q.value("script_report", id=script, as_owner="alice")["status"] == "queued"
    assert q.value("script_report", id=submit(q, "ok 1", None), as_owner="postgres")["owner"] == "postgres"  # type: ignore[arg-type]


def test_lists(q: Caller) -> None:
    worker = q.worker("scripts")
    done = submit(q, ["ok 1", "ok 2"], "alice")
    assert run(q, worker) == ["ok 1", "ok 2"]
    running, waiting, other = (
        submit(q, "ok 1", "alice"),
        submit(q, "ok 1", "alice"),
        submit(q, "ok 1", "bob", queue="else"),
    )
    (job,) = q.claim(worker, 1, ["scripts"])
    assert q("scripts_running") == []  # leased, but not begun
    begin(q, job)
    assert q("scripts_running") == [{"owner": "alice", "ids": [running]}]
    assert q("scripts_running", queue="else") == []
    q("cancel_script", id=waiting)

    def ids(**filters: Any) -> list[int]:
        return [row["id"] for row in q("scripts", **filters)]

    assert ids() == [other, waiting, running, done]
    assert ids(owner="alice", max=2) == [waiting, running]
    assert ids(owner="alice", before=running) == [done]
    assert ids(state="canceled") == ids(state="cancelled") == [waiting]
    assert ids(queue="else", state="queued") == [other]
    (row,) = q("scripts", state="succeeded")
    assert (row["queries"], row["done"], row["fallback_status"]) == (2, 2, None)
    for bad in ({"state": "done"}, {"max": 0}, {"max": 1001}):
        with refused(q, "PQ001"):
            q("scripts", **bad)


# Limits


@pytest.mark.parametrize(
    ("instance", "queue", "owner", "own", "limit"),
    [
        ("1 hour", None, None, None, 3600),
        ("1 hour", "10 minutes", None, None, 600),
        ("1 hour", "10 minutes", "20 minutes", None, 1200),
        ("1 hour", None, None, 5000, 5),
        ("2 seconds", None, None, 5000, 2),
        ("2 seconds", None, None, 0, 2),
        ("2 seconds", None, None, -5, 2),
        ("2 seconds", None, None, "1", 2),
        ("2 seconds", None, None, 1e300, 2),
        ("2 seconds", None, None, 0.5, 0.0005),
    ],
)
def test_the_limit_of_one_query(
    q: Caller, instance: str, queue: str | None, owner: str | None, own: object, limit: float
) -> None:
    q("configure", settings={"sql_timeout": instance})
    q("configure_queue", queue="scripts", settings={"timeout": queue})
    q("configure_owner", owner="A", settings={"timeout": owner})
    worker = q.worker("scripts")
    submit(q, [{"query": "ok 1", "timeout": own, "onsuccess": "ok f"}])
    (job,) = q.claim(worker, 1, ["scripts"])
    assert begin(q, job)["timeout"].total_seconds() == pytest.approx(limit)
    end(q, job)
    (job,) = q.claim(worker, 1, ["scripts"])
    others = {"1 hour": 3600, "10 minutes": 600, "20 minutes": 1200, "2 seconds": 2}
    assert begin(q, job)["timeout"].total_seconds() == others[owner or queue or instance], (
        "a fallback has no limit of its own"
    )


def test_a_script_is_kept_for_the_retention_of_its_queue(q: Caller) -> None:
    q("configure_queue", queue="scripts", settings={"retention": "2 hours"})
    worker = q.worker("scripts")
    q.clock("2026-01-01 12:00")
    done, waiting = submit(q, ["ok 1"]), None
    assert run(q, worker) == ["ok 1"]
    waiting = submit(q, ["ok 2"])
    q.clock("2026-01-01 13:59")
    q("maintain")
    assert q.value("script_report", id=done)["status"] == "succeeded"
    q.clock("2026-01-01 14:01")
    q("maintain")
    with refused(q, "PQ002"):
        q("script_report", id=done)
    assert q.sql("select count(*) from pgqueue.script_query") == [(0,)]
    assert q.value("script_report", id=waiting)["status"] == "queued"


def test_a_script_is_not_retried(q: Caller) -> None:
    script = submit(q, ["bad 1"])
    run(q, q.worker("scripts"))
    with refused(q, "PQ005"):
        q("retry", id=script)
    assert q.state(script) == "failed"
    assert q.one("result", id=script)["error"]["message"] == "bad 1"


def test_a_queue_without_history_still_reports(q: Caller) -> None:
    q("configure_queue", queue="scripts", settings={"history": "none"})
    script = submit(q, ["ok 1", "bad 2"])
    run(q, q.worker("scripts"))
    assert q.value("script_report", id=script)["status"] == "failed"
    assert q.sql("select count(*) from pgqueue.job") == [(0,)]


@pytest.mark.parametrize(
    "settings", [{"x": 1}, {"timeout": 0}, {"timeout": "soon"}, {"max_waiting": -1}, {"max_waiting": "many"}, []]
)
def test_bad_settings_of_an_owner(shared: Caller, settings: object) -> None:
    before = contents(shared)
    with refused(shared, "PQ001"):
        shared("configure_owner", owner="A", settings=Jsonb(settings))
    assert contents(shared) == before


@pytest.mark.parametrize(
    "session",
    [
        *(
            {"settings": []},
            {"settings": {"a b": 1}},
            {"settings": {"role": "x"}},
            {"settings": {"Statement_Timeout": 1}},
        ),
        *(
            {"settings": {"work_mem": None}},
            {"settings": {"work_mem": [1]}},
            {"role": ""},
            {"role": "none"},
            {"role": "x" * 64},
        ),
        *({"datasource": ""}, {"owner": ""}, {"owner": "x" * 501}, {"queue": ""}, {"priority": 40000}),
    ],
)
def test_bad_sessions_are_refused(shared: Caller, session: dict[str, Any]) -> None:
    before = contents(shared)
    session = {name: Jsonb(value) if name == "settings" else value for name, value in session.items()}
    with refused(shared, "PQ001"):
        shared("submit_script", document=Jsonb("select 1"), **session)
    with refused(shared, "PQ001"):
        shared("submit_query", sql="select 1", **session)
    assert contents(shared) == before
