"""Who may call what, what a hostile caller can prepare, and text that would like to be SQL."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller
from tests.sql.support import (
    DOORS,
    TYPES,
    calls,
    contents,
    granted,
    life,
    refused,
    routines,
    shadow,
    shared_database,
    sqlstate_as,
)
from tests.support.cluster import Database, Server

ROLES = ["pgqueue_producer", "pgqueue_worker", "pgqueue_operator", "pgqueue_reader"]
STRANGER = "pg_read_all_settings"  # any role without a grant of ours: this one is in every cluster


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    with shared_database(server) as caller:
        yield caller


def private(name: str) -> bool:
    return name.startswith("_")


# The catalogue


def test_every_public_routine_is_what_the_rules_say(shared: Caller) -> None:
    rows = shared.sql(
        """select p.proname, p.prosecdef, p.proconfig, obj_description(p.oid, 'pg_proc'), p.prokind
           from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname !~ '^_'"""
    )
    for name, definer, settings, comment, kind in rows:
        assert comment, f"{name} has no comment"
        assert len(comment) > 40, f"the comment on {name} says too little"
        if kind == "p":  # it commits, which PostgreSQL allows neither in a security definer nor under a set
            assert (name, definer, settings) in {("wait", False, None), ("keyed_wait", False, None)}
        else:
            assert definer, f"{name} is not security definer"
            assert "search_path=pg_catalog, pg_temp" in (settings or []), f"{name}: {settings}"


def test_no_private_function_is_security_definer(shared: Caller) -> None:
    """They run inside public ones, under whose rights and search path they are."""
    assert (
        shared.sql(
            "select proname from pg_proc where pronamespace = 'pgqueue'::regnamespace and proname ~ '^_' and prosecdef"
        )
        == []
    )


def test_there_are_no_overloads(shared: Caller) -> None:
    assert {name: found for name, found in routines(shared).items() if len(found) > 1} == {}


def test_parameters_have_plain_types_and_names(shared: Caller) -> None:
    plain = {"bigint", "integer", "text", "boolean", "jsonb", "interval", "timestamp with time zone"}
    for name, types, names in shared.sql(
        """select p.proname, p.proargtypes::regtype[]::text[], p.proargnames
           from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace and p.proname !~ '^_'"""
    ):
        assert {kind.removesuffix("[]") for kind in types} <= plain, name
        assert len(names or []) >= len(types), name
        assert all(re.fullmatch("[a-z][a-z_]*", parameter) for parameter in names or []), name


def test_grants_are_what_the_file_says_and_nobody_has_more(shared: Caller) -> None:
    found: dict[str, set[str]] = {role: set() for role in ROLES}
    for name, grantee in shared.sql(
        """select p.proname, case when a.grantee = 0 then 'public' else a.grantee::regrole::text end
           from pg_proc p cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
           where p.pronamespace = 'pgqueue'::regnamespace and a.grantee <> p.proowner"""
    ):
        found.setdefault(grantee, set()).add(name)
    assert found == granted()
    assert not any(private(name) for names in found.values() for name in names)
    everything = {name for name, _ in calls(shared, lambda name: not private(name))}
    assert set().union(*found.values()) == everything, "what no role may call is of no use"


def test_nobody_holds_anything_else_of_the_schema(q: Caller) -> None:
    q.enqueue()
    q("configure", settings={"blocks_ahead": 6})
    q("maintain")  # which makes tables of its own
    assert (
        q.sql(
            """select c.relname, a.* from pg_class c
           cross join aclexplode(
             coalesce(c.relacl, acldefault(case c.relkind when 'S' then 's' else 'r' end::"char", c.relowner))) a
           where c.relnamespace = 'pgqueue'::regnamespace and a.grantee <> c.relowner and c.relname <> 'query_log'"""
        )
        == []
    )
    assert sorted(
        q.sql(
            """select a.grantee::regrole::text, a.privilege_type from pg_namespace n cross join aclexplode(n.nspacl) a
               where n.nspname = 'pgqueue' and a.grantee <> n.nspowner"""
        )
    ) == [(role, "USAGE") for role in sorted(ROLES)]


# Real calls


@pytest.mark.parametrize("role", [*ROLES, STRANGER])
def test_a_role_calls_what_it_was_granted_and_nothing_else(q: Caller, role: str) -> None:
    allowed = granted().get(role, set())
    for name, call in calls(q, lambda name: not private(name)):
        found = sqlstate_as(q, role, call)
        if name in allowed:
            assert found == "00000" or found.startswith("PQ0"), f"{role} calls {name}: {found}"
        else:
            assert found == "42501", f"{role} calls {name}: {found}"


@pytest.mark.parametrize("role", [*ROLES, STRANGER])
def test_private_functions_and_tables_are_closed_to_every_role(q: Caller, role: str) -> None:
    for name, call in calls(q, private):
        assert sqlstate_as(q, role, call) == "42501", name
    relations = q.sql(
        """select oid::regclass::text, relkind from pg_class
           where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p', 'S', 'v')"""
    )
    for name, kind in relations:
        readable = name == "pgqueue.query_log" and role in ("pgqueue_operator", "pgqueue_reader")  # the audit trail
        assert sqlstate_as(q, role, f"select * from {name}") == ("00000" if readable else "42501"), name
        if kind in ("r", "p"):
            for statement in (f"delete from {name}", f"insert into {name} default values", f"truncate {name}"):
                assert sqlstate_as(q, role, statement) == "42501", statement
    assert sqlstate_as(q, role, "create table pgqueue.mine (id int)") == "42501"


