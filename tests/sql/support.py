"""What the tests of bad input, roles and enqueue share: the three ways in, refusals, and everything that is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from pgqueue._sqlfiles import resource
from tests.sql.calls import Caller
from tests.support.cluster import Server, fresh_database

Rows = list[tuple[int, bool]]

# The parameters of enqueue. Values are cast, so that a test writes them once for all ways in.
TYPES = {
    "kind": "text",
    "args": "jsonb",
    "queue": "text",
    "priority": "integer",
    "run_at": "timestamptz",
    "delay": "interval",
    "unique_key": "text",
    "group_key": "text",
    "max_attempts": "integer",
    "timeout": "interval",
    "expires_in": "interval",
    "heartbeat": "interval",
    "backoff": "jsonb",
    "headers": "jsonb",
    "unique_by": "text[]",
    "unique_until": "text",
    "unique_for": "interval",
    "on_duplicate": "text",
}


@contextmanager
def shared_database(server: Server) -> Iterator[Caller]:
    """A database for a module's tests that leave nothing behind, as those of refusals: each proves that it did not."""
    with fresh_database(server) as database:
        yield Caller(database.connect())


def _values(options: dict[str, Any]) -> list[Any]:
    return [
        Jsonb(value) if TYPES[name] == "jsonb" and isinstance(value, dict | list) else value
        for name, value in options.items()
    ]


def by_enqueue(q: Caller, **options: Any) -> Rows:
    named = ", ".join(f"{name} => %s::{TYPES[name]}" for name in options)
    return q.sql(f"select id, created from pgqueue.enqueue({named})", *_values(options))


def by_each(q: Caller, **options: Any) -> Rows:
    options.setdefault("args", {})
    arrays = {"args": "args", "unique_key": "unique_keys", "group_key": "group_keys"}
    named = ", ".join(
        f"{arrays[name]} => array[%s::{TYPES[name]}]" if name in arrays else f"{name} => %s::{TYPES[name]}"
        for name in options
    )
    return q.sql(f"select id, created from pgqueue.enqueue_each({named})", *_values(options))


def by_many(q: Caller, **options: Any) -> Rows:
    pairs = ", ".join(f"'{name}', %s::{TYPES[name]}" for name in options)
    return q.sql(
        f"select id, created from pgqueue.enqueue_many(jsonb_build_array(jsonb_build_object({pairs})))",
        *_values(options),
    )


# The three ways in; each enqueues one job.
DOORS: dict[str, Callable[..., Rows]] = {"enqueue": by_enqueue, "enqueue_each": by_each, "enqueue_many": by_many}


def many(q: Caller, *elements: Any) -> Rows:
    return q.sql("select id, created from pgqueue.enqueue_many(%s)", Jsonb(list(elements)))


def contents(q: Caller) -> dict[str, str]:
    """Every table of the schema, partitions too: how many rows, and a digest of them. Without parallel workers: so many
    tables are believed to be worth them, and hold next to nothing.
    """
    names = [
        name
        for (name,) in q.sql(
            """select quote_ident(c.relname) from pg_class c
               where c.relnamespace = 'pgqueue'::regnamespace and c.relkind = 'r' order by 1"""
        )
    ]
    each = " union all ".join(
        f"select '{name}', count(*) || ' ' || md5(coalesce(string_agg(t::text, chr(10) order by t::text), ''))"
        f" from pgqueue.{name} t"
        for name in names
    )
    with q.connection.transaction():
        q.sql("set local max_parallel_workers_per_gather = 0")
        return dict(q.sql(each.replace("%", "%%")))


@contextmanager
def refused(q: Caller, sqlstate: str = "PQ001", *words: str) -> Iterator[None]:
    """The block is refused as the contract says: with this SQLSTATE, a message (with these words), a hint, and nothing
    stored.
    """
    before = contents(q)
    with pytest.raises(psycopg.Error) as raised:
        yield
    diag = raised.value.diag
    assert diag.sqlstate == sqlstate, raised.value
    assert diag.message_primary
    assert diag.message_hint
    for word in words:
        assert word in diag.message_primary
    assert contents(q) == before


