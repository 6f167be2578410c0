"""The whole table of outcomes and fallbacks, of one query and of two: what runs, in which order, and what is reported.

Letters: s onsuccess, e onerror, of the query; S and E of the script; x after one: it fails.
"""

from __future__ import annotations

import json
from itertools import product
from typing import Any

from tests.script_cases.expectations import check_document, in_their_words, is_settled
from tests.script_cases.runner import Runner
from tests.support.cluster import wait_for

BAD = "select * from cq_missing"
CHOICES = ("", "s", "sx", "e", "ex", "se", "sxex")
ONE = [((outcome,), query, whole) for outcome, query, whole in product((True, False), CHOICES, CHOICES)]
TWO = [
    (outcomes, query, whole)
    for outcomes, query, whole in product(
        ((True, True), (True, False), (False, True)), ("", "se", "sxex"), ("", "se", "sxex")
    )
]
Row = tuple[tuple[bool, ...], str, str]


def write(step: str) -> str:
    return f"insert into cq_table values ('<%= job_id %>', '{step}')"


def fallbacks(choice: str, name: str) -> dict[str, str]:
    """onsuccess and onerror of a query or of the script."""
    made: dict[str, str] = {}
    for letter, key in (("s", "onsuccess"), ("e", "onerror")):
        if letter in choice:
            made[key] = BAD if f"{letter}x" in choice else write(f"{letter}{name}")
    return made


def document(row: Row, number: int) -> dict[str, Any]:
    outcomes, query, whole = row
    queries = [
        {
            "query": f"insert into cq_table values ('row {number}', 'q{nth}')" if is_good else BAD,
            **fallbacks(query, str(nth)),
        }
        for nth, is_good in enumerate(outcomes)
    ]
    return {"query": queries, **fallbacks(whole, "")}


def ended(choice: str, is_good: bool) -> str | None:
    """What becomes of a pair of fallbacks."""
    if not choice:
        return None
    letter = "s" if is_good else "e"
    if letter not in choice:
        return "skipped"
    return "failed" if f"{letter}x" in choice else "done"


def expected(row: Row) -> tuple[dict[str, Any], list[str]]:
    """The report, and what has been written, in order."""
    outcomes, query, whole = row
    is_good = all(outcomes)
    queries: list[dict[str, Any]] = []
    steps: list[str] = []
    for nth, was_good in enumerate(outcomes):
        if not all(outcomes[:nth]):
            queries.append({"status": "skipped", "fallback_status": "skipped" if query else None})
            continue
        status = ended(query, was_good)
        queries.append({"status": "done" if was_good else "failed", "fallback_status": status})
        queries[-1]["failed_reason"] = None if was_good else 'relation "cq_missing" does not exist'
        steps += [f"q{nth}"] * was_good + [f"{'s' if was_good else 'e'}{nth}"] * (status == "done")
    status = ended(whole, is_good)
    steps += ["s" if is_good else "e"] * (status == "done")
    report = {"status": "done" if is_good else "failed", "fallback_status": status, "queries": queries}
    return report, steps


def test_the_whole_table(shared: Runner) -> None:
    connection = shared.connection
    connection.execute("drop table if exists cq_table; create table cq_table (job text, step text, n serial)")
    connection.execute("select pgqueue.configure_queue('scripts', '{\"max_running\": 8}')")
    ids: list[int] = []
    rows = [*ONE, *TWO]
    for number, row in enumerate(rows):
        found = connection.execute(
            "select id from pgqueue.submit_script(%s, owner => %s)",
            (json.dumps(document(row, number)), f"row {number}"),
        ).fetchone()
        assert found is not None
        ids.append(found[0])

    def report_of(id: int) -> dict[str, Any]:
        told = connection.execute("select pgqueue.script_report(%s)", (id,)).fetchone()
        assert told is not None
        return in_their_words(told[0])

    for number, row in enumerate(rows):
        id = ids[number]
        wait_for(lambda id=id: is_settled(report_of(id)), f"{row} to settle", 60)
        report = report_of(id)
        wanted, steps = expected(row)
        check_document(wanted, report, f"{row}")
        written = connection.execute(
            "select step from cq_table where job in (%s, %s) order by n", (str(ids[number]), f"row {number}")
        ).fetchall()
        assert [step for (step,) in written] == steps, row