def test_a_refusal_for_want_of_a_grant_stores_nothing(q: Caller) -> None:
    before = contents(q)
    q.sql("set role pgqueue_reader")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="enqueue"):
        q.enqueue()
    q.sql("reset role")
    assert contents(q) == before


def test_each_role_does_its_work_with_nothing_but_its_grant(pg: Database, q: Caller) -> None:
    """As login roles, members of one role each, from the enqueue to the result."""
    people = {role: f"{pg.name}_{role}" for role in ROLES}
    try:
        for role, person in people.items():
            q.sql(f"create role {person} login in role {role}")
        producer, worker, operator, reader = (Caller(pg.connect(user=person)) for person in people.values())
        job = producer.enqueue(args={"n": 1}, unique_key="u", group_key="g")
        later = producer.enqueue(delay="1 day")
        number = worker.worker()
        operator("configure_queue", queue="default", settings={"group_limit": 1, "max_running": 5})
        taken = worker.claim(number)
        assert [row["id"] for row in taken] == [job]
        assert worker.one("job_heartbeat", lease=taken[0]["lease"], job=job, progress={"done": 1})["alive"]
        assert reader.one("job", id=job)["progress"] == {"done": 1}
        assert worker.value("log_lines", lease=taken[0]["lease"], job=job, lines=Jsonb([{"message": "m"}])) == 1
        assert worker.settle(taken, result=7) == []
        assert {row["error"] for row in worker("maintain")} == {None}
        assert producer.one("result", id=job)["result"] == 7
        assert producer.sql("call pgqueue.wait(%s)", job) == [("succeeded", None, 7)]
        assert operator("cancel", id=later) == [{"state": "cancelled", "changed": True}]
        assert operator("retry", id=later) == [{"state": "queued", "changed": True}]
        assert {row["id"] for row in reader("jobs")} == {job, later}
        assert [row["message"] for row in reader("job_log", id=job)] == ["m"]
        assert reader("job_timeline", id=later) and reader("throughput") == []
        assert all(reader(function) for function in ("queues", "workers", "health", "version"))
        assert "queued" in reader.value("why", id=later)
        for caller in (producer, worker, operator, reader):
            caller.connection.close()
    finally:
        for person in people.values():
            q.sql(f"drop role if exists {person}")


# What a hostile user may have put in the way


FUNCTIONS = [
    *("length(text)", "clock_timestamp()", "now()", "hashtext(text)", "pg_notify(text, text)", "jsonb_typeof(jsonb)"),
    *("cardinality(anyarray)", "isfinite(timestamptz)", "pg_sleep(float8)", "set_config(text, text, boolean)"),
    *("jsonb_array_elements(jsonb)", "nextval(regclass)", "make_interval(float8)", "extract(text, interval)"),
]
OPERATORS = [
    *(
        "= (text, text)",
        "= (bigint, bigint)",
        "< (interval, interval)",
        ">= (timestamptz, timestamptz)",
        "-> (jsonb, text)",
    ),
    *("+ (timestamptz, interval)", "|| (text, text)", "~ (text, text)", "& (int, int)", "* (float8, float8)"),
]


@pytest.mark.parametrize("path", ["public, pg_catalog", "pg_temp, public, pg_catalog", "public", ""])
def test_shadows_of_the_servers_own_objects_are_not_seen(q: Caller, path: str) -> None:
    shadow(q, "public", FUNCTIONS, OPERATORS)
    shadow(q, "pg_temp", FUNCTIONS, OPERATORS)
    for table in ("job", "ready", "lane", "lease", "worker", "config", "queue", "pg_locks", "pg_class", "caught_too"):
        q.sql(f"create temp table {table} (id text, name text)")
    for kind in ("job_info", "final_state", "float8", "timestamptz", "tid", "smallint"):
        q.sql(f'create domain pg_temp."{kind}" as pg_catalog.int4 check (value > 1000000)')
    q.connection.execute(f"select pg_catalog.set_config('search_path', '{path}', false)")
    life(Caller(q.connection))
    assert q.connection.execute("select * from public.caught").fetchall() == []


