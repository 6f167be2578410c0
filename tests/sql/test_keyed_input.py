"""Bad input to the functions of keyed queues: a clear refusal that stores nothing. And names as odd as may be."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sql.calls import Caller
from tests.sql.keyed import ack, add, added, by_id, claim, ended, keys, nothing_left, result, run, running
from tests.sql.support import BAD_INTERVALS, QUEUE_NAMES, refused, shared_database
from tests.support.cluster import Server


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    """One item that waits, one that is active, one that is over."""
    with shared_database(server) as q:
        added(q, "waits"), running(q, "runs"), ended(q, "done", external_id="e")
        yield q


WAITS = "(select job_id from pgqueue.keyed_item where lease_id is null)"
DONE = "(select job_id from pgqueue.keyed_result)"
# Names of other lengths than those of the core: what a queue may be here.
NAMES = [(name.replace("1000", "2000"), word.replace("1000", "2000")) for name, word in QUEUE_NAMES]
OPTIONS = [
    *((f"queue => {name}, key => 'k', payload => 'p'", f"queue {word}") for name, word in NAMES),
    *((f"queue => 'q', key => {name}, payload => 'p'", f"key {word}") for name, word in NAMES),
    ("queue => 'q', key => repeat('k', 501), payload => 'p'", "key 501 characters"),
    ("queue => repeat('q', 1001), key => 'k', payload => 'p'", "queue 1001 characters"),
    ("queue => repeat('🐘', 450), key => repeat('🐘', 450), payload => 'p'", "queue and key take"),
    ("queue => repeat('🐘', 451), key => 'k', payload => 'p'", "bytes"),
    ("queue => 'q', key => 'k', payload => null", "payload null"),
    *(
        (f"queue => 'q', key => 'k', payload => 'p', {option}", words)
        for option, words in (
            *((f"priority => {given}", f"priority {given}") for given in ("null", "32768", "-32769")),
            *(
                (f"orphan_ms => {given}", "orphan_ms")
                for given in ("-1", "9223372036854775807", "-9223372036854775808")
            ),
            *((f"process_id => {given}", "process_id") for given in ("''", "repeat('p', 97)", r"e'a\nb'")),
            *((f"external_id => {given}", "external_id") for given in ("''", "repeat('p', 49)", r"e'a\nb'")),
            *((f"stage_key => {given}", "stage_key") for given in ("''", "repeat('p', 1001)", r"e'a\nb'")),
            ("exclusive => null", "exclusive null"),
            ("exclusive => true", "exclusive true"),
            *((f"max_attempts => {given}", f"max_attempts {given}") for given in ("null", "0", "-1", "32768")),
        )
    ),
]
NEITHER = ["keyed_get()", "keyed_cancel()", "keyed_heartbeat()", "keyed_ack(result => 'x')", "keyed_claim('q')"]
NEITHER += [f"{name}(queue => 'q')" for name in ("keyed_get", "keyed_cancel", "keyed_heartbeat", "keyed_ack")]
NEITHER += ["keyed_get(key => 'k')", "keyed_merge_extra(extra => '{}')", "keyed_merge_extra('q', extra => '{}')"]
LISTS = ["keyed_keys", "keyed_list", "keyed_pending", "keyed_active", "keyed_truncate", "keyed_to_cancel", "keyed_reap"]
BAD_MS = ["-1", "-9223372036854775808", "9223372036854775807"]
NO_OBJECTS = ["null", "''", "'[]'", "'5'", "'\"x\"'", "'{'", "'{}{}'", "'true'", "'{a:1}'", "'nul'"]
BAD_CALLS: list[tuple[str, str]] = [
    *((f"{door}({options})", words) for door in ("keyed_add", "keyed_add_and_claim") for options, words in OPTIONS),
    ("keyed_add_and_claim('q', 'k', 'p', concurrency => -1)", "concurrency -1"),
    *((call, "neither an id nor a key") for call in NEITHER),
    *((f"keyed_claim({name}, 'k')", f"queue {word}") for name, word in NAMES),
    *((f"keyed_claim_next({name})", f"queue {word}") for name, word in NAMES),
    *((f"keyed_{call}, concurrency => -1)", "concurrency -1") for call in ("claim('q', 'k'", "claim_next('q'")),
    *((f"keyed_{call}, process_id => '')", "process_id") for call in ("claim('q', 'k'", "claim_next('q'")),
    *((f"keyed_{call}, process_id => repeat('p', 97))", "97") for call in ("claim('q', 'k'", "claim_next('q'")),
    *((f"keyed_claim_next('q', n => {given})", f"n {given}") for given in ("null", "0", "-1", "1001")),
    *((f"{name}({queue})", f"queue {word}") for name in LISTS for queue, word in NAMES),
    *((f"keyed_stalled('q', {given})", "heartbeat_ms") for given in BAD_MS),
    *((f"keyed_orphaned('q', {given})", "orphan_ms") for given in BAD_MS),
    *((f"{name}('q', {given}, 5)", "heartbeat_ms") for given in BAD_MS for name in LISTS[-2:]),
    *((f"{name}('q', 5, {given})", "orphan_ms") for given in BAD_MS for name in LISTS[-2:]),
    *((f"keyed_reap('q', max => {given})", f"max {given}") for given in ("null", "0", "-1", "10001")),
    *((f"keyed_extend({WAITS}, {given})", "orphan_ms") for given in BAD_MS),
    *((f"keyed_merge_extra(id => {WAITS}, extra => {given})", "extra") for given in NO_OBJECTS),
    *((f"keyed_merge_extra(id => 5, extra => {given})", "extra") for given in NO_OBJECTS),
    *((f"keyed_ack(id => {WAITS}, result => 'x', ttl => {given})", "ttl") for given in ("'0'", *BAD_INTERVALS)),
    *((f"keyed_result({name}, 'k')", f"queue {word}") for name, word in NAMES),
    *((f"keyed_result('q', {name})", f"key {word}") for name, word in NAMES),
    (f"keyed_result_by_id({DONE}, 'f')", "not asked for"),
    *((f"keyed_stage({name}, 's')", f"queue {word}") for name, word in NAMES),
    *((f"keyed_stage('q', {name})", f"stage_key {word}") for name, word in NAMES),
    *((f"next_number({name})", f"name {word}") for name, word in NAMES),
    *((f"configure('{{\"keyed_ttl\": {given}}}')", "") for given in ("0", "-1", '"soon"', "null")),
]


@pytest.mark.parametrize(("call", "words"), BAD_CALLS)
def test_a_call_with_bad_arguments_is_refused(shared: Caller, call: str, words: str) -> None:
    with refused(shared, "PQ001", *words.split()):
        shared.sql(f"select * from pgqueue.{call}")


GONE = [
    *("keyed_get(id => {})", "keyed_cancel(id => {})", "keyed_result_by_id({})", "keyed_claim('q', id => {})"),
    *(
        "keyed_heartbeat(id => {})",
        "keyed_ack(id => {}, result => 'x')",
        "keyed_merge_extra(id => {}, extra => '{{}}')",
    ),
    *("keyed_extend({}, 5)", "keyed_state({})"),
]


@pytest.mark.parametrize("call", GONE)
@pytest.mark.parametrize("item", [0, -1, 987654321, 2**63 - 1, -(2**63)])
def test_ids_of_nothing_are_no_error(shared: Caller, call: str, item: int) -> None:
    rows = shared.sql(f"select * from pgqueue.{call.format(item)}")
    assert rows in ([], [(False,)], [("gone",)]) or rows[0][-1] in ("unknown", "budget")


# Names

ODD = ["🐘" * 99, "a/b", "%", "_", " ", "it's", "Ä", "ä", "null", "{a}", "a@b", 'x"', "\\", "a:b:c", "-", "q" * 450]


@pytest.mark.parametrize("name", ODD, ids=ascii)
def test_odd_names_are_matched_exactly(q: Caller, name: str) -> None:
    for other in ODD:
        add(q, other, name)
    assert sorted(keys(q, queue=name)) == sorted(ODD)
    item = added(q, "mine", name, stage_key=name[:99], external_id=name[:48], exclusive=True, process_id=name[:96])
    assert claim(q, "mine", name, 99, process_id=name[:96])["id"] == item
    assert ack(q, item, name)
    assert result(q, "mine", name, external_id=name[:48]) == name
    assert q.value("keyed_truncate", queue=name) == len(ODD)
    nothing_left(q)


@pytest.mark.parametrize(("queue", "key"), [("q" * 1000, "k" * 500), ("q" * 451, "k" * 451), ("é" * 800, "k" * 500)])
def test_the_longest_names(q: Caller, queue: str, key: str) -> None:
    """Text that does not compress, as an index has to hold it."""
    ((noise,),) = q.sql("select string_agg(md5(g::text), '') from generate_series(1, 60) g")
    queue, key = noise[: len(queue)] if queue[0] == "q" else queue, noise[-len(key) :]
    item = run(q, key, queue)["id"]
    assert add(q, key, queue)["id"] == item
    assert ack(q, item, "x")
    assert q.one("keyed_result", queue=queue, key=key)["payload"] == "x"
    assert added(q, key, queue)
    assert q.one("keyed_claim_next", queue=queue)["key"] == key
    assert q.one("keyed_cancel", queue=queue, key=key)["key"] == key


def test_names_that_differ_only_at_their_ends(q: Caller) -> None:
    long = "l" * 999
    items = [added(q, "k", long + end) for end in "abc"] + [added(q, "k", long)]
    assert len(set(items)) == 4
    for end, item in zip("abc", items, strict=False):
        assert q.one("keyed_claim_next", queue=long + end)["id"] == item
        assert by_id(q, item) is None
