"""`pgqueue jobs cancel` and its like, `pgqueue failures`, `pgqueue job edit`."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import Client
from pgqueue._json import dumps
from tests.cli.conftest import Run


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def fail(client: Client, kind: str = "Boom") -> None:
    worker = client.register_worker("w", ["default"])
    jobs = client.claim(worker, ["default"], 100)
    errors = [dumps({"type": kind, "message": f"{kind} happened\nhere"})] * len(jobs)
    client.settle([job.lease for job in jobs], [job.id for job in jobs], ["discard"] * len(jobs), errors=errors)


def test_the_list_is_as_it_was(on: Run, client: Client) -> None:
    job = client.enqueue("k", queue="a").id
    assert str(job) in on("jobs", "--queue", "a").out
    assert on("jobs", "--json", "--state", "queued").json["id"] == job


def test_counting_asking_and_doing(on: Run, client: Client) -> None:
    client.enqueue_each("k", [{"n": n % 2} for n in range(10)])
    options = ("jobs", "cancel", "--args", '{"n": 1}')
    assert on(*options, "--dry-run").out == "5 jobs would be cancelled\n"
    assert on(*options, "--dry-run", "--json").json == {"jobs": 5}
    refused = on(*options, input="n\n")
    assert refused.code == 1 and "5 jobs will be cancelled. Go on?" in refused.err
    assert client.count_jobs({"kind": "k"}, "cancel") == 10
    said = on(*options, input="y\n")
    assert said.code == 0 and said.out == "5 jobs cancelled\n"
    assert "cancelled 5/5" in said.err
    assert on("jobs", "cancel", "--kind", "k", "--yes", "--batch", "2", "--json").json == {"done": 5, "skipped": 0}
    assert on("jobs", "cancel", "--kind", "k", "--yes").out == "no job matches\n"


def test_from_failure_to_redrive(on: Run, client: Client) -> None:
    jobs = [client.enqueue("k", {"to": "x"}).id for _ in range(3)]
    fail(client)
    other = client.enqueue("k").id
    fail(client, "Crash")
    assert "no failed jobs" in on("failures", "--queue", "nothing").err
    assert [line["error_type"] for line in on("failures", "--since", "1h", "--json").lines] == ["Crash", "Boom"]
    shown = on("failures").out
    assert "Boom happened" in shown and "here" not in shown
    assert on("job", "edit", str(jobs[0]), "--args", '{"to": "y"}').out == f"job {jobs[0]} failed: changed\n"
    assert (
        on("job", "edit", str(jobs[0]), "--args", '{"to": "y"}').out == f"job {jobs[0]} failed: that is what it has\n"
    )
    assert on("job", "edit", str(jobs[0])).code == 2
    done = on("jobs", "retry", "--error-type", "Boom", "--rate", "1", "--per", "1h", "--yes")
    assert done.out == "3 jobs put back into their queues\n"
    assert [client.job(job).state for job in (*jobs, other)] == ["queued", "scheduled", "scheduled", "failed"]
    assert client.job(jobs[0]).args == {"to": "y"}
    assert on("jobs", "delete", "--state", "failed", "--yes").out == "1 job deleted\n"
    assert client.count_jobs({"kind": "k"}, "delete") == 0


def test_moving_and_priorities(on: Run, client: Client) -> None:
    keys = [client.enqueue("k", queue="a", unique_key=key).id for key in ("x", "y")]
    client.enqueue("k", queue="b", unique_key="x")
    moved = on("jobs", "move", "b", "--queue", "a", "--yes")
    assert moved.out.startswith("1 job moved, 1 skipped")
    assert [client.job(job).queue for job in keys] == ["a", "b"]
    assert on("jobs", "priority", "7", "--id", str(keys[0]), "--yes", "--json").json == {"done": 1, "skipped": 0}
    assert on("jobs", "priority", "--id", str(keys[1]), "--yes", "--", "-7").code == 0
    assert [client.job(job).priority for job in keys] == [7, -7]


@pytest.mark.parametrize(
    "words",
    [
        ("cancel",),
        ("cancel", "--yes"),
        ("delete", "--state", "queued"),
        ("retry", "--state", "running"),
        ("cancel", "--args", "[]"),
        ("move", "--queue", "a"),
        ("priority", "99999", "--queue", "a"),
        ("--queue", "a", "cancel", "--kind", "k", "--yes"),
        ("--max", "5", "cancel", "--kind", "k", "--yes"),
    ],
)
def test_what_is_not_said_well_is_refused(on: Run, client: Client, words: tuple[str, ...]) -> None:
    client.enqueue("k", queue="a")
    assert on("jobs", *words).code == 2
    assert client.count_jobs({"queue": "a"}, "cancel") == 1