def test_wait_runs_nothing_of_others_under_its_callers_rights(q: Caller) -> None:
    """It cannot pin its search path, so pg_catalog must have an exact fit for each operator in it: else one of
    somebody's that fits better is taken.
    """
    kinds = ["float8", "numeric", "int4", "int8", "timestamptz", "interval", "text"]
    present = set(q.sql("select oprname, oprleft::regtype::text, oprright::regtype::text from pg_operator"))
    spelled = {kind: q.sql(f"select '{kind}'::regtype::text")[0][0] for kind in kinds}
    better = [
        f"{sign} ({left}, {right})"
        for sign in ("*", "+", "-", "=", "<", "<=", ">", ">=")
        for left in kinds
        for right in kinds
        if (sign, spelled[left], spelled[right]) not in present
    ]
    shadow(q, "public", ["make_interval(secs float8)", "clock_timestamp()", "pg_sleep(float8)"], better)
    job = q.enqueue()
    assert q.sql(f"call pgqueue.wait({job}, '20 ms')") == [("queued", None, None)]
    q("cancel", id=job)
    assert q.sql(f"call pgqueue.wait({job}, '1 s')") == [("cancelled", "cancelled_by_user", None)]
    item = q.one("keyed_add", queue="q", key="k", payload="p")["id"]
    assert q.sql(f"call pgqueue.keyed_wait({item}, '20 ms')") == [(None, "pending")]
    q("keyed_ack", id=item, result="r")
    assert q.sql(f"call pgqueue.keyed_wait({item}, '1 s')") == [("r", "succeeded")]
    assert q.sql("select distinct who, what from public.caught") == []


# Text that would like to be SQL


HOSTILE = [
    *(
        "'); drop table pgqueue.job; --",
        "$$; drop schema pgqueue cascade; $$",
        "'||(select 1/0)||'",
        "\\'; select 1/0; --",
    ),
    *(
        "'; select pg_terminate_backend(pg_backend_pid()); --",
        '" or 1=1',
        'x"; --',
        "%I",
        "%s %1$L %%",
        "$1",
        "{{7*7}}",
    ),
    *('{a,"b"}', "null"),
]
Kept = Callable[[Caller, str], bool]


def enqueued(door: str, option: str) -> Kept:
    def kept(q: Caller, text: str) -> bool:
        given = {text: [text]} if TYPES[option] == "jsonb" else text
        ((job, _),) = DOORS[door](q, **{"kind": "k", option: given})
        return bool(q.one("job", id=job)[option] == given)

    return kept


def settled(function: str, name: str) -> Kept:
    """The text as a result, or as the error of a job that fails."""

    def kept(q: Caller, text: str) -> bool:
        job, worker = q.enqueue(queue="settled"), q.worker("settled")
        (taken,) = q.claim(worker, queues=["settled"])
        document = [Jsonb({text: text})]
        more = f", delays => null, worker => {worker}, queues => array['none']"
        rest = more if function == "settle_and_claim" else ""
        q.sql(
            f"""select * from pgqueue.{function}(
                  leases => array[{taken["lease"]}]::bigint[], jobs => array[{job}]::bigint[],
                  outcomes => %s, results => %s::jsonb[], errors => %s::jsonb[]{rest})""",
            *(["succeeded"], document, None) if name == "result" else (["discard"], None, document),
        )
        return bool(q.one("result", id=job)[name] == {text: text})

    return kept


def at_work(q: Caller, text: str) -> bool:
    """Progress, log lines, and why a running job was cancelled."""
    q.enqueue(queue="running")
    (taken,) = q.claim(q.worker("running"), queues=["running"])
    q("job_heartbeat", lease=taken["lease"], job=taken["id"], progress={text: text})
    line = {"level": text[:32], "message": text, "fields": {text: text}}
    q("log_lines", lease=taken["lease"], job=taken["id"], lines=Jsonb([line]))
    (logged,) = q("job_log", id=taken["id"])
    if {key: logged[key] for key in line} != line:
        return False
    q("cancel", id=taken["id"], why=text)
    if q("job_timeline", id=taken["id"])[-1]["data"] != {"why": text}:
        return False
    ((why,),) = q.sql("select why from pgqueue.cancel_request where job_id = %s", taken["id"])
    return (q.one("job", id=taken["id"])["progress"], why) == ({text: text}, text)


def registered(q: Caller, text: str) -> bool:
    number = q.value("register_worker", name=text, queues=[text, "b"], info={text: text})
    (row,) = (row for row in q("workers") if row["id"] == number)
    return (row["name"], row["queues"], row["info"]) == (text, [text, "b"], {text: text})


def queue_named(q: Caller, text: str) -> bool:
    """All that names a queue or a kind, and finds jobs by it."""
    job, worker = q.enqueue(kind=text, queue=text), q.worker(text)
    told = [q.value(name, queue=text) for name in ("pause_queue", "resume_queue", "resume_queue")]
    q("configure_queue", queue=text, settings={"max_attempts": 3})
    assert q.value("configure_group", queue=text, group_key=text, settings={"weight": 3}) == {"weight": 3}
    assert [row["group_key"] for row in q("groups", queue=text)] == [text]
    assert q("groups", queue=text, after=text) == []
    assert q.value("unblock_group", queue=text, group_key=text) is False
    q("worker_sleep", queues=[text])
    listed = [q("jobs", queue=text, kind=text)[0]["id"], *(row["queue"] for row in q("queues") if row["queue"] == text)]
    (taken,) = q.claim(worker, queues=[text])
    none = q.sql(
        f"select * from pgqueue.settle_and_claim({worker}, '{{}}', '{{}}', '{{}}', null, null, null, %s)", [text]
    )
    none += q("throughput", queue=text, kind=text)
    return [told, listed, taken["queue"], none] == [[True, True, False], [job, text], text, []]


