"""`pgqueue query` against a worker."""

from __future__ import annotations

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pgqueue import App, Client
from tests.cli.conftest import Run, environment
from tests.support.cluster import wait_for
from tests.worker.harness import Inside

SQL = "select n, 'a,' || n as name, null as nothing from generate_series(1, $1::int) n"


@pytest.fixture
def worker(pg: Any) -> Iterator[Inside]:
    with Inside(App(pg.dsn), pg.dsn, queues=["queries"]) as worker:
        yield worker


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


def test_a_table_for_people(on: Run, worker: Inside) -> None:
    said = on("query", SQL, "-p", "2")
    assert said.code == 0, said
    assert [line.split() for line in said.out.splitlines()] == [["n", "name", "nothing"], ["1", "a,1"], ["2", "a,2"]]
    assert "2 rows" in said.err
    short = on("query", SQL, "-p", "5", "--max", "2")
    assert len(short.out.splitlines()) == 3
    assert "3 more" in short.err
    assert "CREATE TABLE" in on("query", "create table x (y int)").err


def test_what_is_dangerous_is_escaped(on: Run, worker: Inside) -> None:
    assert "\x1b" not in on("query", "select e'\\x1b[31mred' as \"\x1b[1m\"").out


def test_files(on: Run, worker: Inside, tmp_path: Path) -> None:
    assert on("query", SQL, "out.csv", "--csv", "-p", "2").out == ""
    rows = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_text(), newline="")))
    assert rows == [["n", "name", "nothing"], ["1", "a,1", ""], ["2", "a,2", ""]]
    assert on("query", SQL, "out.json", "--json", "-p", "2").code == 0
    lines = [json.loads(line) for line in (tmp_path / "out.json").read_text().splitlines()]
    assert lines == [{"n": 1, "name": "a,1", "nothing": None}, {"n": 2, "name": "a,2", "nothing": None}]
    assert on("query", SQL, "out.arrow", "--arrow", "-p", "2").code == 0
    with pa.ipc.open_stream(tmp_path / "out.arrow") as stream:
        assert stream.read_all().to_pylist() == lines
    assert on("query", SQL, "out.txt", "-p", "2").code == 2


def test_stdout(on: Run, worker: Inside) -> None:
    assert on("query", SQL, "--csv", "-p", "1").out == 'n,name,nothing\n1,"a,1",\n'
    assert on("query", SQL, "-", "--csv", "-p", "1").out == 'n,name,nothing\n1,"a,1",\n'
    assert on("query", SQL, "--json", "-p", "1").lines == [{"n": 1, "name": "a,1", "nothing": None}]
    assert on("query", "select $1::text as x", "--json", "-p", "\\N").lines == [{"x": None}]


def test_the_statement_from_a_file_or_stdin(on: Run, worker: Inside, tmp_path: Path) -> None:
    (tmp_path / "one.sql").write_text("-- one\nselect 'é' as x;\n", encoding="utf-8")
    assert on("query", "@one.sql", "--csv").out == "x\né\n"
    assert on("query", "-", "--csv", input="select 2 as x").out == "x\n2\n"
    assert on("query", "@absent.sql").code == on("query", "-", input="").code == 2


def test_a_failure_says_what_the_server_said_and_keeps_the_file(on: Run, worker: Inside, tmp_path: Path) -> None:
    (tmp_path / "kept.csv").write_text("kept")
    said = on("query", "select 1 from nowhere", "kept.csv", "--csv")
    assert said.code == 1
    assert 'relation "nowhere" does not exist (at character 15)' in said.err
    assert (tmp_path / "kept.csv").read_text() == "kept"
    assert on("query", "select 'x'::int").code == 1


def test_detach_attach_status_and_cancel(on: Run, client: Client, pg: Any) -> None:
    made = on("query", SQL, "-p", "1", "--detach", "--json").json
    assert made == {"id": made["id"], "created": True, "reused": False}
    assert "joined" in on("query", SQL, "-p", "1", "--detach").out
    assert on("query", made["id"], "--status", "--json").json["state"] == "queued"
    assert f"query {made['id']} queued" in on("query", made["id"], "--status").out
    with Inside(App(pg.dsn), pg.dsn, queues=["queries"]):
        assert on("query", made["id"], "--csv").out == 'n,name,nothing\n1,"a,1",\n'
        assert "its result is there" in on("query", SQL, "-p", "1", "--max-age", "1h", "--detach").out
    other = on("query", "select 1", "--detach", "--json").json["id"]
    assert on("query", other, "--cancel", "--json").json == {"id": other, "state": "cancelled", "changed": True}
    assert "cancelled" in on("query", other).err


