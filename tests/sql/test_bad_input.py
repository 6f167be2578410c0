"""Bad input: a clear refusal that stores nothing, or a clear success."""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.sql.calls import Caller
from tests.sql.support import (
    BAD_CALLS,
    DONE,
    DOORS,
    LEASE,
    NOON,
    ONE_SETTLE,
    RUNNING,
    TRICK,
    UNKNOWN,
    UNKNOWN_CALLS,
    WAITING,
    WORKER,
    bad_enqueues,
    contents,
    refused,
    shared_database,
)
from tests.support.cluster import Server

pytestmark = pytest.mark.sweep


@pytest.fixture(scope="module")
def busy(server: Server) -> Iterator[Caller]:
    """A queue at work: a worker, a finished job, a running one, a waiting one, a scheduled one, settings."""
    with shared_database(server) as q:
        worker = q.worker("default")
        q.enqueue()
        q.settle(q.claim(worker))
        q.enqueue(unique_key="u", heartbeat="1 minute")
        q.claim(worker)
        q.enqueue(priority=3)
        q.enqueue(delay="1 day", group_key="g", expires_in="2 days")
        q("configure_queue", queue="set", settings={"max_running": 3, "retention": "1 day"})
        yield q


# Enqueue, by all three ways in


@pytest.mark.parametrize(("door", "options", "words"), bad_enqueues())
def test_enqueue_refuses(busy: Caller, door: str, options: dict[str, Any], words: str) -> None:
    with refused(busy, "PQ001", *words.split()):
        DOORS[door](busy, **{"kind": "k", **options})


@pytest.mark.parametrize("sign", ["", "-"])
@pytest.mark.parametrize("door", DOORS)
def test_an_infinite_interval_is_refused(busy: Caller, door: str, sign: str) -> None:
    """By us from PostgreSQL 17 on, which has them; by the type before."""
    if busy.connection.info.server_version >= 170000:
        with refused(busy, "PQ001", "delay"):
            DOORS[door](busy, kind="k", delay=f"{sign}infinity")
    else:
        before = contents(busy)
        with pytest.raises(psycopg.errors.InvalidDatetimeFormat):
            DOORS[door](busy, kind="k", delay=f"{sign}infinity")
        assert contents(busy) == before


# Every other function


@pytest.mark.parametrize(("call", "words"), BAD_CALLS)
def test_a_call_with_bad_arguments_is_refused(busy: Caller, call: str, words: str) -> None:
    with refused(busy, "PQ001", *words.split()):
        busy.sql(f"select * from pgqueue.{call}")


@pytest.mark.parametrize(("call", "sqlstate", "noun"), UNKNOWN_CALLS)
def test_an_unknown_job_or_worker_is_refused(busy: Caller, call: str, sqlstate: str, noun: str) -> None:
    with refused(busy, sqlstate, noun):
        busy.sql(call)


def test_what_the_state_forbids_is_refused(busy: Caller) -> None:
    for call in (
        f"retry({WAITING})",
        f"retry({RUNNING})",
        f"retry({DONE})",
        f"reschedule({RUNNING}, now())",
        f"reschedule({DONE}, now())",
    ):
        with refused(busy, "PQ005", "job"):
            busy.sql(f"select * from pgqueue.{call}")
    for job in (RUNNING, DONE):
        with refused(busy, "PQ005", "job"):
            busy.sql(f"select * from pgqueue.set_priority({job}, 1)")


@pytest.mark.parametrize("timeout", ["'-1 s'", "'-178000000 years'", "'0'"])
def test_a_wait_of_no_length_looks_once(busy: Caller, timeout: str) -> None:
    (job,) = busy.sql(f"select {WAITING}")[0]
    assert busy.sql(f"call pgqueue.wait({job}, {timeout})") == [("queued", None, None)]


@pytest.mark.parametrize("timeout", ["null", "'178000000 years'", f"'{TRICK}'"])
def test_a_wait_of_any_length_ends_with_the_job(busy: Caller, timeout: str) -> None:
    (job,) = busy.sql(f"select {DONE}")[0]
    assert busy.sql(f"call pgqueue.wait({job}, {timeout})")[0][0] == "succeeded"


# Names nobody has used yet are fine: a queue and a kind exist by being used


def test_an_unknown_queue_is_an_empty_one(busy: Caller) -> None:
    before = contents(busy)
    assert busy.sql(f"select * from pgqueue.claim({WORKER}, array['never heard of'])") == []
    assert busy("jobs", queue="never heard of") == busy("jobs", kind="never heard of") == []
    assert busy.value("resume_queue", queue="never heard of") is False
    assert contents(busy) == before