def waited(q: Caller, text: str) -> bool:
    """What goes in is ignored."""
    job = q.enqueue()
    return q.sql("call pgqueue.wait(%s, '0', %s, %s, %s)", job, text, text, Jsonb(text)) == [("queued", None, None)]


def scripted(q: Caller, text: str) -> bool:
    """A script from its document to its end: nothing of it is run here, so all of it must come back as it went in."""
    name = text[:60]
    q("configure_owner", owner=text, settings={"max_waiting": 100})
    asked = {
        "query": [
            {
                "query": f"select {text!r} -- {text}".replace("\\", ""),
                "onerror": "select '<%= error_message %>'",
                text: text,
            }
        ]
    }
    (job,) = (
        row["id"] for row in q("submit_script", document=asked, owner=text, queue=text, datasource=text, role=name)
    )
    (taken,) = q.claim(q.worker(text), queues=[text])
    assert (taken["args"]["datasource"], taken["args"]["role"], taken["group_key"]) == (text, name, text)
    began = q.one("script_begin", lease=taken["lease"], job=job, backend_pid=1, backend_start="2026-01-01")
    assert q("scripts_running", queue=text) == [{"owner": text, "ids": [job]}]
    failed = {"message": text, "sqlstate": text}
    q("script_end", lease=taken["lease"], job=job, error=failed, notices=Jsonb([{"message": text}]))
    assert q.settle([taken], "release") == []
    (taken,) = q.claim(q.worker(text), queues=[text])
    fallback = q.one("script_begin", lease=taken["lease"], job=job, backend_pid=1, backend_start="2026-01-01")["sql"]
    assert q.connection.execute(fallback.encode()).fetchall() == [(text,)], "the message has left its literal"
    report = q.value("cancel_script", id=job, as_owner=text, why=text)
    assert q.settle([taken], "cancelled") == []
    with refused(q, "PQ002"):
        q("script_report", id=job, as_owner=text + "x")
    (query,) = report["queries"]
    (row,) = q("scripts", owner=text, queue=text)
    return [
        began["sql"],
        query[text],
        query["failed_reason"],
        query["notices"],
        row["id"],
        q.value("script_report", id=job, as_owner=text)["owner"],
    ] == [asked["query"][0]["query"], text, text, [{"message": text}], job, text]


def queried(q: Caller, text: str) -> bool:
    """A query from its text to its result, the worker's part included."""
    sql, name = "select $1 -- " + text.replace(";", ","), text[:60]
    (new,) = q("submit_query", sql=sql, params=Jsonb([text]), owner=text, queue=text, datasource=text, role=name)
    (taken,) = q.claim(q.worker(text), queues=[text])
    given = {"lease": taken["lease"], "job": new["id"]}
    assert q.one("query_begin", **given, backend_pid=1, backend_start="2026-01-01")["sql"] == sql
    column = {"name": text, "type": text, "oid": 25}
    described = q.one("query_describe", **given, columns=Jsonb([column]), param_types=["text"])
    assert q.connection.execute(described["sql"].encode()).fetchall() == [(text,)], "the parameter has left its literal"
    line = text.replace("\\", "\\\\").replace("\t", "\\t") + "\n"
    q("query_put", **given, n=0, row_count=1, data=line)
    end = q.one("query_end", **given, command=text, error={"message": text}, notices=Jsonb([{"message": text}]))
    batch = q.one("query_batch", id=new["id"], n=0, format="json", as_owner=text)
    named = q.one("query_columns", id=new["id"], as_owner=text)
    status = q.one("query_status", id=new["id"], as_owner=text)
    assert q.one("cancel_query", id=new["id"], as_owner=text, why=text)["changed"]
    assert q.settle([taken], end["verdict"], error=end["failure"]) == []
    with refused(q, "PQ002"):
        q("query_status", id=new["id"], as_owner=text + "x")
    ((logged,),) = q.sql(
        "select (owner, sql, params, datasource, role, error)::text is not null from pgqueue.query_log where id = %s",
        new["id"],
    )
    return [json.loads(batch["data"]), named["name"], named["type"], status["command"], status["notices"], logged] == [
        [{text: text}],
        text,
        text,
        text,
        [{"message": text}],
        True,
    ]


