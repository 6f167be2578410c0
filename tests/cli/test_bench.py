"""`pgqueue bench` as a user meets it: words, JSON, errors, and that nothing of it stays behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pgqueue.bench import Figure, available, workloads
from pgqueue.cli.bench import as_json, number
from tests.cli.conftest import Run, environment

KEYS = ["workload", "figure", "value", "unit", "limit", "ratio", "of", "floor", "at_most", "holds", "details"]
TRACES = (
    "select nspname::text from pg_namespace where nspname like 'pgqueue_bench%' or nspname like 'mine%'"
    " union all select rolname::text from pg_roles where rolname like 'pgqueue_bench%' or rolname like 'mine%'"
)

pytestmark = pytest.mark.slow


@pytest.fixture
def database(empty_database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        yield connection
        assert traces(connection) == []


def traces(connection: psycopg.Connection[Any]) -> list[str]:
    return [row[0] for row in connection.execute(TRACES).fetchall()]


@pytest.fixture
def own_workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Adds a workload of this test's own: `own_workload("name", "body of run")`."""
    folder = tmp_path / "workloads"
    folder.mkdir()
    monkeypatch.setattr(workloads, "__path__", [*workloads.__path__, str(folder)])

    def add(name: str, body: str) -> None:
        text = "from pgqueue.bench import Figure, WrongCounts\n"
        text += f"NAME = {name!r}\nSUMMARY = 'of a test'\ndef run(bench):\n    {body}\n"
        (folder / f"{name}.py").write_text(text)

    yield add
    for name in [each for each in sys.modules if each.startswith("pgqueue.bench.workloads.")]:
        if str(folder) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_the_workloads_are_listed_in_their_order(run: Run) -> None:
    said = run("bench", "--list")
    assert (said.code, said.err) == (0, "")
    assert [line.split()[0] for line in said.out.splitlines()] == ["workload", *(each.name for each in available())]
    listed = run("bench", "--list", "--json").lines
    assert [each["workload"] for each in listed] == [each.name for each in available()]
    assert all(each["summary"] for each in listed)


@pytest.mark.slow
def test_figures_come_as_lines_of_json_and_nothing_stays_in_a_given_database(
    shell: Run, database: psycopg.Connection[Any], empty_database: str
) -> None:
    said = shell("bench", "limit", "--dsn", empty_database, "--jobs", 500, "--quick", "--json")
    assert said.code == 0, said
    assert [list(line) for line in said.lines] == [KEYS, KEYS]
    assert [(line["workload"], line["figure"]) for line in said.lines] == [("limit", "enqueue"), ("limit", "drain")]
    assert all(line["value"] > 0 and line["holds"] is None for line in said.lines)
    assert "PostgreSQL" in said.err and "synchronous_commit" in said.err and "given database" in said.err
    sessions = "select count(*) from pg_stat_activity where application_name like 'pgqueue bench%'"
    assert database.execute(sessions).fetchone() == (0,)


def test_people_get_a_table_of_all_figures(
    run: Run, database: psycopg.Connection[Any], empty_database: str, own_workload: Any
) -> None:
    own_workload(
        "aaa",
        "yield Figure(NAME, 'good', 61234.5, 'jobs/s', 100_000.0, 0.612, floor=0.6)\n"
        "    yield Figure(NAME, 'bad', 2.125, 'ms', floor=2.0, at_most=True)\n"
        "    yield Figure(NAME, 'later', 5.0, 'MB', ratio=1.25, of='the first round')",
    )
    said = run("bench", "aaa", "--dsn", empty_database, "--schema", "mine", "--jobs", 100)
    assert said.code == 0, said
    table = [line.split() for line in said.out.splitlines()]
    assert table[0] == ["workload", "figure", "value", "unit", "limit", "ratio", "floor", "holds"]
    assert table[1] == ["aaa", "good", "61,234", "jobs/s", "100,000", "0.61", "≥", "0.60", "yes"]
    assert table[2] == ["aaa", "bad", "2.12", "ms", "≤", "2", "NO"]
    assert table[3] == ["aaa", "later", "5", "MB", "1.25", "of", "the", "first", "round"]
    assert "aaa: of a test" in said.err


def test_wrong_counts_fail_loudly(
    run: Run, database: psycopg.Connection[Any], empty_database: str, own_workload: Any
) -> None:
    own_workload(
        "broken",
        "yield Figure(NAME, 'before', 1.0, 's')\n"
        "    each = \"enqueue_each('k', array_fill('{}'::jsonb, array[100]))\"\n"
        "    bench.execute(f'select from {bench.schema}.{each}')\n"
        "    bench.verify(99)",
    )
    said = run("bench", "broken", "--dsn", empty_database, "--json")
    assert said.code == 1
    assert [line["figure"] for line in said.lines] == ["before"]
    assert "wrong counts" in said.err and "ready 100 instead of 0" in said.err