def routines(q: Caller) -> dict[str, list[str]]:
    """The routines of the schema: name and parameters' signature, as the catalogue has them."""
    found: dict[str, list[str]] = {}
    for name, signature in q.sql(
        """select p.proname, p.oid::regprocedure::text from pg_proc p
           where p.pronamespace = 'pgqueue'::regnamespace order by 1, 2"""
    ):
        found.setdefault(name, []).append(signature)
    return found


def granted() -> dict[str, set[str]]:
    """Who may call what, as sql/grants.sql says: the functions of each role."""
    document = re.search(r"jsonb := '(\{.*?\})'", (resource("sql") / "grants.sql").read_text(), re.DOTALL)
    assert document is not None
    return {f"pgqueue_{role}": set(functions) for role, functions in json.loads(document[1]).items()}


def calls(q: Caller, names: Callable[[str], bool]) -> list[tuple[str, str]]:
    """Name, and a call with nulls for all its arguments, of each routine whose name passes."""
    found = q.sql(
        """select p.proname,
             case p.prokind when 'p' then 'call ' else 'select ' end || p.oid::regproc || '(' || coalesce((
             select string_agg('null::' || t::regtype, ', ' order by ord)
             from unnest(p.proargtypes) with ordinality a(t, ord)), '') || ')'
           from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace order by 1"""
    )
    return [(name, call) for name, call in found if names(name)]


def sqlstate_as(q: Caller, role: str, call: str) -> str:
    """What becomes of a call by that role: its SQLSTATE, 00000 for success."""
    q.sql(f"set role {role}")
    try:
        q.sql(call)
    except psycopg.Error as error:
        return error.sqlstate or "?"
    finally:
        q.sql("reset role")
    return "00000"


def shadow(q: Caller, schema: str, functions: list[str], operators: list[str]) -> None:
    """Objects of these signatures that write down as whom they ran."""
    q.sql("create table if not exists public.caught (who text, what text)")
    q.sql("grant all on public.caught to public")
    body = "language plpgsql as $f$ begin insert into public.caught values (current_user, '{}'); return null; end $f$"
    for signature in functions:
        q.sql(f"create function {schema}.{signature} returns text {body.format(signature)}")
    for number, signature in enumerate(operators):
        sign, left, right = re.sub(r"[(),]", " ", signature).split()
        result = left if sign in ("+", "-", "*", "&", "->", "||") else "boolean"
        q.sql(f"create function {schema}.op{number}({left}, {right}) returns {result} {body.format(sign)}")
        q.sql(f"create operator {schema}.{sign} (leftarg = {left}, rightarg = {right}, function = {schema}.op{number})")


def life(q: Caller) -> None:
    """A walk through most functions."""
    job = q.enqueue(args={"n": 1}, unique_key="u", group_key="g", expires_in="1 hour", backoff={"base": 1})
    q("enqueue_each", kind="k", args=[{"n": 2}, {"n": 3}], unique_keys=["v", "u"])
    q("enqueue_many", jobs=Jsonb([{"kind": "k", "delay": 60}, {"kind": "k", "unique_key": "w", "group_key": "g"}]))
    worker = q.worker()
    q("worker_sleep", queues=["default"])
    q("configure_queue", queue="default", settings={"max_running": 9, "group_limit": 1})
    taken = q.claim(worker)
    assert taken[0]["id"] == job
    q("watch", jobs=[job])
    q("job_heartbeat", lease=taken[0]["lease"], job=job, progress={"p": 1})
    q("log_lines", lease=taken[0]["lease"], job=job, lines=Jsonb([{"message": "begun"}]))
    assert q.settle(taken[:1], "failed", error={"type": "E"}) == []
    assert q.settle(taken[1:]) == []
    q("cancel", id=job, why="enough")
    q("retry", id=job)
    q("set_priority", id=job, priority=4)
    q("reschedule", id=job, run_at="2030-01-01")
    q("worker_heartbeat", worker=worker, leases=[1])
    assert {row["error"] for row in q("maintain")} == {None}
    assert len(q("jobs")) == 4
    assert q("queues")[0]["scheduled"] == 2
    q("health"), q("why", id=job), q("attempts", id=job)
    q("job_log", id=job), q("job_timeline", id=job), q("throughput")
    q("deregister_worker", worker=worker)


def pid(caller: Caller) -> int:
    return caller.connection.info.backend_pid