def batched(q: Caller, text: str) -> bool:
    """A batch and a slow query from their rows to their files, with the worker's part."""
    app, op = text[:90], text[:60].lower()
    rows = Jsonb([{"line": 1, "input": {text: text}}])
    batch = q.value("batch_submit", app=app, op=op, context=Jsonb({text: text}), rows=rows, owner=text, hold=True)
    each = q.value(
        "batch_submit_each", app=app, op=op, context=Jsonb(text), lines=[1], inputs=[{text: text}], owner=text
    )
    q("batch_append", id=batch, rows=rows)
    q("batch_append_each", id=batch, lines=[3], inputs=[{text: text}], hold=False)
    query = q.value("slow_query_submit", app=app, op=op, context=Jsonb([text]), input=Jsonb(text), owner=text)
    ((queue,),) = q.sql("select distinct queue from pgqueue.batch where app = %s", app)
    said = {"status": "succeeded", "result": text, "messages": [text], "output": {text: text}}
    for job in q.claim(q.worker(queue), queues=[queue]):
        assert {row[2] if query == job["args"]["batch"] else row[2][text] for row in job["args"]["rows"]} == {text}
        assert q.settle([job], result=[{"row": row[0], **said} for row in job["args"]["rows"]]) == []
    file = q.one("output_file", id=batch, name=text, as_owner=text)["data"]
    told = q.one("slow_query_status", id=query, as_owner=text)
    listed = q("batch_list", app=app, op=op, owner=text)
    for call in ("batch_status", "batch_rows", "output_file", "batch_abort"):
        with refused(q, "PQ002"):
            q(call, id=batch, as_owner=text + "x", **({"name": text} if call == "output_file" else {}))
    aborts = [
        q.one("batch_abort", id=batch, as_owner=text, why=text)["changed"],
        q.one("slow_query_abort", id=query, as_owner=text, why=text)["changed"],
    ]
    other = q.value("slow_query_submit", app=app, op=op, owner=text)
    (job,) = (job for job in q.claim(q.worker(queue), queues=[queue]) if job["kind"] == "rows.slow")
    q("slow_query_abort", id=other, why=text)
    why = q.sql("select why from pgqueue.cancel_request where job_id = %s", job["id"])
    kept = [
        [q.value("batch_context", id=number) for number in (batch, each, query)],
        [q.one("batch_status", id=batch, as_owner=text)[key] for key in ("app", "op", "owner", "rows")],
        [row["id"] for row in listed],
        {(row["result"], row["messages"][0]) for row in q("batch_rows", id=batch, as_owner=text)},
        [told["result"], told["messages"], list(told["files"])],
        [file, aborts, why],
    ]
    purged = q.value("batch_purge", older_than="0", app=app)
    return [kept, purged] == [
        [
            [{text: text}, text, [text]],
            [app, op, text, 3],
            [query, each, batch],
            {(text, text)},
            [text, [text], [text]],
            [f"{text}\n" * 3, [False, False], [(text,)]],
        ],
        4,
    ]


def timed(q: Caller, text: str) -> bool:
    """A schedule from its making to its job; and one that a program declares."""
    given = {"kind": text, "queue": text, "unique_key": text, "group_key": text}
    follow_up = {"kind": text, "args": {text: text}, "pass_as": text}
    q("schedule", name=text, cron="@hourly", kind="k", args={text: 1}, unique_by=[text])
    (row,) = q("enqueue", kind="k", args={text: 1}, unique_by=[text])
    assert row["id"] == q.value("run_schedule", name=text)
    q("schedule", name=text, cron="@hourly", args={text: text}, headers={text: text}, on_success=follow_up, **given)
    assert {row["name"]: row for row in q("schedules")}[text]["on_success"] == follow_up
    with refused(q, "PQ001"):
        q("schedule", name=text, cron="@hourly", kind="k", on_error={"kind": "k", text: text})
    q("pause_schedule", name=text), q("resume_schedule", name=text)
    job = q.one("job", id=q.value("run_schedule", name=text))
    assert (job["args"], job["headers"][text], job["headers"]["schedule"]) == ({text: text}, text, text)
    assert {key: job[key] for key in given} == given
    assert q.value("unschedule", name=text) is True
    declared = {"name": text, "cron": "@hourly", **given}
    for elements in ([declared, {"name": "bad", "cron": text}, {"name": "odd", text: text}], []):
        actions = {row["name"]: row["action"] for row in q("sync_schedules", app=text, declared=Jsonb(elements))}
        assert actions == {text: "added", "bad": "refused", "odd": "refused"} or actions == {text: "removed"}
    return True


def bulked(q: Caller, text: str) -> bool:
    """Jobs from a filter that names everything to the summary of what failed."""
    job = q.enqueue(text, args={text: text}, queue=text, unique_key=text, group_key=text, headers={text: text})
    given = {"queue": text, "kind": text, "unique_key": text, "group_key": text, "args": {text: text}}
    wanted = Jsonb({**given, "headers": {text: text}})
    other = text[:-1]
    moved = [q.one("move_jobs", filter=wanted, queue=name)["done"] for name in (other, other)]
    wanted = Jsonb({**given, "queue": other, "headers": {text: text}})
    raised = q.one("set_priority_of_jobs", filter=wanted, priority=1)["done"]
    q.settle(q.claim(q.worker(other), queues=[other]), "discard", error={"type": text, "message": text})
    (failed,) = q("failures", queue=other, kind=text)
    ended = Jsonb({"error_type": text, "kind": text, "after_id": job - 1})
    unknown = Jsonb({"reason": text, "kind": text})
    done = [q.one(f"{name}_jobs", filter=ended)["done"] for name in ("retry",)]
    q("edit_job", id=job, args={text: [text]}, headers={text: [text]})
    edited = q.one("job", id=job)
    done += [
        q.one("cancel_jobs", filter=Jsonb({"kind": text}), why=text)["done"],
        q.one("delete_jobs", filter=ended)["done"],
    ]
    return [
        moved,
        raised,
        (failed["error_type"], failed["message"], failed["queue"], failed["kind"]),
        done,
        (edited["args"], edited["headers"]),
        q.one("count_jobs", filter=unknown, action="delete")["jobs"],
    ] == [[1, 0], 1, (text, text, other, text), [1, 1, 1], ({text: [text]}, {text: [text]}), 0]


