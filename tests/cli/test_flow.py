"""enqueue with options of uniqueness and composition, and a job's parents and children."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pgqueue import Client
from tests.cli.conftest import Run


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def succeed(client: Client, result: object) -> None:
    worker = client.register_worker("w", ["default"])
    (job,) = client.claim(worker, ["default"])
    client.settle([job.lease], [job.id], ["succeeded"], [json.dumps(result)])  # type: ignore[list-item]


def test_a_key_made_of_arguments(on: Run, client: Client) -> None:
    first = on("enqueue", "report", "month=7", "draft=true", "--unique-by", "month", "--json").json
    again = on("enqueue", "report", "month=7", "--unique-by", "month,year", "year=3", "--json").json
    assert (first["created"], again["created"]) == (True, True)
    said = on("enqueue", "report", "month=7", "--unique-by", "month")
    assert said.out == f"job {first['id']} was there already (same unique key), nothing was added\n"
    said = on("enqueue", "report", "month=7", "draft=false", "--unique-by", "month", "--on-duplicate", "replace")
    assert "new arguments" in said.out
    assert client.job(first["id"]).args == {"month": 7, "draft": False}
    every = on("enqueue", "report", "month=7", "by=all", "--unique-by", "*", "--json").json
    assert every["created"]
    assert not on("enqueue", "report", "by=all", "month=7", "--unique-by", "*", "--json").json["created"]
    refused = on("enqueue", "report", "month=7", "--unique-by", "month", "--on-duplicate", "raise")
    assert refused.code == 1
    assert "holds the unique key" in refused.err


def test_how_long_a_key_is_held(on: Run, client: Client) -> None:
    for number, option in enumerate((("--unique-until", "start"), ("--unique-for", "1h"))):
        made = on("enqueue", "sync", "--unique-key", f"k{number}", *option, "--json").json
        succeed(client, None)
        again = on("enqueue", "sync", "--unique-key", f"k{number}", *option, "--json").json
        assert again["created"] == (number == 0)
        assert (again["id"] == made["id"]) == (number == 1)
        if number == 0:
            succeed(client, None)


@pytest.mark.parametrize(
    "options",
    [
        ("--unique-key", "k", "--unique-by", "a"),
        ("--unique-key", "k", "--unique-until", "start", "--unique-for", "1h"),
        ("--unique-by", "a,,b"),
        ("--unique-until", "end"),
        ("--on-duplicate", "maybe"),
        ("--depends-on", "0"),
        ("--on-parent-failure", "shrug"),
    ],
)
def test_what_cannot_be_right_is_refused_before_connecting(run: Run, options: tuple[str, ...]) -> None:
    assert run("--dsn", "host=/nowhere", "enqueue", "x", *options).code == 2


def test_parents_and_children(on: Run, client: Client) -> None:
    first, second = (on("enqueue", "fetch", f"n={n}", "--json").json["id"] for n in (1, 2))
    child = on(
        "enqueue", "merge", "--depends-on", first, "--depends-on", second, "--on-parent-failure", "run", "--json"
    ).json["id"]
    client.maintain(["dependents"])
    succeed(client, {"pages": 3})
    lines = on("job", "parents", child, "--json").lines
    assert [(line["id"], line["state"], line["result"]) for line in lines] == [
        (first, "succeeded", {"pages": 3}),
        (second, "queued", None),
    ]
    assert '{"pages":3}' in on("job", "parents", child).out.replace(" ", "")
    assert [line["id"] for line in on("job", "children", first, "--json").lines] == [child]
    assert f"{child}" in on("job", "children", second).out
    shown = on("job", "show", child).out
    assert f"{first} succeeded, {second} queued" in shown
    assert f"{child} held" in on("job", "show", second).out
    none = on("job", "children", child)
    assert (none.code, none.out, none.err) == (0, "", "no children\n")
    assert on("job", "parents", 999).code == 1


def test_only_the_first_are_named(on: Run, client: Client) -> None:
    ids = [each.id for each in client.enqueue_each("a", [{}] * 12)]
    child = client.enqueue("b", depends_on=ids)
    shown = on("job", "show", child.id).out
    assert f"{ids[9]} queued, …" in shown
    assert f"{ids[10]} queued" not in shown
    assert len(on("job", "parents", child.id, "--json").lines) == 12
