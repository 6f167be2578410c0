"""enqueue_each and enqueue_many: each element means what it would mean in enqueue, in input order, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller
from tests.sql.support import DOORS, NOON, TYPES, Rows, by_enqueue, contents, many, refused, shared_database
from tests.support.cluster import Server


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    with shared_database(server) as caller:
        yield caller


OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "args": {"args": {"a": [1, None, {"b": "ü\n\"'"}], "": 0}},
    "queue": {"queue": 'it\'s: a "queue" 🐘'},
    "lowest": {"priority": -32768},
    "highest": {"priority": 32767},
    "run_at": {"run_at": "2031-02-03 04:05:06.789012+09"},
    "run_at past": {"run_at": "2001-02-03 04:05:06"},
    "run_at first": {"run_at": "4713-01-01 00:00:00+00 BC"},
    "run_at last": {"run_at": "9998-12-31 23:59:59.999999+00"},
    "delay": {"delay": "1 month 2 days 03:04:05.678901"},
    "delay none": {"delay": "0"},
    "delay longest": {"delay": "100 years"},
    "unique": {"unique_key": "u"},
    "group": {"group_key": "g"},
    "group later": {"group_key": "g", "delay": "1 second"},
    "unique group": {"unique_key": "u", "group_key": "g", "priority": 4},
    "most attempts": {"max_attempts": 32767},
    "timeout": {"timeout": "1 month -1 day -00:00:01.000001"},
    "timeout least": {"timeout": "0.000001 seconds"},
    "expires_in": {"expires_in": "1 year -2 hours"},
    "heartbeat": {"heartbeat": "1.5 seconds"},
    "backoff": {"backoff": {"strategy": "constant", "base": 0.5, "cap": 315576000, "jitter": 1}},
    "backoff empty": {"backoff": {}},
    "headers": {"headers": {"trace": {"id": "\\u0041"}}},
    "all": {
        "queue": "q",
        "args": {"x": 1},
        "priority": 2,
        "delay": "1 day",
        "unique_key": "u",
        "group_key": "g",
        "max_attempts": 1,
        "timeout": "-1 day 48:00:00",
        "expires_in": "2 days",
        "heartbeat": "1 minute",
        "backoff": {"strategy": "linear"},
        "headers": {},
    },
}


def rows_made(q: Caller, door: str, options: dict[str, Any]) -> dict[str, list[Any]]:
    """What one job leaves in the tables, ids as distances from its own."""
    tables = ["job", "ready", "scheduled", "arrival", "deadline", "job_key", "lane"]
    with q.connection.transaction(force_rollback=True):
        ((job, created),) = DOORS[door](q, kind="k", **options)
        assert created
        return {
            table: q.sql(
                f"""select to_jsonb(t) || coalesce((
                      select jsonb_object_agg(e.key, e.value::bigint - %s) from jsonb_each_text(to_jsonb(t)) e
                      where e.key in ('id', 'job_id', 'seq')), '{{}}')
                    from pgqueue.{table} t order by 1""",
                job,
            )
            for table in tables
        }


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_the_three_ways_in_store_the_same(shared: Caller, options: dict[str, Any]) -> None:
    shared.clock(NOON)
    made = [rows_made(shared, door, options) for door in DOORS]
    assert len(made[0]["job"]) == 1
    assert len(made[0]["ready"] + made[0]["scheduled"] + made[0]["arrival"]) == 1
    assert made[1] == made[0]
    assert made[2] == made[0]


SETTINGS = [
    "intervalstyle = 'sql_standard'",
    "intervalstyle = 'iso_8601'",
    "intervalstyle = 'postgres_verbose'",
    "datestyle = 'SQL, DMY'",
    "datestyle = 'German'",
    "timezone = 'Asia/Kathmandu'",
    "plpgsql.extra_errors = 'all'",
    "plpgsql.variable_conflict = 'error'",
    "transform_null_equals = on",
    "extra_float_digits = -15",
    "xmloption = 'document'",
    "default_transaction_isolation = 'serializable'",
]


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_callers_settings_change_nothing(q: Caller, setting: str) -> None:
    """Options cross from one function to the next as JSON; in whose notation must not matter."""
    options = {
        "run_at": "2031-02-03 04:05:06.789012+09",
        "timeout": "1 month -1 day -00:00:01.000001",
        "expires_in": "1 year -2 hours",
        "heartbeat": "1.5 seconds",
        "group_key": "g",
        "backoff": {"base": 0.1},
    }
    q.clock(NOON)
    usual = by_enqueue(q, kind="k", unique_key="usual", **options)
    q.sql(f"set {setting}")
    made = [enqueue(q, kind="k", unique_key=door, **options) for door, enqueue in DOORS.items()]
    q.sql("reset all")
    stored = [{**q.one("job", id=job), "id": 0, "unique_key": ""} for ((job, _),) in (usual, *made)]
    assert stored[1:] == [stored[0]] * 3


# Order and number


def test_each_keeps_input_order(q: Caller) -> None:
    count = 3000
    rows = q.sql(
        """select id, created
           from pgqueue.enqueue_each('k', array(select jsonb_build_object('n', n) from generate_series(1, %s) n))""",
        count,
    )
    ids = [job for job, _ in rows]
    assert len(rows) == count
    assert all(created for _, created in rows)
    assert ids == sorted(set(ids))
    taken = q.claim(q.worker(), n=count)
    assert [(job["id"], job["args"]["n"]) for job in taken] == list(zip(ids, range(1, count + 1), strict=True))


def test_many_keeps_input_order(q: Caller) -> None:
    """Also where elements differ in queue, priority, due time, group and key, which go different ways inside."""
    elements = [
        {"kind": f"k{n}", "queue": f"q{n % 3}", "priority": n % 4}
        | ({"unique_key": f"u{n}"} if n % 5 == 0 else {})
        | ({"group_key": f"g{n % 7}"} if n % 2 == 0 else {})
        | ({"delay": n} if n % 11 == 0 else {})
        for n in range(500)
    ]
    rows = many(q, *elements)
    ids = [job for job, _ in rows]
    assert ids == sorted(set(ids))
    assert all(created for _, created in rows)
    assert [kind for (kind,) in q.sql("select kind from pgqueue.jobs(max => 10000) order by id")] == [
        f"k{n}" for n in range(500)
    ]


@pytest.mark.parametrize(
    "call", ["enqueue_each('k', '{}')", "enqueue_many('[]')", "enqueue_each('k', '{}', unique_keys => '{}')"]
)
def test_nothing_enqueues_nothing(q: Caller, call: str) -> None:
    before = contents(q)
    assert q.sql(f"select * from pgqueue.{call}") == []
    assert contents(q) == before


def test_each_takes_keys_and_groups_in_parallel(q: Caller) -> None:
    first = q.enqueue(unique_key="b")
    rows = q(
        "enqueue_each",
        kind="k",
        args=[{"n": n} for n in range(5)],
        unique_keys=["a", "b", None, "a", None],
        group_keys=["g", "g", None, "h", "h"],
    )
    ids = [row["id"] for row in rows]
    assert [row["created"] for row in rows] == [True, False, True, False, True]
    assert (ids[1], ids[3]) == (first, ids[0])
    assert ids[0] < ids[2] < ids[4]
    assert [(job["args"], job["group_key"]) for job in (q.one("job", id=ids[i]) for i in (0, 2, 4))] == [
        ({"n": 0}, "g"),
        ({"n": 2}, None),
        ({"n": 4}, "h"),
    ]


def test_duplicates_in_one_batch_are_one_job_the_first(q: Caller) -> None:
    rows = many(
        q,
        {"kind": "k", "unique_key": "u", "args": {"n": 1}},
        {"kind": "k", "args": {"n": 2}},
        {"kind": "k", "unique_key": "u", "args": {"n": 3}, "delay": 60, "expires_in": 60},
        {"kind": "k", "unique_key": "u", "queue": "other"},
        {"kind": "k", "unique_key": "u", "args": {"n": 5}, "group_key": "g"},
    )
    ids = [job for job, _ in rows]
    assert [created for _, created in rows] == [True, True, False, True, False]
    assert ids[0] == ids[2] == ids[4]
    assert len(set(ids)) == 3
    assert q.one("job", id=ids[0])["args"] == {"n": 1}
    assert q.places() == {"ready": 3, "job_key": 2}
    assert q.sql("select count(*) from pgqueue.deadline") == [(0,)]


def test_many_is_enqueue_element_by_element(q: Caller) -> None:
    """The same elements, once in one statement and once one by one, with the live jobs they may meet."""
    elements: list[dict[str, Any]] = [
        {"kind": "a", "unique_key": "live"},
        {"kind": "b", "unique_key": "u", "priority": 3},
        {"kind": "c", "group_key": "g", "queue": "q"},
        {"kind": "d", "unique_key": "u"},
        {"kind": "e", "delay": 90, "unique_key": "v"},
        {"kind": "f", "unique_key": "v", "queue": "q"},
        {"kind": "g", "unique_key": "live", "queue": "q", "args": {"x": 1}},
    ]

    def outcome(run: Callable[[], Rows]) -> tuple[list[Any], list[Any]]:
        with q.connection.transaction(force_rollback=True):
            live = q.enqueue("live", unique_key="live")
            rows = run()
            order = sorted({job for job, _ in rows})
            jobs = q.sql(
                """select a.kind, a.queue, a.state, a.priority, a.unique_key, a.group_key, a.args, a.run_at
                   from pgqueue.jobs() j cross join pgqueue.job(j.id) a order by j.id"""
            )
            return [(order.index(job), job == live, created) for job, created in rows], jobs

    def singly() -> Rows:
        return [
            by_enqueue(
                q, **{name: f"{value} seconds" if name == "delay" else value for name, value in element.items()}
            )[0]
            for element in elements
        ]

    q.clock(NOON)
    assert outcome(lambda: many(q, *elements)) == outcome(singly)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (90, 90),
        (1.5, 1.5),
        (0.000001, 0.000001),
        ("5 minutes", 300),
        ("PT1H", 3600),
        ("1 day 00:00:01", 86401),
        ("7", 7),
    ],
)
def test_intervals_of_elements_are_seconds_or_text(q: Caller, given: object, seconds: float) -> None:
    q.clock(NOON)
    ((job, _),) = many(q, {"kind": "k", "delay": given, "timeout": given, "expires_in": given, "heartbeat": given})
    stored = q.one("job", id=job)
    lengths = [
        stored["run_at"] - stored["created_at"],
        stored["timeout"],
        stored["expires_at"] - stored["created_at"],
        stored["heartbeat"],
    ]
    assert [length.total_seconds() for length in lengths] == [seconds] * 4


def test_a_json_null_in_an_element_means_not_given(q: Caller) -> None:
    q.clock(NOON)
    ((nulls, _),) = many(q, dict.fromkeys(TYPES) | {"kind": "k"})
    ((plain, _),) = many(q, {"kind": "k"})
    assert {**q.one("job", id=nulls), "id": plain} == q.one("job", id=plain)


# All or nothing


GOOD: dict[str, Any] = {"kind": "k", "unique_key": "u", "group_key": "g", "queue": "new", "expires_in": 60}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (7, "not an object"),
        ([GOOD], "not an object"),
        (None, "not an object"),
        ({}, "kind is null"),
        ({"kind": None}, "kind is null"),
        ({"kind": ""}, "kind is empty"),
        ({"kind": {"a": 1}}, "kind"),
        ({"kind": ["k"]}, "kind"),
        ({"kind": True}, "kind"),
        ({"kind": "k", "queue": {"a": 1}}, "queue"),
        ({"kind": "k", "queue": False}, "queue"),
        ({"kind": "k", "unique_key": []}, "unique_key"),
        ({"kind": "k", "group_key": {}}, "group_key"),
        ({"kind": "k", "argz": {}}, "argz"),
        ({"kind": "k", "": {}}, "unknown key ''"),
        ({"kind": "k", "id": 1}, "id"),
        ({"kind": "k", "args": []}, "args is array"),
        ({"kind": "k", "args": "{}"}, "args is string"),
        ({"kind": "k", "priority": 1.5}, "1.5"),
        ({"kind": "k", "priority": True}, "true"),
        ({"kind": "k", "priority": 40000}, "40000"),
        ({"kind": "k", "priority": 10**30}, "out of range"),
        ({"kind": "k", "max_attempts": 0}, "max_attempts is 0"),
        ({"kind": "k", "run_at": "whenever"}, "whenever"),
        ({"kind": "k", "run_at": 5}, "5"),
        ({"kind": "k", "run_at": "2024-13-45"}, "2024-13-45"),
        ({"kind": "k", "run_at": NOON, "delay": 1}, "both run_at and delay"),
        ({"kind": "k", "delay": -1}, "delay is -00:00:01"),
        ({"kind": "k", "delay": 1e10}, "hundred years"),
        ({"kind": "k", "delay": 1e300}, ""),
        ({"kind": "k", "delay": {}}, "interval"),
        ({"kind": "k", "timeout": "soon"}, "soon"),
        ({"kind": "k", "timeout": 0}, "timeout is 00:00:00"),
        ({"kind": "k", "backoff": {"base": -1}}, "backoff base is -1"),
        ({"kind": "k", "headers": 3}, "headers is number"),
    ],
    ids=str,
)
def test_a_bad_element_is_named_and_nothing_of_the_batch_stays(shared: Caller, bad: Any, words: str) -> None:
    with refused(shared, "PQ001", "element 3", words):
        many(shared, GOOD, {"kind": "k"}, bad, GOOD)


@pytest.mark.parametrize("jobs", ["null", "{}", '"x"', "1", None])
def test_what_is_not_an_array_is_refused(shared: Caller, jobs: str | None) -> None:
    with refused(shared, "PQ001", "jobs is", "not an array"):
        shared.sql("select * from pgqueue.enqueue_many(%s)", jobs)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("null", "args is null"),
        ("array[array['{}'], array['{}']]::jsonb[]", "array of arrays"),
        ("array['{}', null]::jsonb[]", "element 2 is null"),
        ("array['{}', '{}', '[]']::jsonb[]", "element 3 is array"),
        ("array['null']::jsonb[]", "element 1 is null"),
        ("array['{}', '7']::jsonb[], unique_keys => array['a', 'b']", "element 2 is number"),
        ("array['{}']::jsonb[], unique_keys => array['a', 'b']", "unique_keys 2"),
        ("array['{}', '{}']::jsonb[], group_keys => array['a']", "group_keys 1"),
        ("array['{}']::jsonb[], unique_keys => '{}'", "unique_keys 0"),
        ("array['{}', '{}']::jsonb[], unique_keys => array['a', '']", "element 2: unique_key is empty"),
        ("'{}', queue => ''", "queue is empty"),
        ("'{}', priority => 40000", "priority is 40000"),
    ],
)
def test_each_refuses_and_nothing_of_the_batch_stays(shared: Caller, arguments: str, words: str) -> None:
    with refused(shared, "PQ001", words):
        shared.sql(f"select * from pgqueue.enqueue_each('k', {arguments})")


def test_a_refused_batch_leaves_the_rest_of_the_transaction(q: Caller) -> None:
    with q.connection.transaction():
        kept = q.enqueue()
        with pytest.raises(psycopg.Error, match="element 2"), q.connection.transaction():
            q("enqueue_many", jobs=Jsonb([GOOD, {"kind": ""}]))
        again = q.enqueue(unique_key="u", queue="new")
    assert q.sql("select id from pgqueue.jobs() order by id") == [(kept,), (again,)]