def keyed(q: Caller, text: str) -> bool:
    """An item from its request to its result, with those that only look."""
    queue, key, payload, other = f"{text} queue", f"{text} key", f"{text} payload", f"{text}?"
    process, external = text[:96], text[:48]
    asked = {"queue": queue, "key": key, "payload": payload, "process_id": process, "stage_key": text}
    (item,) = {q.one(call, **asked, external_id=external)["id"] for call in ("keyed_add", "keyed_add_and_claim")}
    where = {"queue": queue, "key": key}
    document = json.dumps({text: text})
    told = [
        q.value("keyed_merge_extra", **where, extra=document),
        q.value("keyed_heartbeat", **where),
        *(q.value("keyed_heartbeat", **where | {name: other}) for name in where),
        q.one("keyed_stage", queue=queue, stage_key=text)["id"],
        [row["key"] for row in q("keyed_stalled", queue=queue, heartbeat_ms=10**9)],
        [row["key"] for row in q("keyed_orphaned", queue=queue, orphan_ms=10**9)],
        [row["key"] for row in q("keyed_to_cancel", queue=queue)],
        [q.value("next_number", name=text) > 0, q("keyed_reap", queue=queue)],
    ]
    q("keyed_cancel", queue=queue, key=other)
    found = [q.one("keyed_get", **where)[name] for name in ("payload", "key")]
    found += [q.one(f"keyed_{name}", queue=queue, process_id=process)["key"] for name in ("list", "keys", "active")]
    added = q.one("keyed_add", **asked | {"key": other}, exclusive=True)["id"]
    found += [row["key"] for row in q("keyed_pending", queue=queue, process_id=process)]
    claims = [
        q.one("keyed_claim", queue=queue, key=other, concurrency=9, process_id=other[-96:])["refused"],
        q("keyed_claim_next", queue=queue, process_id=other[-96:]),
        q.one("keyed_claim", queue=queue, key=other, concurrency=9, process_id=process)["id"] == added,
    ]
    q("keyed_ack", **where, result=text)
    results = [
        q.one("keyed_result", **where, external_id=external)["payload"],
        q.one("keyed_result_by_id", id=item, external_id=external)["payload"],
        q.sql("call pgqueue.keyed_wait(%s, '0', %s, %s)", item, text, text),
    ]
    return [told, found, claims, results, q.value("keyed_truncate", queue=queue)] == [
        [True, True, False, False, item, [], [], [], [True, []]],
        [payload, key, key, key, key, other],
        ["exclusive", [], True],
        [text, text, [(text, "succeeded")]],
        1,
    ]


def unique_by(door: str) -> Kept:
    """The name of an argument; the key that it makes holds every character of it."""

    def kept(q: Caller, text: str) -> bool:
        (first, again) = (DOORS[door](q, kind="k", args={text: 1, "n": n}, unique_by=[text]) for n in (1, 2))
        return first[0][1] and again == [(first[0][0], False)]

    return kept


def no(call: str) -> Kept:
    """Refused: the argument has a closed set of values."""

    def kept(q: Caller, text: str) -> bool:
        with refused(q, "PQ001"):
            q.sql(f"select * from pgqueue.{call}", Jsonb({text: text}) if "%s::jsonb" in call else text)
        return True

    return kept


def followed(door: str, option: str) -> Kept:
    """The text in what follows a job: its key is refused, as an argument it is kept."""

    def kept(q: Caller, text: str) -> bool:
        with refused(q, "PQ001"):
            q.sql(f"select * from pgqueue.{door}({FIRST[door]}, {option} => %s)", Jsonb({"kind": "k", text: text}))
        given = [{"kind": "k", "args": {text: text}, "pass_as": "x"}]
        q.sql(f"select * from pgqueue.{door}({FIRST[door]}, {option} => %s)", Jsonb(given))
        return bool(q.sql("select jobs from pgqueue.follow_up order by job_id desc limit 1") == [(given,)])

    return kept