def test_options_reach_the_query(on: Run, client: Client) -> None:
    id = on(
        "query", "select 1", "--detach", "--owner", "ada", "--role", "pg_monitor", "--set", "work_mem=8MB",
        "--read-only", "--queue", "other", "--priority", "3", "--datasource", "dwh", "--json",
    ).json["id"]  # fmt: skip
    job = client.job(id)
    assert (job.queue, job.priority, client.query_status(id).owner) == ("other", 3, "ada")
    assert job.args == {"datasource": "dwh", "role": "pg_monitor", "settings": {"work_mem": "8MB"}, "read_only": True}


@pytest.mark.parametrize(
    "arguments",
    [
        ("query",),
        ("query", ""),
        ("query", "select 1", "--status"),
        ("query", "select 1", "--cancel"),
        ("query", "select 1", "--set", "x"),
        ("query", "select 1", "--depends-on", "x"),
        ("query", "select 1", "--timeout", "soon"),
        ("query", "select 1", "--detach", "--ttl", "0"),
        ("query", "select 1", "--max", "0"),
        ("query", "select 1", "-p", "a\0"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], on: Run, client: Client) -> None:
    said = on(*arguments)
    assert said.code == 2, said
    assert client.jobs() == []


def test_after_other_jobs(on: Run, client: Client, pg: Any) -> None:
    script = on("script", "-", "--detach", "--json", input='"create table made (n int)"').json["id"]
    query = on("query", "table made", "--depends-on", script, "--detach", "--json").json["id"]
    assert on("query", query, "--status").out.startswith(f"query {query} held")
    job = client.enqueue("load").id
    other = on("query", "table made", "--depends-on", job, "--on-parent-failure", "wait", "--detach", "--json").json
    assert (other["created"], other["id"] > query) == (True, True)
    client.cancel(job)
    client.maintain(["dependents"])
    assert client.query_status(other["id"]).state == "held"
    with Inside(App(pg.dsn), pg.dsn, queues=["queries", "scripts"]):
        said = on("query", query)
        assert (said.code, said.out.split()) == (0, ["n"])
    refused = on("query", "select 1", "--depends-on", job, "--max-age", "1h")
    assert refused.code == 2
    assert "max_age" in refused.err


def test_an_id_that_is_not_there(on: Run) -> None:
    assert on("query", "999999").code == 1
    assert on("query", "999999", "--status").code == 1


def test_ctrl_c_cancels_what_was_submitted_and_leaves_what_was_not(pg: Any, client: Client, tmp_path: Path) -> None:
    running = "select 1 from pg_stat_activity where application_name like 'pgqueue query%'"
    command = [sys.executable, "-m", "pgqueue.cli", "--dsn", pg.dsn, "query"]
    options: dict[str, Any] = {
        "cwd": tmp_path, "env": environment(), "stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True,
    }  # fmt: skip
    with Inside(App(pg.dsn), pg.dsn, queues=["queries"]), pg.connect() as connection:
        with subprocess.Popen([*command, "select pg_sleep(60)"], **options) as ours:
            wait_for(lambda: connection.execute(running).fetchone() is not None, "the query")
            (job,) = client.jobs(state="running")
            with subprocess.Popen([*command, str(job.id)], **options) as watching:
                assert watching.stderr is not None
                assert "running" in watching.stderr.readline()
                watching.send_signal(signal.SIGINT)
                assert (watching.wait(30), "goes on" in watching.stderr.read()) == (130, True)
            assert client.query_status(job.id).state == "running"
            ours.send_signal(signal.SIGINT)
            assert ours.stderr is not None
            assert (ours.wait(30), "is cancelled" in ours.stderr.read()) == (130, True)
        wait_for(lambda: client.query_status(job.id).state == "cancelled", "the end")
        wait_for(lambda: connection.execute(running).fetchone() is None, "the end of the backend")
