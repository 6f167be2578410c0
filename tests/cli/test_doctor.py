"""`pgqueue doctor`: well, and each of its ways to be unwell that a test can make."""

from __future__ import annotations

from typing import Any

from pgqueue import Client
from tests.cli.conftest import Run, Said


def bad(said: Said) -> dict[str, Any]:
    return {line["item"]: line for line in said.lines if not line["ok"]}


def test_all_is_well(on: Run) -> None:
    said = on("doctor", "--json")
    assert bad(said) == {}
    assert said.code == 0
    items = {line["item"] for line in said.lines}
    assert {
        "connection",
        "server",
        "clock",
        "listener",
        "schema",
        "autovacuum",
        "oldest snapshot",
        "lost workers",
    } <= items
    human = on("doctor")
    assert human.code == 0
    assert all(line.startswith("ok ") for line in human.out.splitlines())


def test_a_lost_worker_is_found(on: Run, pg: Any) -> None:
    client = Client(connection=pg.connect())
    client.register_worker(name="gone", queues=["q"])
    pg.connect().execute("update pgqueue.worker set heartbeat_at = heartbeat_at - interval '1 hour'")
    said = on("doctor", "--json")
    assert said.code == 1
    assert bad(said)["lost workers"]["fix"]
    assert "fix: " in on("doctor").out


def test_a_queue_that_nobody_serves_is_found(on: Run, pg: Any) -> None:
    client = Client(connection=pg.connect())
    client.register_worker(name="w", queues=["served"])
    client.enqueue("k", queue="served")
    assert on("doctor").code == 0
    client.enqueue("k", queue="it's forgotten 🦆")
    found = bad(on("doctor", "--json"))["served"]
    assert "it's forgotten 🦆 (1 waiting)" in found["detail"]
    client.pause_queue("it's forgotten 🦆")
    assert on("doctor").code == 0


def test_no_connection_is_3_and_no_schema_is_4(run: Run, empty_database: str) -> None:
    nothing = run("doctor", "--json")
    assert (nothing.code, list(bad(nothing))) == (3, ["connection"])
    empty = run("doctor", "--dsn", empty_database, "--json")
    assert (empty.code, list(bad(empty))) == (4, ["schema"])
    assert "pgqueue schema upgrade" in bad(empty)["schema"]["fix"]


def test_a_role_that_may_not_look_is_a_finding(run: Run, pg: Any) -> None:
    connection = pg.connect()
    connection.execute("create role doctor_stranger login")
    try:
        said = run("doctor", "--dsn", pg.dsn.replace("postgres@", "doctor_stranger@"), "--json")
        assert said.code in (1, 4)
        assert "grant" in str(bad(said)).lower()
    finally:
        connection.execute("drop role doctor_stranger")