FOLLOW_UPS = ("on_success", "on_error")
FIRST = {
    "enqueue": "'k'",
    "enqueue_each": """'k', '{"{}"}'""",
    "submit_query": "'select 1'",
    "submit_script": """'"select 1"'""",
    "batch_submit": """'a', 'b', rows => '[{"line": 1, "input": 1}]'""",
    "batch_submit_each": "'a', 'b', '{}', '{1}', '{1}'",
    "slow_query_submit": "'a', 'b'",
}
TEXTS = ["kind", "args", "queue", "unique_key", "group_key", "headers"]
SETTLE = "leases => array[1]::bigint[], jobs => array[1]::bigint[], outcomes => array[%s]"
NOTHING = "results => null, errors => null, delays => null"
ARGUMENTS: dict[str, Kept] = {
    **{f"enqueue.{option}": enqueued("enqueue", option) for option in TEXTS},
    **{f"enqueue_each.{option}{'s' * ('_key' in option)}": enqueued("enqueue_each", option) for option in TEXTS},
    **{f"enqueue_many.jobs: {option}": enqueued("enqueue_many", option) for option in TEXTS},
    **{
        f"{door}.{name}": no(f"{door}('k', {args}, {key}, {name} => %s::text)")
        for door, args, key in (
            ("enqueue", "'{}'", "unique_key => 'u'"),
            ("enqueue_each", "array['{}'::jsonb]", "unique_keys => array['u']"),
        )
        for name in ("unique_until", "on_duplicate")
    },
    **{f"{door}.unique_by": unique_by(door) for door in ("enqueue", "enqueue_each")},
    "enqueue_many.jobs": no("enqueue_many(jsonb_build_array(%s::jsonb))"),
    **{f"{door}.{option}": followed(door, option) for door in FIRST for option in FOLLOW_UPS},
    **{f"{door}.on_parent_failure": no(f"{door}({first}, on_parent_failure => %s)") for door, first in FIRST.items()},
    "enqueue.backoff": no("enqueue('k', backoff => %s::jsonb)"),
    "enqueue_each.backoff": no("enqueue_each('k', '{}', backoff => %s::jsonb)"),
    **{f"register_worker.{name}": registered for name in ("name", "queues", "info")},
    **{f"{name}.queue": queue_named for name in ("pause_queue", "resume_queue", "configure_queue", "jobs")},
    **{f"{name}.queue": queue_named for name in ("configure_group", "unblock_group", "groups")},
    **dict.fromkeys(("configure_group.group_key", "unblock_group.group_key", "groups.after"), queue_named),
    "configure_group.settings": no("configure_group('q', 'g', %s::jsonb)"),
    **{f"{name}.queues": queue_named for name in ("claim", "settle_and_claim", "worker_sleep")},
    **{f"{name}.kind": queue_named for name in ("jobs", "throughput")},
    "throughput.queue": queue_named,
    "jobs.state": no("jobs(state => %s)"),
    **{f"{name}.results": settled(name, "result") for name in ("settle", "settle_and_claim")},
    **{f"{name}.errors": settled(name, "error") for name in ("settle", "settle_and_claim")},
    "settle.outcomes": no(f"settle({SETTLE})"),
    "settle_and_claim.outcomes": no(f"settle_and_claim({SETTLE}, {NOTHING}, worker => 1, queues => array['a'])"),
    "job_heartbeat.progress": at_work,
    "log_lines.lines": at_work,
    "cancel.why": at_work,
    "configure_queue.settings": no("configure_queue('q', %s::jsonb)"),
    "configure.settings": no("configure(%s::jsonb)"),
    "maintain.duties": no("maintain(array[%s])"),
    **{f"wait.{name}": waited for name in ("state", "reason", "result")},
    **{f"submit_script.{name}": scripted for name in ("document", "owner", "queue", "datasource", "role")},
    **{f"{name}.as_owner": scripted for name in ("script_report", "cancel_script")},
    **{f"scripts.{name}": scripted for name in ("owner", "queue")},
    **{f"script_end.{name}": scripted for name in ("error", "notices")},
    "cancel_script.why": scripted,
    "scripts_running.queue": scripted,
    "configure_owner.owner": scripted,
    "scripts.state": no("scripts(state => %s)"),
    "submit_script.settings": no("submit_script('\"select 1\"', settings => %s::jsonb)"),
    "configure_owner.settings": no("configure_owner('o', %s::jsonb)"),
    **{f"submit_query.{name}": queried for name in ("sql", "params", "owner", "queue", "datasource", "role")},
    **{f"{name}.as_owner": queried for name in ("query_status", "query_columns", "query_batch", "cancel_query")},
    **{f"query_describe.{name}": queried for name in ("columns", "param_types")},
    **{f"query_end.{name}": queried for name in ("command", "error", "notices")},
    "query_put.data": queried,
    "cancel_query.why": queried,
    "query_batch.format": no("query_batch(1, 0, %s)"),
    "submit_query.settings": no("submit_query('select 1', settings => %s::jsonb)"),
    **{f"batch_submit.{name}": batched for name in ("app", "op", "context", "rows", "owner")},
    **{f"batch_submit_each.{name}": batched for name in ("app", "op", "context", "inputs", "owner")},
    **{f"slow_query_submit.{name}": batched for name in ("app", "op", "context", "input", "owner")},
    **{f"batch_list.{name}": batched for name in ("app", "op", "owner")},
    **{f"{name}.as_owner": batched for name in ("batch_status", "batch_rows", "batch_abort", "output_file")},
    **{f"slow_query_{name}": batched for name in ("status.as_owner", "abort.as_owner", "abort.why")},
    **dict.fromkeys(("batch_append.rows", "batch_append_each.inputs", "batch_abort.why"), batched),
    **dict.fromkeys(("output_file.name", "batch_purge.app"), batched),
    "batch_list.kind": no("batch_list(kind => %s)"),
    "batch_list.status": no("batch_list(status => %s)"),
    **{f"schedule.{name}": timed for name in ("name", "kind", "args", "queue", "unique_key", "group_key", "headers")},
    **{f"schedule.{name}": timed for name in ("unique_by", "on_success", "on_error")},
    **{
        f"schedule.{name}": no(f"schedule('s', '@daily', 'k', unique_key => 'u', {name} => %s)")
        for name in ("unique_until", "on_duplicate")
    },
    **{f"{name}.name": timed for name in ("unschedule", "pause_schedule", "resume_schedule", "run_schedule")},
    **{f"sync_schedules.{name}": timed for name in ("app", "declared")},
    **{f"schedule.{name}": no(f"schedule('s', '@daily', 'k', {name} => %s)") for name in ("time_zone", "missed")},
    **{f"{name}_jobs.filter": bulked for name in ("cancel", "retry", "move", "delete", "count")},
    **dict.fromkeys(("set_priority_of_jobs.filter", "cancel_jobs.why", "move_jobs.queue"), bulked),
    **dict.fromkeys(("edit_job.args", "edit_job.headers", "failures.queue", "failures.kind"), bulked),
    "count_jobs.action": no('count_jobs(\'{"queue": "a"}\', %s)'),
    "schedule.cron": no("schedule('s', %s, 'k')"),
    "schedule.backoff": no("schedule('s', '@daily', 'k', backoff => %s::jsonb)"),
    "next_runs.cron": no("next_runs(%s)"),
    "next_runs.time_zone": no("next_runs('@daily', %s)"),
    **{
        f"{name}.{argument}": keyed
        for name in ("keyed_add", "keyed_add_and_claim")
        for argument in ("queue", "key", "payload", "process_id", "external_id", "stage_key")
    },
    **{
        f"keyed_{name}.{argument}": keyed
        for name in ("claim", "get", "cancel", "heartbeat", "merge_extra", "ack", "result")
        for argument in ("queue", "key")
    },
    **{
        f"keyed_{name}.queue": keyed
        for name in ("claim_next", "stage", "stalled", "orphaned", "to_cancel", "reap", "truncate")
    },
    **{
        f"keyed_{name}.{argument}": keyed
        for name in ("list", "keys", "active", "pending")
        for argument in ("queue", "process_id")
    },
    **dict.fromkeys(("keyed_claim.process_id", "keyed_claim_next.process_id", "keyed_merge_extra.extra"), keyed),
    **dict.fromkeys(("keyed_ack.result", "keyed_result.external_id", "keyed_result_by_id.external_id"), keyed),
    **dict.fromkeys(("keyed_stage.stage_key", "keyed_wait.payload", "keyed_wait.state", "next_number.name"), keyed),
}