def test_an_unknown_queue_is_paused_and_configured_before_its_first_job(q: Caller) -> None:
    assert q.value("pause_queue", queue="to come") is True
    q("configure_queue", queue="to come", settings={"max_attempts": 2})
    job = q.enqueue("nobody knows this kind", queue="to come")
    worker = q.worker("to come")
    assert q.claim(worker, queues=["to come"]) == []
    q("resume_queue", queue="to come")
    assert [(taken["id"], taken["kind"], taken["max_attempts"]) for taken in q.claim(worker, queues=["to come"])] == [
        (job, "nobody knows this kind", 2)
    ]


NAMES = [
    *(
        " ",
        "x",
        "n" * 200,
        "🐘" * 200,
        "it's",
        'say "hi"',
        "a:b::c",
        "50%",
        "%s %I %L",
        "back\\slash",
        "a;b--c",
        "$1 $$",
        "{a,b}",
    ),
    *(
        "[1]",
        "null",
        "NULL",
        "Ä",
        "A\u0308",
        "مرحبا",
        "\u202eevil",
        "\u2028",
        "\ufeff",
        "👩‍👩‍👧‍👦",
        "\U0010ffff",
        "a b",
        " a ",
        "/../",
        "*",
        "<b>",
    ),
]


@pytest.mark.parametrize("door", DOORS)
def test_odd_names_come_back_verbatim(q: Caller, door: str) -> None:
    worker = q.worker(*NAMES)
    jobs = [DOORS[door](q, kind=name, queue=name, unique_key=name * 2, group_key=name * 2)[0][0] for name in NAMES]
    for job, name in zip(jobs, NAMES, strict=True):
        stored = q.one("job", id=job)
        assert [stored[key] for key in ("kind", "queue", "unique_key", "group_key")] == [name, name, name * 2, name * 2]
        assert q("jobs", queue=name, kind=name)[0]["id"] == job
        assert q.value("pause_queue", queue=name) is q.value("resume_queue", queue=name) is True
        (taken,) = q.claim(worker, queues=[name])
        assert [taken[key] for key in ("id", "kind", "queue")] == [job, name, name]
        assert q.settle([taken]) == []
    assert sorted(row["queue"] for row in q("queues")) == sorted([*NAMES, "scripts"])
    assert q("workers")[0]["queues"] == NAMES


@pytest.mark.parametrize("key", ["unique_key", "group_key"])
@pytest.mark.parametrize("door", DOORS)
def test_the_longest_names_are_stored_or_refused_whatever_their_letters(q: Caller, door: str, key: str) -> None:
    """Four bytes a letter and nothing to compress: more than an index entry holds, were only letters counted."""
    rare = random.Random(5)
    queue, name = ("".join(chr(rare.randint(0x20000, 0x2A6DF)) for _ in range(length)) for length in (200, 500))
    refusal: psycopg.Error | None = None
    try:
        ((job, _),) = DOORS[door](q, kind=queue, queue=queue, **{key: name})
    except psycopg.Error as error:
        refusal = error
    if refusal is not None:
        assert (refusal.sqlstate, bool(refusal.diag.message_hint)) == ("PQ001", True), refusal
    else:
        (taken,) = q.claim(q.worker(queue), queues=[queue])
        assert (taken["id"], taken[key]) == (job, name)


# Documents


@pytest.mark.parametrize("door", DOORS)
def test_ten_megabytes_come_back_whole(q: Caller, door: str) -> None:
    args = {"blob": secrets.token_hex(5 << 20), "text": "x" * 1000}
    ((job, _),) = DOORS[door](q, kind="k", args=args)
    (taken,) = q.claim(q.worker())
    assert (taken["id"], taken["args"] == args) == (job, True)
    if door != "enqueue":  # from here on the way is the same for all
        return
    assert q.settle([taken], result=args) == []
    assert (q.one("result", id=job)["result"] == args) is True


@pytest.mark.parametrize(
    "call",
    [
        "enqueue('k', args => %s)",
        "enqueue('k', headers => %s)",
        "enqueue_each('k', array[%s::jsonb])",
        "enqueue_many(jsonb_build_array(%s::jsonb))",
        "configure_queue('q', %s)",
        f"job_heartbeat({LEASE}, {RUNNING}, %s)",
        f"settle({ONE_SETTLE}, array['succeeded'], array[%s::jsonb])",
        f"settle({ONE_SETTLE}, array['failed'], errors => array[%s::jsonb])",
    ],
)
def test_a_nul_in_json_is_refused_by_the_server(busy: Caller, call: str) -> None:
    """Before any function of ours runs: jsonb itself cannot hold it."""
    before = contents(busy)
    for document in (r'{"kind": "k", "a": "\u0000"}', r'{"\u0000": 1}'):
        with pytest.raises(psycopg.errors.UntranslatableCharacter, match="Unicode escape"):
            busy.sql(f"select * from pgqueue.{call}", document)
    assert contents(busy) == before