def test_what_cannot_be_meant_is_refused_before_anything_starts(run: Run) -> None:
    said = run("bench", "clam")
    assert (said.code, said.out) == (2, "")
    assert "there is no workload 'clam'" in said.err and "claim" in said.err
    assert run("bench", "--jobs", "0").code == 2
    assert run("bench", "--seconds", "soon").code == 2
    said = run("bench", "limit", "--dsn", "postgresql://127.0.0.1:1/none")
    assert said.code == 3


def test_pictures_without_matplotlib_name_the_extra(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    said = run("bench", "limit", "--plot", tmp_path / "pictures")
    assert (said.code, said.out) == (2, "")
    assert "pgqueue-sql[bench]" in said.err
    assert not (tmp_path / "pictures").exists()


def test_pictures_are_written_where_they_were_wanted(
    run: Run, database: psycopg.Connection[Any], empty_database: str, own_workload: Any, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench is not installed")
    own_workload("drawn", "yield Figure(NAME, 'line', 1.0, 's', series={'line': [(0.0, 1.0), (1.0, 2.0)]})")
    said = run("bench", "drawn", "--dsn", empty_database, "--plot", tmp_path / "pictures")
    assert said.code == 0
    assert [path.name for path in (tmp_path / "pictures").iterdir()] == ["drawn.svg"]
    assert "drawn.svg" in said.err


@pytest.mark.parametrize("taken", ["mine", "mine_limit"])
def test_a_schema_of_somebody_is_never_touched(run: Run, empty_database: str, taken: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"create schema {taken}; create table {taken}.precious ()".encode())
        for force in ([], ["--force"]):
            said = run("bench", "limit", "--dsn", empty_database, "--schema", "mine", *force)
            assert (said.code, said.out) == (2, "")
            assert f"this database has {taken} already, and not from pgqueue bench" in said.err
        assert connection.execute("select to_regclass(%s) is not null", (f"{taken}.precious",)).fetchone() == (True,)
        assert traces(connection) == [taken]


@pytest.mark.slow
def test_what_a_killed_bench_left_goes_with_force(
    run: Run, database: psycopg.Connection[Any], empty_database: str, tmp_path: Path
) -> None:
    process = _claiming(empty_database, tmp_path)
    process.kill()
    process.communicate()
    assert {"pgqueue_bench", "pgqueue_bench_limit"} <= set(traces(database))
    arguments = ["bench", "limit", "--dsn", empty_database, "--jobs", 100, "--quick", "--json"]
    said = run(*arguments)
    assert (said.code, said.out) == (2, "")
    assert "--force" in said.err
    assert run(*arguments, "--force").code == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_drops_what_was_made(
    database: psycopg.Connection[Any], empty_database: str, tmp_path: Path, number: signal.Signals
) -> None:
    process = _claiming(empty_database, tmp_path)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "interrupted" in err
    assert "Traceback" not in err


def _claiming(dsn: str, folder: Path) -> subprocess.Popen[str]:
    """A bench in the middle of its rounds."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pgqueue.cli", "bench", "claim", "--dsn", dsn, "--jobs", "1000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=environment(),
    )
    assert process.stderr is not None
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        for line in process.stderr:
            if "two calls" in line and "jobs" not in line and ":" in line.partition("history")[2]:
                return process
    finally:
        watchdog.cancel()
    raise AssertionError("it ended before its first round")


@pytest.mark.slow
def test_without_a_dsn_it_has_a_server_of_its_own_whatever_variables_say(
    shell: Run, database: psycopg.Connection[Any], empty_database: str
) -> None:
    said = shell(
        "bench", "limit", "--jobs", 1000, "--quick", "--json", PGQUEUE_DSN=empty_database, PGQUEUE_SCHEMA="mine"
    )
    assert said.code == 0, said
    assert len(said.lines) == 2
    assert "throw-away server on disk: shared_buffers 512MB, max_wal_size 4GB, synchronous_commit on" in said.err
    folder = Path(said.err.partition("this run, in ")[2].partition(" …")[0])
    assert folder.name.startswith("pgqueue-bench-")
    assert not folder.exists()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (3.0, "3"), (0.6, "0.60"), (12.34, "12.3"), (123.4, "123"), (45210.6, "45,211"), (0.0, "0")],
)
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


def test_a_line_of_json_leaves_out_the_points() -> None:
    line = as_json(Figure("soak", "p99", 1.5, "ms", floor=2.0, at_most=True, series={"p99": [(0.0, 1.5)]}))
    assert list(line) == KEYS
    assert (line["holds"], line["of"]) == (True, None)
    assert "series" not in json.dumps(line)