# What must be refused. Parts of calls name rows of the busy queue of test_bad_input by what they are.

NOON = "2024-05-01 12:00:00+00"
WORKER = "(select min(id) from pgqueue.workers())"
LEASE = "(select min(id) from pgqueue.lease)"
RUNNING = "(select min(id) from pgqueue.jobs(state => 'running'))"
WAITING = "(select min(id) from pgqueue.jobs(state => 'queued'))"
DONE = "(select min(id) from pgqueue.jobs(state => 'succeeded'))"
ONE_SETTLE = f"array[{LEASE}], array[{RUNNING}]"
UNKNOWN = "987654321"

# Compared as months of thirty days this is a second; added to a time it leaves every calendar on the way.
TRICK = "5000000 years -1800000000 days 1 second"

BAD_NAMES: list[tuple[str | None, str]] = [
    (None, "null"),
    ("", "empty"),
    ("n" * 1000, "1000 characters"),
    ("🐘" * 1000, "1000 characters"),
    *((f"a{control}b", "control character") for control in "\x01\n\x1f\x7f\x9b"),
]
BAD_BACKOFFS: list[Any] = [
    *([], '"linear"', "5", {"strategy": "quadratic"}, {"strategy": None}, {"strategy": ["linear"]}, {"bases": 1}),
    *(
        {"base": -1},
        {"base": "2"},
        {"base": None},
        {"base": 315576001},
        '{"base": 1e400}',
        '{"base": 1e-400}',
        '{"base": 1e-5000}',
    ),
    *({"cap": -1}, '{"cap": 1e-400}', {"jitter": 1.01}, {"jitter": -0.01}, {"jitter": [0]}, '{"jitter": 1e-400}'),
]
LENGTHS = ["delay", "timeout", "expires_in", "heartbeat"]
BAD_OPTIONS: list[tuple[str, Any, str]] = [
    *((option, *bad) for option in ("kind", "queue", "unique_key", "group_key") for bad in BAD_NAMES),
    *(("kind", given, given) for given in ("sql.query", "sql.script", "keyed.item")),
    *(("kind", f"rows.{given}", f"rows.{given}") for given in ("slice", "slow", "gate", "done")),
    ("args", [], "array"),
    ("args", '"x"', "string"),
    ("args", "1", "number"),
    ("args", "true", "boolean"),
    *(("args", given, "null") for given in (None, "null")),
    ("headers", [], "not an object"),
    *(("headers", given, "not an object") for given in ('"x"', "3", "false")),
    *(("priority", given, str(given)) for given in (-32769, 32768, 2**31 - 1, -(2**31))),
    ("priority", None, "null"),
    *(("max_attempts", given, str(given)) for given in (0, -1, 32768, 2**31 - 1)),
    *(("run_at", given, given) for given in ("infinity", "-infinity")),
    # What many languages cannot read back: one such job would break every listing it is in.
    ("run_at", "10000-01-01", "10000"),
    *((option, "-1 second", "-00:00:01") for option in LENGTHS),
    *((option, "0", "00:00:00") for option in LENGTHS[1:]),
    *((option, "100 years 1 second", "hundred years") for option in LENGTHS),
    *((option, "178000000 years", "hundred years") for option in LENGTHS),
    *((option, TRICK, "") for option in LENGTHS),
    *(("backoff", given, "") for given in BAD_BACKOFFS),
]


BAD_COMBINATIONS: list[tuple[dict[str, Any], str]] = [
    ({"run_at": NOON, "delay": "0"}, "both run_at and delay"),
    ({"unique_key": "u", "unique_by": ["a"]}, "both unique_key and unique_by"),
    ({"unique_by": ["a", None]}, "unique_by"),
    ({"unique_until": "start"}, "unique_until is given without"),
    ({"unique_for": "1 minute"}, "unique_for is given without"),
    ({"on_duplicate": "raise"}, "on_duplicate is given without"),
    ({"unique_key": "u", "unique_until": "start", "unique_for": "1 s"}, "both unique_until and unique_for"),
    *(({"unique_key": "u", "unique_until": given}, f"unique_until '{given}'") for given in ("", "end", "Start")),
    *(({"unique_key": "u", "unique_for": given}, "unique_for") for given in ("0", "-1 s", "101 years", TRICK)),
    *(({"unique_key": "u", "on_duplicate": given}, f"on_duplicate '{given}'") for given in ("", "ignore", "Raise")),
]