# Arguments that one function puts to the test together are one case, named after the first of them.
CASES: dict[Kept, str] = {}
for _argument, _kept in ARGUMENTS.items():
    CASES.setdefault(_kept, _argument)


CATALOGUES = [
    *("pg_class", "pg_attribute", "pg_attrdef", "pg_index", "pg_constraint", "pg_trigger", "pg_policy", "pg_rewrite"),
    *(
        "pg_type",
        "pg_enum",
        "pg_proc",
        "pg_sequence",
        "pg_description",
        "pg_default_acl",
        "pg_namespace",
        "pg_event_trigger",
    ),
    *("pg_extension", "pg_operator", "pg_cast", "pg_authid", "pg_auth_members", "pg_database", "pg_db_role_setting"),
]


def objects(q: Caller) -> list[tuple[str, int, int]]:
    """Each catalogue's rows, and the transaction that wrote the newest: equal as long as no object, right, setting or
    role has come, gone or changed. Ten times cheaper than to read all definitions.
    """
    return q.sql(
        " union all ".join(f"select '{name}', count(*), max(xmin::text::bigint) from {name}" for name in CATALOGUES)
    )


@pytest.mark.sweep
@pytest.mark.parametrize("kept", CASES, ids=CASES.values())
def test_text_stays_text(shared: Caller, kept: Kept) -> None:
    """Kept verbatim or refused; the catalogue and what others enqueued stay as they were."""
    canary = shared.enqueue(queue="canary", args={"sings": True})
    before = objects(shared)
    for text in HOSTILE:
        assert kept(shared, f"{text} {CASES[kept]}"), text
    assert shared.one("job", id=canary)["args"] == {"sings": True}
    assert objects(shared) == before


def test_every_argument_with_text_in_it_is_put_to_that_test(shared: Caller) -> None:
    found = shared.sql(
        """select p.proname || '.' || a.name from pg_proc p
           cross join unnest(p.proargtypes::regtype[], p.proargnames[1:p.pronargs]) a(kind, name)
           where p.pronamespace = 'pgqueue'::regnamespace and p.proname !~ '^_'
             and a.kind::text in ('text', 'text[]', 'jsonb', 'jsonb[]')"""
    )
    assert {name for (name,) in found} == {name for name in ARGUMENTS if ":" not in name}
