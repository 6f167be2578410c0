"""Output files, rows by pages, lists, owners, and how long all of it is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.sql.batches import QUEUE, balanced, counts, file, hand_in, lines, said, slow, status, submit, take, work
from tests.sql.calls import Caller
from tests.sql.support import contents, refused, shared_database
from tests.support.cluster import Server

Session = Callable[[], Caller]


@pytest.fixture(scope="module")
def shared(server: Server) -> Iterator[Caller]:
    with shared_database(server) as caller:
        yield caller


# Output files


def test_lines_are_in_the_order_of_line_and_row_whoever_was_first(q: Caller) -> None:
    given = [{"line": line, "input": n} for n, line in enumerate([5, 3, 5, 1, 3, 2, 9])]
    batch = submit(q, given, slice_size=2)
    for job in reversed(take(q, q.worker(QUEUE))):
        hand_in(q, job, lambda row: said(row, output={"all": f"{row[1]} {row[0]}"}))
    assert file(q, batch, "all").splitlines() == ["1 3", "2 5", "3 1", "3 4", "5 0", "5 2", "9 6"]
    assert file(q, batch, "all").endswith("\n")


def test_several_files_one_of_them_of_even_lines_only(q: Caller) -> None:
    batch = submit(q, 8)
    work(
        q,
        q.worker(QUEUE),
        lambda row: said(row, output={"all": str(row[1]), **({"even": f"e{row[1]}"} if row[1] % 2 == 0 else {})}),
    )
    assert status(q, batch)["files"] == {"all": {"lines": 8, "chars": 16}, "even": {"lines": 4, "chars": 12}}
    assert file(q, batch, "even") == "e2\ne4\ne6\ne8\n"


def test_aborted_rows_have_no_lines_and_failed_ones_have(q: Caller) -> None:
    batch = submit(q, 3)
    ends = {1: "succeeded", 2: "failed", 3: "aborted"}
    work(q, q.worker(QUEUE), lambda row: said(row, ends[row[1]], output={"f": ends[row[1]], f"of {row[1]}": "x"}))
    assert file(q, batch, "f") == "succeeded\nfailed\n"
    assert sorted(status(q, batch)["files"]) == ["f", "of 1", "of 2"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("text", "text\n"),
        ("", "\n"),
        ("  a \t", "  a \t\n"),
        ("a\nb", "a\nb\n"),
        ("a\r\n", "a\r\n\n"),
        (["a", "", " ", "b"], "a\n\n \nb\n"),
        ([""], "\n"),
        (["a", None, "b"], "a\nb\n"),
        (5, "5\n"),
        (True, "true\n"),
        ({"k": 1}, '{"k": 1}\n'),
        ([1, [2], {"k": None}], '1\n[2]\n{"k": null}\n'),
        ("\u2028 🐘", "\u2028 🐘\n"),
        ([], None),
        (None, None),
        ([None], None),
    ],
)
@pytest.mark.parametrize("name", ["f", "a/b", "../x", "", "🐘" * 500])
def test_what_a_row_may_write(shared: Caller, name: str, given: object, expected: str | None) -> None:
    """Nothing is trimmed or lost, blank lines are lines, and any name will do. What writes no line makes no file."""
    batch = submit(shared, 1)
    work(shared, shared.worker(QUEUE), lambda row: said(row, output={name: given}))
    files = status(shared, batch)["files"]
    if expected is None:
        assert files == {}
        with refused(shared, "PQ002", "no output file"):
            shared("output_file", id=batch, name=name)
    else:
        count = len([line for line in given if line is not None]) if isinstance(given, list) else 1
        assert files == {name: {"lines": count, "chars": len(expected)}}
        assert file(shared, batch, name) == expected


@pytest.mark.parametrize("chars", [1, 7, 100, 1000000])
def test_a_file_is_read_in_pieces(q: Caller, chars: int) -> None:
    batch = submit(q, [{"line": n // 3 + 1, "input": n} for n in range(100)])
    work(q, q.worker(QUEUE), lambda row: said(row, output={"f": [f"row {row[0]}", ""]} if row[0] % 2 else {}))
    whole = "".join(f"row {n}\n\n" for n in range(1, 100, 2))
    assert file(q, batch, "f", chars=chars) == whole
    assert status(q, batch)["files"] == {"f": {"lines": 100, "chars": len(whole)}}
    first = q.one("output_file", id=batch, name="f", chars=chars)
    assert len(first["data"]) <= max(chars + 8, 8)


def test_a_large_file_takes_no_longer_than_its_size(q: Caller) -> None:
    """Thirty thousand lines in one piece, and by pieces of a hundredth: neither costs the square."""
    n = 30_000
    batch = q.sql(
        """select pgqueue.batch_submit_each('app', 'op', '{}', array_agg(n), array_agg('1'::jsonb), slice_size => 10000)
           from generate_series(1, %s) n""",
        n,
    )[0][0]
    work(q, q.worker(QUEUE), lambda row: said(row, output={"f": f"line {row[1]}"}))
    q.sql("set statement_timeout = '3s'")
    whole = "".join(f"line {line}\n" for line in range(1, n + 1))
    assert status(q, batch)["files"] == {"f": {"lines": n, "chars": len(whole)}}
    assert q.one("output_file", id=batch, name="f", chars=10**8)["data"] == whole
    assert file(q, batch, "f", chars=len(whole) // 100) == whole


def test_a_file_is_there_when_the_batch_is_over(q: Caller) -> None:
    batch = submit(q, 20)
    worker = q.worker(QUEUE)
    first, second = take(q, worker)
    hand_in(q, first, lambda row: said(row, output={"f": "x"}))
    assert status(q, batch)["files"] is None
    with refused(q, "PQ005", "not over"):
        q("output_file", id=batch, name="f")
    hand_in(q, second)
    assert file(q, batch, "f") == "x\n" * 10


# Rows by pages


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
def test_rows_by_pages(q: Caller, size: int) -> None:
    batch = submit(q, [{"line": n // 4 + 1, "input": n} for n in range(30)])
    other = submit(q, 5)
    work(q, q.worker(QUEUE))
    found: list[Any] = []
    at: dict[str, Any] = {}
    while page := q("batch_rows", id=batch, max=size, **at):
        assert len(page) <= size
        found += [(row["line"], row["row_id"]) for row in page]
        at = {"after_line": page[-1]["line"], "after_row": page[-1]["row_id"]}
    assert found == [(n // 4 + 1, n) for n in range(30)]
    assert len(q("batch_rows", id=other)) == 5
    assert [row["line"] for row in q("batch_rows", id=batch, after_line=7)] == [8, 8]


def test_rows_of_a_batch_that_runs_are_those_that_are_done(q: Caller) -> None:
    batch = submit(q, 30)
    jobs = take(q, q.worker(QUEUE))
    assert q("batch_rows", id=batch) == []
    hand_in(q, jobs[1])
    assert [row["line"] for row in q("batch_rows", id=batch)] == list(range(11, 21))


# Lists


def test_lists(q: Caller) -> None:
    q.clock("2026-01-01")
    old = submit(q, 1, "a", "x", owner="alice")
    work(q, q.worker("a/x"), said, "a/x")
    q.clock("2026-01-09")
    running = submit(q, 2, "a", "x", owner="bob", slice_size=1)
    (first, _) = take(q, q.worker("a/x"), 2, "a/x")
    hand_in(q, first, lambda row: said(row, "failed"))
    held = submit(q, 1, "a", "y", hold=True, owner="alice")
    query = slow(q, 1, "a", "y", owner="alice")
    other = submit(q, 1, "b", "x", owner="alice")
    gone = submit(q, 1, "b", "x", owner="alice")
    q("batch_abort", id=gone)

    def ids(**filters: Any) -> list[int]:
        return [row["id"] for row in q("batch_list", **filters)]

    assert ids() == [gone, other, query, held, running, old]
    assert ids(app="a") == [query, held, running, old]
    assert ids(app="a", op="X") == [running, old]
    assert ids(op="x") == [gone, other, running, old]
    assert ids(app="a", op="x", before=running) == [old]
    assert ids(app="A") == ids(app="a", op="") == ids(app="never") == []
    assert ids(app="a", max_age="7 days") == [query, held, running]
    assert ids(kind="slow_query") == [query]
    assert ids(kind="batch", owner="alice") == [gone, other, held, old]
    assert ids(max=2) == [gone, other]
    assert ids(max=2, before=other) == [query, held]
    found = {name: ids(status=name) for name in ("held", "queued", "running", "succeeded", "failed", "aborted")}
    assert found == {
        "held": [held],
        "queued": [other, query],
        "running": [running],
        "succeeded": [old],
        "failed": [],
        "aborted": [gone],
    }
    for row in q("batch_list"):
        if row["kind"] == "batch":
            assert row == status(q, row["id"]), "as batch_status has it"


# Owners


def test_what_belongs_to_others_is_unknown(q: Caller) -> None:
    batch, query = submit(q, 2, owner="alice"), slow(q, owner="alice")
    work(q, q.worker(QUEUE), lambda row: said(row, output={"f": "x"}))
    calls: dict[str, dict[str, Any]] = {
        "batch_status": {"id": batch},
        "batch_rows": {"id": batch},
        "batch_abort": {"id": batch},
        "output_file": {"id": batch, "name": "f"},
        "slow_query_status": {"id": query},
        "slow_query_abort": {"id": query},
    }
    for call, arguments in calls.items():
        with refused(q, "PQ002", "unknown"):
            q(call, **arguments, as_owner="bob")
        assert q(call, **arguments, as_owner="alice") == q(call, **arguments)
    assert status(q, batch)["owner"] == "alice"
    assert status(q, submit(q, 1))["owner"] == "postgres", "by default, the role that calls"


# How long


def test_retention_of_the_queue(q: Caller) -> None:
    q("configure_queue", queue=QUEUE, settings={"retention": "2 hours"})
    q.clock("2026-01-01 12:00")
    done, query, held, waiting = submit(q, 2), slow(q), submit(q, 1, hold=True), submit(q, 1, "else")
    work(q, q.worker(QUEUE), lambda row: said(row, output={"f": "x"}))
    before = contents(q)
    for at, kept in (("13:59", True), ("14:01", False)):
        q.clock(f"2026-01-01 {at}")
        assert [row for row in q("maintain", duties=["results", "retention"]) if row["error"]] == []
        if kept:
            assert counts(q, done)[0] == q.one("slow_query_status", id=query)["status"] == "succeeded"
            assert contents(q)["row_outcome"] == before["row_outcome"]
    for call, number in (("batch_status", done), ("batch_rows", done), ("slow_query_status", query)):
        with refused(q, "PQ002", "unknown"):
            q(call, id=number)
    assert (
        q.sql("select count(*) from pgqueue.row_outcome") == q.sql("select count(*) from pgqueue.batch_file") == [(0,)]
    )
    assert [counts(q, batch)[0] for batch in (held, waiting)] == ["held", "queued"]
    assert q.sql("select array_agg(batch_id order by batch_id) from pgqueue.batch_slice") == [([held, waiting],)]
    assert balanced(q)


def test_a_batch_that_is_purged_before_its_callback_and_its_last_slice(q: Caller) -> None:
    batch = submit(q, 20)
    worker = q.worker(QUEUE)
    jobs = take(q, worker)
    q("batch_abort", id=batch)
    assert q.value("batch_purge", older_than="0") == 1
    for job in jobs:
        hand_in(q, job, lambda row: said(row, output={"f": "late"}))
    assert work(q, worker) == [batch]
    with refused(q, "PQ002"):
        q("batch_context", id=batch)
    for table in ("row_outcome", "batch_file", "batch_slice", "batch_count", "batch"):
        assert q.sql(f"select count(*) from pgqueue.{table}") == [(0,)], table


def test_purge(q: Caller) -> None:
    q.clock("2026-01-01")
    old, query, other, running, held = (
        submit(q, 1),
        slow(q),
        submit(q, 1, "b"),
        submit(q, 1, "c"),
        submit(q, 1, hold=True),
    )
    worker = q.worker(QUEUE, "b/op")
    work(q, worker, said, QUEUE, "b/op")
    q.clock("2026-01-05")
    new = submit(q, 1)
    worker = q.worker(QUEUE)
    work(q, worker)
    q.clock("2026-01-06")
    assert q.value("batch_purge", older_than="5 days 1 second") == 0
    assert q.value("batch_purge", older_than="2 days", app="app") == 2
    assert [row["id"] for row in q("batch_list")] == [new, held, running, other]
    assert q.value("batch_purge", older_than="2 days") == 1
    assert q.value("batch_purge", older_than="0") == 1
    assert [row["id"] for row in q("batch_list")] == [held, running]
    assert {old, query}.isdisjoint(row for (row,) in q.sql("select batch_id from pgqueue.row_outcome"))
    assert balanced(q)


def test_purge_passes_by_what_another_purges(q: Caller, session: Session) -> None:
    for _ in range(3):
        submit(q, 1)
    work(q, q.worker(QUEUE))
    other = session()
    with other.connection.transaction():
        assert other.value("batch_purge", older_than="0") == 3
        q.sql("set lock_timeout = '100ms'")
        assert q.value("batch_purge", older_than="0") == 0
        assert len(q("batch_list")) == 3


# Of one batch among many


def test_the_status_of_a_large_batch_reads_a_handful_of_rows(q: Caller) -> None:
    """Before, while and after: counters, not rows."""
    n = 20_000
    batch = q.sql(
        """select pgqueue.batch_submit_each('app', 'op', '{}', array_agg(n), array_agg('1'::jsonb), slice_size => 100)
           from generate_series(1, %s) n""",
        n,
    )[0][0]
    worker = q.worker(QUEUE)

    def blocks() -> int:
        """What a second look, with all plans made, touches."""
        look = f"explain (analyze, buffers, format json) select * from pgqueue.batch_status({batch})"
        plans = [q.sql(look)[0][0][0]["Plan"] for _ in range(2)]
        return int(plans[-1]["Shared Hit Blocks"]) + int(plans[-1]["Shared Read Blocks"])

    assert counts(q, batch)[0] == "queued"
    seen = [blocks()]
    jobs = take(q, worker, 200)
    seen.append(blocks())
    for job in jobs[:100]:
        hand_in(q, job, lambda row: said(row, output={"f": "x"}))
    assert counts(q, batch)[0] == "running"
    seen.append(blocks())
    q("batch_abort", id=batch)
    seen.append(blocks())
    assert max(seen) < 60, seen


def test_slow_queries_are_in_the_list_with_their_status(q: Caller) -> None:
    query = slow(q, 1, context=Jsonb({"c": lines(1)}))
    (row,) = q("batch_list")
    assert (row["id"], row["kind"], row["status"], row["rows"], row["context"]) == (
        query,
        "slow_query",
        "queued",
        1,
        {"c": lines(1)},
    )
