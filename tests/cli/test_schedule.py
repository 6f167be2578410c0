"""`pgqueue schedule`."""

from __future__ import annotations

from typing import Any

import pytest

from pgqueue import Client
from tests.cli.conftest import Run


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def test_from_adding_to_removing(on: Run, client: Client) -> None:
    assert "no schedules" in on("schedule", "list").err + on("schedule", "list").out
    added = on("schedule", "add", "report", "30 7 * * mon-fri", "make", "month=1", "--time-zone", "Europe/Berlin")
    assert added.code == 0 and "report: next run " in added.out and " 07:30:00+0" in added.out.replace("T", " ")
    again = on("schedule", "add", "report", "30 7 * * mon-fri", "make", "month=1", "--time-zone", "Europe/Berlin")
    assert "as it was" in again.out
    (line,) = on("schedule", "list", "--json").lines
    assert (line["name"], line["kind"], line["args"], line["paused"]) == ("report", "make", {"month": 1}, False)
    assert on("schedule", "pause", "report").out == "report is paused\n"
    assert on("schedule", "pause", "report").out == "report is paused (it was already)\n"
    assert "paused" in on("schedule", "list").out
    assert on("schedule", "resume", "report", "--json").json == {"name": "report", "paused": False, "changed": True}
    job = on("schedule", "run", "report", "--json").json["id"]
    assert client.job(job).headers is not None
    assert on("schedule", "remove", "report").out == "report is removed\n"
    assert on("schedule", "remove", "report").out == "there was no report\n"


def test_all_options_arrive(on: Run, client: Client) -> None:
    said = on(
        "schedule", "add", "s", "every 90 seconds", "k", "--args", '{"a": 1}', "--queue", "q", "--missed", "skip",
        "--priority", "3", "--unique-key", "u", "--group-key", "g", "--max-attempts", "2", "--job-timeout", "1m",
        "--expires-in", "1h", "--starts-at", "2030-01-01T00:00+00:00", "--ends-at", "2031-01-01T00:00+00:00", "--json",
    )  # fmt: skip
    assert said.json == {"name": "s", "changed": True, "next_run": said.json["next_run"]}
    (made,) = client.schedules()
    assert (made.cron, made.args, made.queue, made.missed) == ("every 90 seconds", {"a": 1}, "q", "skip")
    assert (made.priority, made.unique_key, made.group_key, made.max_attempts) == (3, "u", "g", 2)
    assert (made.timeout, made.expires_in) != (None, None)
    assert made.starts_at is not None and made.next_run == made.starts_at


def test_its_key_and_its_follow_ups(on: Run, client: Client) -> None:
    said = on(
        "schedule", "add", "s", "@daily", "k", "a=1", "--unique-by", "a", "--unique-for", "1h", "--on-duplicate",
        "debounce", "--on-success", '{"kind": "x"}', "--on-success", '{"kind": "y"}', "--on-error", '{"kind": "z"}',
    )  # fmt: skip
    assert said.code == 0, said.err
    (made,) = client.schedules()
    assert (made.unique_by, str(made.unique_for), made.on_duplicate) == (["a"], "1:00:00", "debounce")
    assert (made.on_success, made.on_error) == ([{"kind": "x"}, {"kind": "y"}], [{"kind": "z"}])
    assert on("schedule", "add", "s", "@daily", "k", "--unique-by", "*", "--unique-until", "start").code == 0
    (made,) = client.schedules()
    assert (made.unique_by, made.unique_until, made.on_success) == ([], "start", None)


def test_a_query_and_a_script(on: Run, client: Client) -> None:
    assert on("schedule", "add", "q", "@daily", "sql.query", "sql=select 1", "owner=ada").code == 0
    assert on("schedule", "add", "s", "@daily", "sql.script", "--args", '{"document": ["select 1"]}').code == 0
    assert [made.queue for made in client.schedules()] == ["queries", "scripts"]
    asked = on("schedule", "run", "q", "--json").json["id"]
    assert client.query_handle(asked).status().owner == "ada"
    assert "cannot have 'document'" in on("schedule", "add", "q", "@daily", "sql.query", "document=x").err


def test_the_next_ticks_of_an_expression(on: Run) -> None:
    asked = (
        "schedule",
        "next",
        "30 2 * * *",
        "--time-zone",
        "Europe/Berlin",
        "-n",
        "3",
        "--after",
        "2024-03-30T00:00Z",
    )
    assert on(*asked).out.splitlines() == [
        "2024-03-30 02:30:00+01:00",
        "2024-03-31 03:00:00+02:00",
        "2024-04-01 02:30:00+02:00",
    ]
    assert len(on(*asked, "--json").lines) == 3


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("add", "s", "99 * * * *", "k"), "minute is 99"),
        (("add", "s", "@daily", "k", "a=1", "--args", "{}"), "not both"),
        (("add", "s", "@daily", "k", "--missed", "some"), "some"),
        (("pause", "s"), "no schedule 's'"),
        (("add", "s", "@daily", "k", "--unique-key", "a", "--unique-by", "b"), "not both"),
        (("add", "s", "@daily", "k", "--unique-until", "start", "--unique-for", "1h"), "not both"),
        (("add", "s", "@daily", "k", "--on-duplicate", "raise"), "unique key"),
        (("add", "s", "@daily", "k", "--on-error", "[1]"), "must be a JSON object"),
        (("next", "@never"), "@never"),
        (("next", "@daily", "-n", "0"), "0"),
    ],
)
def test_mistakes_are_told(on: Run, arguments: tuple[str, ...], word: str) -> None:
    said = on("schedule", *arguments)
    assert said.code != 0
    assert word in said.err
