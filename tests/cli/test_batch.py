"""`pgqueue batch` against a worker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pgqueue import App
from pgqueue.rows import Failed, Message, Row, Success
from tests.cli.conftest import Run
from tests.worker.harness import Inside

app = App()


@app.processor("crm", "import")
def process(row: Row) -> Any:
    if row.input == {"name": ""}:
        return Failed(messages=[Message(1, "empty", "name")], output={"bad.csv": str(row.line)})
    return Success(row.input, output={"good.csv": f"{row.line},ä"})


@pytest.fixture
def worker(pg: Any) -> Iterator[Inside]:
    with Inside(app, pg.dsn) as worker:
        yield worker


@pytest.fixture(autouse=True)
def files(tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text('name,place\nada,"a\nb"\nbob,\n', encoding="utf-8-sig")
    (tmp_path / "bad.csv").write_text('name\nada\n""\n')
    (tmp_path / "ragged.csv").write_text("name\nada\na,b\n")
    (tmp_path / "some.jsonl").write_text('{"a": 1}\n\n[2]\n')
    (tmp_path / "broken.jsonl").write_text('{"a": 1}\n{\n')
    (tmp_path / "latin.csv").write_bytes(b"name\n\xe9\n")


TO = ("--app", "crm", "--op", "import")


def test_a_csv_file_is_submitted_and_followed(on: Run, worker: Inside) -> None:
    said = on("batch", "submit", "good.csv", *TO, "--wait", "--json")
    assert said.code == 0, said
    assert (said.json["status"], said.json["rows"]) == ("succeeded", 2)
    rows = on("batch", "rows", said.json["id"], "--json").lines
    assert [(row["line"], row["result"]) for row in rows] == [
        (2, {"name": "ada", "place": "a\nb"}),
        (4, {"name": "bob", "place": ""}),
    ]
    assert on("batch", "files", said.json["id"], "good.csv").out == "2,ä\n4,ä\n"


def test_failed_rows_are_exit_code_1_and_can_be_listed(on: Run, worker: Inside) -> None:
    said = on("batch", "submit", "bad.csv", *TO, "--wait", "--json")
    assert said.code == 1
    id = said.json["id"]
    listing = on("batch", "rows", id, "--status", "failed").out.splitlines()
    assert [line.split() for line in listing[1:]] == [["3", "failed", "empty", "(name)"]]
    assert on("batch", "status", id, "--wait").code == 1
    assert "bad.csv, good.csv" in on("batch", "status", id).out
    assert [line.split() for line in on("batch", "files", id).out.splitlines()[1:]] == [
        ["bad.csv", "1", "2"],
        ["good.csv", "1", "4"],
    ]


def test_jsonl_and_stdin(on: Run, worker: Inside) -> None:
    said = on("batch", "submit", "some.jsonl", *TO, "--wait", "--context", '{"x": 1}', "--json")
    assert said.json["context"] == {"x": 1}
    rows = on("batch", "rows", said.json["id"], "--json").lines
    assert [(row["line"], row["result"]) for row in rows] == [(1, {"a": 1}), (3, [2])]
    assert on("batch", "submit", "-", *TO, "--wait", "--json", input='"a"\n').json["rows"] == 1


@pytest.mark.parametrize(
    ("file", "told"),
    [
        ("ragged.csv", "line 3 of ragged.csv has not 1 fields"),
        ("broken.jsonl", "line 2 of broken.jsonl is not JSON"),
        ("latin.csv", "latin.csv is not UTF-8"),
        ("nothing.csv", "does not exist"),
    ],
)
def test_what_cannot_be_read_runs_nothing(file: str, told: str, on: Run) -> None:
    said = on("batch", "submit", file, *TO)
    assert said.code == 2
    assert told in said.err
    assert {batch["status"] for batch in on("batch", "list", "--json").lines} <= {"aborted"}


def test_held_batches_are_released_or_aborted(on: Run) -> None:
    one, two = (on("batch", "submit", "good.csv", *TO, "--hold", "--json").json["id"] for _ in range(2))
    assert on("batch", "status", one, "--json").json["status"] == "held"
    assert "is released, 2 rows" in on("batch", "release", one).out
    assert on("batch", "status", one, "--json").json["status"] == "queued"
    assert "2 aborted" in on("batch", "abort", two, "--why", "test").out
    assert on("batch", "abort", two).code == 1
    listed = on("batch", "list", "--app", "crm", "--age", "1 day").out.splitlines()
    assert [line.split()[0] for line in listed[1:]] == [str(two), str(one)]
    assert on("batch", "list", "--status", "held").err.strip() == "no batches"


def test_nonsense_is_refused(on: Run) -> None:
    assert on("batch", "submit", "good.csv", *TO, "--hold", "--wait").code == 2
    assert on("batch", "submit", "good.csv", *TO, "--context", "{").code == 2
    assert on("batch", "status", 999).code == 1
    assert json.loads(on("batch", "submit", "good.csv", *TO, "--json").out)["rows"] == 2


def test_a_batch_waits_for_jobs(on: Run) -> None:
    jobs = [on("enqueue", "fetch", "--json").json["id"] for _ in range(2)]
    given = ("batch", "submit", "good.csv", *TO, "--depends-on", jobs[0], "--depends-on")
    batch = on(*given, jobs[1], "--on-parent-failure", "run", "--json").json
    assert (batch["status"], batch["waits_for"]) == ("held", ["parents"])
    assert "waits for  parents\n" in on("batch", "status", batch["id"]).out
    assert [row["id"] for row in on("job", "parents", batch["id"], "--json").lines] == jobs
    refused = on(*given, 987654321)
    assert refused.code != 0
    assert "987654321" in refused.err
    assert [row["id"] for row in on("batch", "list", "--json").lines] == [batch["id"]]