def bad_enqueues() -> list[Any]:
    """Door, options, and words of the message."""
    found = [
        (door, {option: given}, f"{option} {words}")
        for option, given, words in BAD_OPTIONS
        for door in DOORS
        # A null key is no key, and a JSON null in an element is an option not given.
        if not (given is None and option in ("unique_key", "group_key"))
        and not (given in (None, "null") and door == "enqueue_many" and option != "kind")
    ]
    found += [(door, options, words) for options, words in BAD_COMBINATIONS for door in DOORS]
    return [pytest.param(*bad, id=f"{bad[0]}-{ascii(bad[1])[:50]}") for bad in found]


QUEUE_NAMES = [
    *(("null", "null"), ("''", "empty"), ("repeat('q', 1000)", "1000 characters")),
    *((r"e'a\nb'", "control"), (r"e'\u009b'", "control")),
]
QUEUE_LISTS = [
    *(("null", "queues null"), ("'{}'", "queues empty"), ("array[null]", "null"), ("array[['a'], ['b']]", "queues")),
    *(("array['']", "queue empty"), ("array['a', repeat('q', 1000)]", "queue 1000")),
]
BAD_INTERVALS = ["'-1 s'", "'101 years'", f"'{TRICK}'"]
BAD_DOCUMENTS = ["null", "[]", "7", '"x"', '{"max_runing": 1}']
QUEUE_SETTINGS = [
    *(
        '{"max_running": -1}',
        '{"max_running": 1.5}',
        '{"max_running": "many"}',
        '{"max_running": 1e30}',
        '{"max_running": []}',
    ),
    *('{"group_limit": 0}', '{"group_limit": true}', '{"max_attempts": 0}', '{"max_attempts": 32768}'),
    *(
        '{"timeout": 0}',
        '{"timeout": "soon"}',
        '{"timeout": -1}',
        '{"timeout": "280000 years"}',
        f'{{"timeout": "{TRICK}"}}',
    ),
    *('{"retention": {}}', '{"retention": "-1 s"}', '{"retention": "280000 years"}', f'{{"retention": "{TRICK}"}}'),
    *('{"backoff": 1}', '{"backoff": {"base": -1}}', '{"backoff": {"base": 1e-400}}'),
    *('{"history": "some"}', '{"history": 3}', '{"history": {}}'),
    *(
        f'{{"{key}": {given}}}'
        for key in ("rate_limit", "group_rate_limit")
        for given in ("0", "-1", "1.5", '"x"', "1e30", "[]")
    ),
    *(
        f'{{"{key}": {given}}}'
        for key in ("rate_period", "group_rate_period", "ageing")
        for given in ("0", "-1", '"soon"', "{}", '"280000 years"', f'"{TRICK}"')
    ),
    *('{"group_rate_limit": 10001}', '{"fair": 3}', '{"fair": "perhaps"}', '{"fair": []}'),
    *('{"group_failure": "retry"}', '{"max_queued": true}'),
    *('{"group_order": "none"}', '{"group_order": 1}', '{"max_queued": -1}', '{"max_queued": 1e9}'),
]
GROUP_SETTINGS = [
    *('{"weight": 0}', '{"weight": 1001}', '{"weight": 1.5}', '{"weight": []}', '{"group_limit": 0}'),
    *(
        '{"rate_limit": 0}',
        '{"rate_limit": 10001}',
        '{"rate_limit": "x"}',
        '{"rate_period": 0}',
        '{"rate_period": "soon"}',
    ),
    '{"fair": true}',
]
SETTINGS = [
    *(
        '{"lost_after": null}',
        '{"lost_after": 0}',
        '{"lost_after": "x"}',
        '{"lost_after": "280000 years"}',
        f'{{"lost_after": "{TRICK}"}}',
    ),
    *(
        '{"max_crashes": 0}',
        '{"max_crashes": 99999}',
        '{"max_crashes": null}',
        '{"block_size": 5}',
        '{"block_size": 1e30}',
    ),
    *(
        '{"blocks_ahead": 0}',
        '{"block_age": 0}',
        '{"block_age": "280000 years"}',
        '{"retention": -1}',
        '{"retention": "280000 years"}',
    ),
    *('{"job_log_lines": -1}', '{"job_log_lines": null}', '{"job_log_chars": 0}', '{"metric_retention": -1}'),
    *('{"singleton": false}', '{"lost_after": 60, "max_crashes": 0}'),
]
BAD_LINES = [
    *(("null", "lines null"), ("'{}'", "lines object"), ("""'"x"'""", "lines string"), ("'[1]'", "line 1 number")),
    *((f"""'[{{"message": {given}}}]'""", "line 1 message") for given in ("null", "5", "{}")),
    ("""'[{"message": "a"}, {}]'""", "line 2 message"),
    *((f"""'[{{"message": "a", "level": {given}}}]'""", "line 1 level") for given in ("5", '""', f'"{"l" * 33}"')),
    *((f"""'[{{"message": "a", "at": {given}}}]'""", "time") for given in ("5", '"soon"')),
    ("""'[{"message": "a", "at": "infinity"}]'""", "at infinity"),
    *((f"""'[{{"message": "a", "fields": {given}}}]'""", "line 1 fields") for given in ("5", "[]", '"x"')),
    ("""'[{"message": "a", "massage": "b"}]'""", "line 1 key"),
    ("(select jsonb_agg(1) from generate_series(1, 10001))", "10001"),
]
BAD_CALLS: list[tuple[str, str]] = [
    *((f"register_worker({name}, array['a'])", f"name {word}") for name, word in QUEUE_NAMES),
    *((f"register_worker('w', {queues})", word) for queues, word in QUEUE_LISTS),
    *((f"register_worker('w', array['a'], {given})", f"concurrency {given}") for given in ("0", "-1", "null")),
    *((f"claim({WORKER}, array['default'], {n})", f"n {n}") for n in ("0", "-1", "10001", "null")),
    *((f"claim({WORKER}, {queues})", word) for queues, word in QUEUE_LISTS[:4]),
    *((f"worker_sleep({queues})", word) for queues, word in QUEUE_LISTS),
    (f"worker_heartbeat({WORKER}, array[null]::bigint[])", "null"),
    ("settle(null, '{}', '{}')", "length"),
    ("settle('{}', null, '{}')", "length"),
    ("settle('{}', '{}', null)", "length"),
    (f"settle({ONE_SETTLE}, '{{}}')", "length"),
    (f"settle('{{}}', array[{RUNNING}], array['succeeded'])", "length"),
    *(
        (f"settle({ONE_SETTLE}, array['succeeded'], {name} => '{{}}')", "length")
        for name in ("results", "errors", "delays")
    ),
    (f"settle(array[null]::bigint[], array[{RUNNING}], array['succeeded'])", "null"),
    (f"settle(array[{LEASE}], array[null]::bigint[], array['succeeded'])", "null"),
    (f"settle(array[array[{LEASE}]], array[array[{RUNNING}]], array[array['succeeded']])", ""),
    *(
        (f"settle({ONE_SETTLE}, array[{given}])", "outcome")
        for given in ("'done'", "'Succeeded'", "''", "null", "'running'")
    ),
    *((f"settle({ONE_SETTLE}, array['{outcome}'])", f"{outcome} delay null") for outcome in ("retry", "snooze")),
    *(
        (f"settle({ONE_SETTLE}, array['retry'], delays => array[{delay}]::interval[])", "delay")
        for delay in BAD_INTERVALS
    ),
    *((f"reschedule({WAITING}, {time})", "run_at") for time in ("null", "'infinity'", "'-infinity'", "'10000-01-01'")),
    *((f"set_priority({WAITING}, {given})", f"priority {given}") for given in ("null", "32768", "-32769")),
    *(
        (f"{function}({name})", f"queue {word}")
        for function in ("pause_queue", "resume_queue")
        for name, word in QUEUE_NAMES
    ),
    *((f"configure_queue({name}, '{{}}')", f"queue {word}") for name, word in QUEUE_NAMES),
    *((f"configure_queue('set', '{settings}')", "") for settings in BAD_DOCUMENTS + QUEUE_SETTINGS),
    *((f"configure_queue('fresh', '{settings}')", "") for settings in QUEUE_SETTINGS[:3]),
    *((f"configure_group({name}, 'g', '{{}}')", f"queue {word}") for name, word in QUEUE_NAMES),
    *((f"configure_group('set', {name}, '{{}}')", f"group_key {word}") for name, word in QUEUE_NAMES),
    *((f"configure_group('set', 'g', '{settings}')", "") for settings in BAD_DOCUMENTS + GROUP_SETTINGS),
    *((f"unblock_group({name}, 'g')", f"queue {word}") for name, word in QUEUE_NAMES),
    *((f"unblock_group('set', {name})", f"group_key {word}") for name, word in QUEUE_NAMES),
    *((f"groups({name})", f"queue {word}") for name, word in QUEUE_NAMES),
    *((f"groups('set', max => {given})", f"max {given}") for given in ("0", "-1", "10001", "null")),
    ("configure_queue('set', null)", "settings null"),
    *((f"configure('{settings}')", "") for settings in BAD_DOCUMENTS + SETTINGS),
    ("configure(null)", "settings null"),
    *((f"maintain(array[{duty}])", "duty") for duty in ("'rescue', 'nothing'", "null", "''")),
    *((f"jobs(max => {given})", f"max {given}") for given in ("0", "-1", "10001", "null")),
    ("jobs(state => 'done')", "state 'done'"),
    *((f"job_log({DONE}, max => {given})", f"max {given}") for given in ("0", "-1", "10001", "null")),
    (f"job_log({DONE}, null)", "after null"),
    *((f"log_lines({LEASE}, {RUNNING}, {lines})", words) for lines, words in BAD_LINES),
    *((f"throughput(step => {step})", "step") for step in ("null", "'0'", "'59 s'", "'90 s'", *BAD_INTERVALS)),
    *((f"throughput({time} => 'infinity')", time) for time in ("since", "until")),
    ("throughput(by_kind => null)", "by_kind null"),
    *(
        (f"{function}({WAITING}, {argument} => {given})", f"{argument} {given}")
        for function in ("parents", "children")
        for argument, given in (("max", "0"), ("max", "10001"), ("max", "null"), ("after", "null"))
    ),
    *(
        (f"{door}, {option} => {given})", word)
        for door in ("enqueue('k'", "enqueue_each('k', array['{}']::jsonb[]")
        for option, given, word in (
            ("depends_on", "array[null]::bigint[]", "depends_on"),
            ("depends_on", "array[array[1]]::bigint[]", "depends_on"),
            ("on_parent_failure", "'hope'", "on_parent_failure 'hope'"),
            ("on_success", "'7'", "on_success number"),
            ("on_error", "'\"x\"'", "on_error string"),
        )
    ),
    ("watch(null)", "null"),
    (f"watch(array[{WAITING}], null)", "null"),
    *((f"watch(array[{WAITING}], {given})", "lasting") for given in ("'0'", *BAD_INTERVALS)),
]
UNKNOWN_CALLS = [
    (f"{'call' if call.startswith('wait') else 'select * from'} pgqueue.{call.format(given)}", sqlstate, noun)
    for given in (UNKNOWN, "0", "-1", "null::bigint")
    for calls, sqlstate, noun in (
        (
            ("cancel({})", "retry({})", "reschedule({}, now())", "set_priority({}, 1)", "result({})", "job({})"),
            "PQ002",
            "job",
        ),
        (("parents({})", "children({})", "group_status({})"), "PQ002", "job"),
        (("attempts({})", "why({})", f"watch(array[{WAITING}, {{}}])", "wait({})"), "PQ002", "job"),
        (("job_log({})", "job_timeline({})"), "PQ002", "job"),
        ((f"log_lines({LEASE}, {{}}, '[]')", f"log_lines({{}}, {RUNNING}, '[]')"), "PQ004", "lease"),
        (("claim({}, array['default'])", "worker_heartbeat({})", "deregister_worker({})"), "PQ003", "worker"),
        (
            (f"settle_and_claim({{}}, {ONE_SETTLE}, array['succeeded'], null, null, null, array['default'])",),
            "PQ003",
            "worker",
        ),
    )
    for call in calls
]