def test_a_nul_in_a_name_does_not_leave_the_client(busy: Caller) -> None:
    with pytest.raises(psycopg.DataError, match="NUL"):
        busy.enqueue("a\0b")


def test_odd_documents_come_back_verbatim(q: Caller) -> None:
    deep: Any = {}
    for _ in range(100):
        deep = {"a": [deep]}
    args = {
        "": "",
        "'": '"',
        "deep": deep,
        "big": 10**300,
        "small": 1e-300,
        "neg": -0.5,
        "emoji": "👩‍👩‍👧‍👦",
        "lone": "\ufffd",
        "nul": "\\u0000",
    }
    q.enqueue(args=args, headers={"h": args})
    (taken,) = q.claim(q.worker())
    assert (taken["args"], taken["headers"]) == (args, {"h": args})


# A stale lease


STALE = ["never was", "settled", "lost"]


@pytest.fixture(params=STALE)
def stale(request: pytest.FixtureRequest, q: Caller) -> tuple[Caller, int, int, int]:
    """A worker with a lease that is no longer good, and the job: unknown, over, or in another worker's hands."""
    q.clock(NOON)
    worker, job = q.worker(), q.enqueue(unique_key="u")
    (taken,) = q.claim(worker)
    if request.param == "never was":
        return q, worker, int(UNKNOWN), job
    if request.param == "settled":
        q.settle([taken], "retry", delay=0)
        q.claim(worker)
    if request.param == "lost":
        q.clock("2024-05-01 13:00:00+00")
        q("maintain", duties=["rescue"])
        worker = q.worker()
        assert len(q.claim(worker)) == 1
    return q, worker, taken["lease"], job


OUTCOMES = ["succeeded", "failed", "timeout", "retry", "snooze", "release", "cancelled", "discard"]


def test_a_stale_lease_changes_nothing_and_says_so(stale: tuple[Caller, int, int, int]) -> None:
    q, worker, lease, job = stale
    before = contents(q)
    for outcome in OUTCOMES:
        told = q.settle([{"lease": lease, "id": job}], outcome, result={"late": True}, error={"type": "Late"}, delay=1)
        assert told == [{"lease": lease, "job_id": job, "problem": "stale"}]
        (told,) = q.sql(
            """select problem, lease, id, kind
               from pgqueue.settle_and_claim(%s, array[%s]::bigint[], array[%s]::bigint[], array[%s],
                 array[%s], array[%s], array['1 second'::interval], array['default'])""",
            *(worker, lease, job, outcome, Jsonb({"late": True}), Jsonb({"type": "Late"})),
        )
        assert told == ("stale", lease, job, None)
    assert q("job_heartbeat", lease=lease, job=job, progress={"late": 1}) == [
        {"alive": False, "cancel_requested": False}
    ]
    assert {"action": "lost", "lease": lease, "job_id": None} in q("worker_heartbeat", worker=worker, leases=[lease])
    assert contents(q) == before


@pytest.mark.parametrize(
    "arguments",
    [("null", "null"), (LEASE, "null"), ("null", RUNNING), (LEASE, WAITING), (UNKNOWN, RUNNING), (LEASE, UNKNOWN)],
)
def test_a_heartbeat_of_what_is_not_running_is_not_alive(busy: Caller, arguments: tuple[str, str]) -> None:
    before = contents(busy)
    assert busy.sql(f"select * from pgqueue.job_heartbeat({', '.join(arguments)}, '1')") == [(False, False)]
    assert contents(busy) == before


def test_a_lost_worker_is_told_so_by_every_function(q: Caller) -> None:
    q.clock(NOON)
    worker, job = q.worker(), q.enqueue()
    (taken,) = q.claim(worker)
    q.clock("2024-05-01 13:00:00+00")
    q("maintain", duties=["rescue"])
    settled = "array[%s]::bigint[], array[%s]::bigint[], array['succeeded'], null, null, null, array['default']"
    with refused(q, "PQ003"):
        q.sql(f"select * from pgqueue.settle_and_claim(%s, {settled})", worker, taken["lease"], job)
    for call in ("claim(%s, array['default'])", "worker_heartbeat(%s)", "deregister_worker(%s)"):
        with refused(q, "PQ003", f"worker {worker}"):
            q.sql(f"select * from pgqueue.{call}", worker)
    assert q.state(job) == "queued"


def test_a_refused_claim_takes_the_settle_along(busy: Caller) -> None:
    """One call, one transaction: neither has happened."""
    settled = f"{ONE_SETTLE}, array['succeeded'], null, null, null"
    for rest in ("array['default'], 0", "'{}'", "null"):
        with refused(busy, "PQ001"):
            busy.sql(f"select * from pgqueue.settle_and_claim({WORKER}, {settled}, {rest})")
