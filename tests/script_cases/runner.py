"""Runs one case: submits its jobs, does its steps, and compares what has come of it."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from tests.script_cases.expectations import at, check_document, check_value, in_their_words, is_settled
from tests.script_cases.workers import Workers
from tests.support.cluster import wait_for

__all__ = ["Runner", "flat", "needs_own_workers", "needs_processes"]

JSON = dict[str, Any]

# Their codes for what a call is refused with, in SQLSTATEs of ours.
_CODES = {
    "invalid_job": ("PQ001",),
    "payload_too_large": ("PQ001",),
    "queue_full": ("PQ005",),
    "not_found": ("PQ002",),
    "invalid_transition": ("PQ005",),
    "permission_denied": ("42501", "PQ002"),
}
_UNKNOWN = 2**62


def needs_own_workers(case: JSON) -> bool:
    """Whether the case says when workers start and stop, or how many there are."""
    steps = {step["do"] for step in case.get("steps", [])}
    return (
        case.get("worker", "running") not in ("running", "never")
        or case.get("workers", 1) != 1
        or not steps.isdisjoint({"drain", "kill_worker", "start_worker"})
    )


def needs_processes(case: JSON) -> bool:
    """Whether its workers are to be killed."""
    return any(step["do"] == "kill_worker" for step in case.get("steps", []))


def flat(body: JSON) -> JSON:
    """The nested form of a body with the fallbacks of the whole beside its queries; texts stand for plain objects."""
    inner = body["query"]
    queries = [query["query"] if set(query) == {"query"} else query for query in inner["query"]]
    return {"query": queries, **{key: value for key, value in inner.items() if key != "query"}}


def filled(body: JSON) -> JSON:
    """A body with $fill: a query as long as makes the body `payload_chars` characters."""
    query = body.get("query")
    if not isinstance(query, dict) or "$fill" not in query:
        return body
    fill = query["$fill"]
    empty = json.dumps({"query": fill["prefix"] + fill["suffix"]}, separators=(",", ":"))
    missing = fill["payload_chars"] - len(empty)
    return {"query": fill["prefix"] + fill["char"] * missing + fill["suffix"]}


class Runner:
    """`crew`: the workers of this database; None when some run all the time."""

    def __init__(self, connection: psycopg.Connection[Any], data: JSON, crew: Workers | None) -> None:
        self.connection = connection
        self._data = data
        self._crew = crew
        self._ids: dict[str, int] = {}
        self._document: JSON = {}
        self._user = data["defaults"]["user"]

    def run(self, case: JSON, *, as_flat: bool = False) -> None:
        """Fails when something is not as the case expects."""
        for statement in (*self._data["common_setup"], *case.get("setup", [])):
            self._sql(statement)
        self._configure(case.get("config", {}))
        self._ids.clear()
        count = self._count()
        jobs = case["jobs"] if "jobs" in case else [{"ref": "job", "user": self._user, "job": case["job"]}]
        worker = case.get("worker", "running")
        with psycopg.connect(self.connection.info.dsn) as holder:
            if "hold_lock" in case:
                holder.execute(case["hold_lock"].encode())
            if self._crew is not None and worker == "running":
                self._crew.start(case.get("workers", 1))
            for job in jobs:
                if not job.get("deferred"):
                    self._submit(job, as_flat, case.get("expect", {}).get("submitted"))
            if self._crew is not None and worker == "after_submit":
                self._crew.start(case.get("workers", 1))
            for step in case.get("steps", []):
                self._step(step, jobs, as_flat)
            if worker != "never":
                for ref, id in self._ids.items():
                    self._until(ref, is_settled, "to settle", case.get("max_s", self._data["defaults"]["max_s"]))
                    # a cancel is final at once, and the server told at the same time
                    wait_for(lambda name=f"pgqueue script {id}": not self._sessions(name), "its session to end")
            self._compare(case, count)
            holder.rollback()
        if worker == "never":
            for id in self._ids.values():
                self._call("select pgqueue.cancel(%s)", id)
        if self._crew is not None:
            self._crew.drain()

    # -- before -----------------------------------------------------------------------------------------------------

    def _configure(self, config: JSON) -> None:
        wanted = {**self._data["defaults"]["config"], **config}
        self._call("select pgqueue.configure_queue('scripts', %s)", json.dumps({"max_running": wanted["capacity"]}))
        self._call(
            "select pgqueue.configure(%s)",
            json.dumps(
                {
                    "sql_timeout": f"{wanted['query_timeout_ms']} milliseconds",
                    "script_max_waiting": wanted["max_queued_per_user"],
                    "script_max_chars": wanted["max_payload_chars"],
                    "retention": f"{wanted['finished_ttl_s']} seconds",
                    "lost_after": "30 seconds" if self._crew is None else "2 seconds",
                }
            ),
        )
        for owner in self._owners():
            self._call("select pgqueue.configure_owner(%s, '{\"timeout\": null}')", owner)
        limits = wanted.get("user_timeout_ms") or {}
        if not isinstance(limits, dict):
            limits = {self._user: limits}
        for owner, limit in limits.items():
            self._call(
                "select pgqueue.configure_owner(%s, %s)", owner, json.dumps({"timeout": f"{limit} milliseconds"})
            )

    def _owners(self) -> list[str]:
        return [row[0] for row in self.connection.execute("select name from pgqueue.owner").fetchall()]

    def _submit(self, job: JSON, as_flat: bool, expected: JSON | None) -> None:
        body = flat(job["job"]) if as_flat else filled(job["job"])

        def submit() -> JSON:
            self._ids[job["ref"]] = id = self._call(
                "select id from pgqueue.submit_script(%s, owner => %s)", json.dumps(body), job["user"]
            )
            return self._report(id)

        if "expect_submit_error" in job:
            self._refused(submit, job["expect_submit_error"])
            return
        document = submit()
        if expected is not None:
            check_document(expected, document, "submitted")

    # -- steps ------------------------------------------------------------------------------------------------------

    def _step(self, step: JSON, jobs: list[JSON], as_flat: bool) -> None:
        if "wait" in step:
            self._wait(step["wait"])
        if "delay_ms_random" in step:
            low, high = step["delay_ms_random"]
            time.sleep(random.uniform(low, high) / 1000)  # the case is about the moment of what follows
        action = getattr(self, f"_do_{step['do']}")
        expected = step.get("expect")

        def act() -> JSON:
            answer: JSON = action(step, jobs, as_flat) or {}
            return answer

        if isinstance(expected, dict) and "error" in expected:
            self._refused(act, expected["error"])
            return
        found = act()
        if step["do"] == "list_in_progress":
            assert expected is None or found == expected
        elif expected is not None:
            check_document(expected, found, step["do"])

    def _wait(self, wait: JSON) -> None:
        ref = wait.get("job", "job")
        if wait["path"] == "settled":
            self._until(ref, is_settled, "to settle")
        else:
            self._until(ref, lambda document: at(document, wait["path"]) == wait["is"], f"{wait}")
        time.sleep(wait.get("then_ms", 0) / 1000)  # the case wants its step in the middle of something

    def _id_of(self, step: JSON) -> int:
        return _UNKNOWN if "job_id" in step else self._ids[step.get("job", "job")]

    def _do_cancel(self, step: JSON, *_: Any) -> JSON:
        report = self._call("select pgqueue.cancel_script(%s, as_owner => %s)", self._id_of(step), step.get("as"))
        return in_their_words(report)

    def _do_get(self, step: JSON, *_: Any) -> JSON:
        return self._report(self._id_of(step), step.get("as"))

    def _do_list_in_progress(self, *_: Any) -> JSON:
        refs = {id: ref for ref, id in self._ids.items()}
        rows = self.connection.execute("select owner, ids from pgqueue.scripts_running()").fetchall()
        return {owner: [refs[id] for id in ids] for owner, ids in rows}

    def _do_drain(self, *_: Any) -> None:
        assert self._crew is not None
        self._crew.drain()

    def _do_kill_worker(self, *_: Any) -> None:
        assert self._crew is not None
        self._crew.kill()

    def _do_start_worker(self, *_: Any) -> None:
        assert self._crew is not None
        self._crew.start()

    def _do_submit(self, step: JSON, jobs: list[JSON], as_flat: bool) -> None:
        self._submit(next(job for job in jobs if job["ref"] == step["job"]), as_flat, None)

    def _do_purge(self, *_: Any) -> None:
        self.connection.execute("select * from pgqueue.maintain()")

    def _do_sql(self, step: JSON, *_: Any) -> None:
        self._sql(step["sql"])

    # -- after ------------------------------------------------------------------------------------------------------

    def _compare(self, case: JSON, count_before: int) -> None:
        expect = dict(case.get("expect", {}))
        expect.pop("submitted", None)
        log = [row[0] for row in self.connection.execute("select step from cq_log order by n").fetchall()]
        if "log" in expect:
            check_value(expect.pop("log"), log, "log")
        if "log_sorted" in expect:
            check_value(expect.pop("log_sorted"), sorted(log), "sorted log")
        for number, question in enumerate(expect.pop("sql", [])):
            rows = [list(row) for row in self.connection.execute(question["q"].encode()).fetchall()]
            check_value([[self._filled_in(value) for value in row] for row in question["rows"]], rows, f"sql {number}")
        if "jobs_created" in expect:
            assert self._count() - count_before == expect.pop("jobs_created")
        if "finished_order" in expect:
            ended = {ref: self._report(id)["ended_at"] for ref, id in self._ids.items()}
            assert sorted(ended, key=lambda ref: str(ended[ref])) == expect.pop("finished_order")
        for ref, expected in case.get("expect_jobs", {}).items():
            check_document(expected, self._report(self._ids[ref]), ref)
        if expect:
            check_document(expect, self._report(self._ids["job"]))

    def _filled_in(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith("$job_id"):
            return str(self._ids[value.partition(":")[2] or "job"])
        return value

    # -- the server -------------------------------------------------------------------------------------------------

    def _until(self, ref: str, condition: Callable[[JSON], bool], what: str, seconds: float = 30) -> None:
        def look() -> bool:
            self._document = self._report(self._ids[ref])
            return condition(self._document)

        try:
            wait_for(look, f"{ref} {what}", seconds)
        except AssertionError as error:
            error.add_note(f"it is {self._document}")
            raise

    def _refused(self, call: Callable[[], JSON], expected: JSON) -> None:
        with pytest.raises(psycopg.Error) as caught:
            call()
        error = caught.value
        states = [state for code in expected["code"].split("|") for state in _CODES[code]]
        assert error.sqlstate in states, error
        if "like" in expected:
            message = str(error.diag.message_primary).replace("succeeded", "done")
            check_value({"like": expected["like"]}, message, "message")

    def _report(self, id: int, owner: str | None = None) -> JSON:
        return in_their_words(self._call("select pgqueue.script_report(%s, as_owner => %s)", id, owner))

    def _sessions(self, name: str) -> int:
        return int(self._call("select count(*) from pg_stat_activity where application_name = %s", name))

    def _count(self) -> int:
        return int(self._call("select count(*) from pgqueue.script"))

    def _call(self, query: str, *args: Any) -> Any:
        row = self.connection.execute(query.encode(), args or None).fetchone()
        assert row is not None
        return row[0]

    def _sql(self, statement: str) -> None:
        self.connection.execute(statement.encode())
