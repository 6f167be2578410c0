"""job log, job timeline, throughput on a real database."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgqueue import Client
from pgqueue.models import ClaimedJob
from tests.cli.conftest import Run


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def claimed(client: Client) -> ClaimedJob:
    client.enqueue("k")
    (job,) = client.claim(client.register_worker("w", ["default"]), ["default"])
    return job


def settle(client: Client, job: ClaimedJob) -> None:
    client.settle([job.lease], [job.id], ["succeeded"])


def test_a_log_is_shown(client: Client, on: Run) -> None:
    job = claimed(client)
    silent = on("job", "log", job.id)
    assert (silent.code, silent.out, silent.err) == (0, "", f"job {job.id} has logged nothing\n")
    lines = [
        {"message": "begun\x1b[31m", "fields": {"rows": 3, "of": ""}, "at": "2030-01-01T00:00:00Z"},
        {"message": "two\nlines", "level": "error"},
    ]
    client.log_lines(job.lease, job.id, lines)
    first, *rest = on("job", "log", job.id).out.splitlines()
    assert first.startswith("2030-01-01 00:00:00+00:00 1 info    begun\\x1b[31m ")
    assert set(first.split()[-2:]) == {"rows=3", 'of=""'}
    assert rest[0].endswith(" 1 error   two")
    assert rest[1] == "  lines"
    found = [json.loads(line) for line in on("job", "log", job.id, "--json").out.splitlines()]
    assert [(line["line"], line["level"]) for line in found] == [(1, "info"), (2, "error")]
    assert on("job", "log", 999).code == 1


def test_a_log_is_followed_to_the_end(client: Client, on: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    job = claimed(client)
    client.log_lines(job.lease, job.id, [{"message": str(n)} for n in range(1200)])

    def go_on(_: float) -> None:
        """What happens while the command waits to look again."""
        client.log_lines(job.lease, job.id, [{"message": "last"}])
        settle(client, job)

    client.configure({"job_log_lines": 5000})
    client.log_lines(job.lease, job.id, [{"message": "more"}])
    monkeypatch.setattr("pgqueue.cli.insight.pause", go_on)
    found = on("job", "log", job.id, "--follow", "--json").out.splitlines()
    messages = [json.loads(line)["message"] for line in found]
    assert messages[:1000] == [str(n) for n in range(1000)]
    assert messages[1001:] == ["more", "last"]  # after the line that says there was no room


def test_a_timeline(client: Client, on: Run) -> None:
    job = claimed(client)
    settle(client, job)
    shown = on("job", "timeline", job.id).out
    assert shown.startswith("WHEN ")
    for word in (
        "enqueued",
        "k in queue default",
        "claimed",
        "attempt 1 of 5 by worker",
        "succeeded",
        "retention ends",
    ):
        assert word in shown
    events = [json.loads(line)["event"] for line in on("job", "timeline", job.id, "--json").out.splitlines()]
    assert events == ["enqueued", "claimed", "succeeded", "retention ends"]
    assert on("job", "timeline", 999).code == 1


def test_throughput(client: Client, on: Run) -> None:
    settle(client, claimed(client))
    assert on("throughput").err == "nothing has ended\n"
    connection = client.connection
    assert connection is not None
    connection.execute("select set_config('pgqueue.now', (now() + interval '1 minute')::text, false)")
    assert client.maintain(["metrics"])[0].done == 1
    shown = on("throughput", "--queue", "default", "--since", "2h", "--step", "1h").out.splitlines()
    assert " ".join(shown[0].split()) == "FROM QUEUE SUCCEEDED FAILED CANCELLED WAIT P50 P95 MAX RUN P50 P95 MAX"
    assert shown[1].split()[2:6] == ["default", "1", "0", "0"]
    row = on("throughput", "--by-kind", "--json").json
    assert (row["kind"], row["succeeded"], row["failed"]) == ("k", 1, 0)
    assert row["run_max"] >= row["run_p50"] > 0
    refused = on("throughput", "--step", "90s")
    assert (refused.code, "whole number" in refused.err) == (2, True)
