"""`pgqueue script` against a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App, Client
from tests.cli.conftest import Run
from tests.worker.harness import Inside

GOOD = {"query": ["create table t (n int)", {"query": "insert into t values (1)", "onsuccess": "select 1"}]}
BAD = ["select 1", {"query": "select 1 / 0", "onerror": "select 2"}, "select 3"]


@pytest.fixture
def worker(pg: Any) -> Iterator[Inside]:
    with Inside(App(pg.dsn), pg.dsn, queues=["scripts"]) as worker:
        yield worker


@pytest.fixture
def client(pg: Any) -> Client:
    return Client(connection=pg.connect())


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(GOOD))
    (tmp_path / "bad.json").write_text(json.dumps(BAD))
    (tmp_path / "one.sql").write_text("create table a (b int);\nselect 'é';\n", encoding="utf-8")
    (tmp_path / "broken.json").write_text("{")
    (tmp_path / "latin.sql").write_bytes(b"select '\xe9'")


def test_a_script_is_followed_to_its_end(on: Run, worker: Inside) -> None:
    said = on("script", "good.json")
    assert said.code == 0, said
    assert "succeeded" in said.out.splitlines()[0]
    assert [line.split()[:3] for line in said.out.splitlines()[2:]][1] == ["2", "succeeded", "succeeded"]
    assert "2/2 succeeded" in said.err
    assert on("script", "one.sql", "--json").json["status"] == "succeeded"


def test_a_failure_is_exit_code_1(on: Run, worker: Inside) -> None:
    said = on("script", "bad.json")
    assert said.code == 1
    assert "2/3 failed: division by zero" in said.err
    assert [line.split()[1] for line in said.out.splitlines()[2:]] == ["succeeded", "failed", "skipped"]


@pytest.mark.parametrize(
    "text", ['["select 1"]', '"select 1"', '{"query": "select 1"}', "select 1", "  -- x\nselect 1"]
)
def test_stdin_is_json_or_sql(text: str, on: Run, worker: Inside) -> None:
    assert on("script", "-", "--json", input=text).json["status"] == "succeeded"


def test_detach_follow_status_and_cancel(on: Run, client: Client, pg: Any) -> None:
    first = on("script", "one.sql", "--detach", "--owner", "ada", "--role", "pg_monitor", "--json").json["id"]
    assert client.job(first).args["role"] == "pg_monitor"
    second = on("script", "bad.json", "--detach", "--json").json["id"]
    assert on("script", first, "--status", "--json").json["owner"] == "ada"
    assert "queued" in on("script", first, "--status").out
    assert on("script", second, "--cancel").code == 0
    assert on("script", second, "--cancel").code == 1
    with Inside(App(pg.dsn), pg.dsn, queues=["scripts"]):
        assert on("script", first, "--json").code in (0, 1)
    assert on("script", second).code == 1
    assert on("script", "999999").code == 1


def test_after_other_jobs(on: Run, client: Client, pg: Any) -> None:
    first, second = client.enqueue("load").id, client.submit_script("select 1")
    after = ("--depends-on", first, "--depends-on", second)
    script = on("script", "good.json", *after, "--detach", "--json").json["id"]
    cancelled = on("script", "one.sql", "--depends-on", first, "--detach", "--json").json["id"]
    anyway = on("script", "one.sql", *after, "--on-parent-failure", "run", "--detach", "--json").json["id"]
    assert on("script", script, "--status").out.startswith(f"script {script} held")
    client.cancel(second)
    client.maintain(["dependents"])
    assert client.script_report(script)["status"] == "cancelled"
    assert on("script", script).code == 1
    assert "a job that it waited for failed" in on("script", script).out
    client.cancel(first)
    client.maintain(["dependents"])
    assert client.script_report(cancelled)["status"] == "cancelled"
    with Inside(App(pg.dsn), pg.dsn, queues=["scripts"]):
        assert "succeeded" in on("script", anyway).out
    assert on("script", "one.sql", "--depends-on", "999999").code == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("script",),
        ("script", "good.json", "--depends-on", "x"),
        ("script", "good.json", "--on-parent-failure", "x"),
        ("script", "absent.json"),
        ("script", "broken.json"),
        ("script", "latin.sql"),
        ("script", "good.json", "--status"),
        ("script", "good.json", "--set", "x"),
        ("script", "-"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], on: Run, client: Client) -> None:
    said = on(*arguments, input='{"query": []}')
    assert said.code == 2, said
    assert "error" in said.err.lower()
    assert client.jobs() == []
