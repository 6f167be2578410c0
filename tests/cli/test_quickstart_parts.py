"""The parts of the quickstart: what a job counts, which files are taken, and an audit that can say no."""

from __future__ import annotations

import json
import os
import sysconfig
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pgqueue import Client
from pgqueue.cli._quickstart.app import KIND, describe, module_name
from pgqueue.cli._quickstart.audit import Findings, examine, percentile
from pgqueue.cli._quickstart.crew import Crew, Member
from pgqueue.cli._quickstart.run import Accident, Course, losses_noticed_soon, python_files

SOURCE = b"""\
import os, sys as system
from . import sibling
from ..above import thing
from collections.abc import *

class A:
    async def method(self):
        def inner(): return lambda: 1
        import json

try:
    import tomllib
except ImportError:
    tomllib = None
else:
    def late(): ...
match 1:
    case 1:
        class B: pass"""


def test_what_a_job_counts_is_there() -> None:
    assert describe(SOURCE, "package/inside/module.py") == {
        "file": "package/inside/module.py",
        "module": "package.inside.module",
        "lines": 19,
        "functions": 3,
        "classes": 2,
        "imports": 7,
        "imported": ["collections.abc", "json", "os", "package.above", "package.inside", "sys", "tomllib"],
    }
    assert describe(b"", "empty.py")["lines"] == 0
    assert module_name("json/__init__.py") == "json"


def test_counts_agree_with_a_walk_of_the_whole_tree() -> None:
    import ast

    root = Path(sysconfig.get_paths()["stdlib"])
    for file in ("argparse.py", "asyncio/base_events.py", "typing.py", "json/__init__.py"):
        found = describe((root / file).read_bytes(), file)
        nodes = list(ast.walk(ast.parse((root / file).read_text())))
        assert found["functions"] == sum(isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) for n in nodes)
        assert found["classes"] == sum(isinstance(n, ast.ClassDef) for n in nodes)
        assert found["imports"] == sum(len(n.names) for n in nodes if isinstance(n, ast.Import | ast.ImportFrom))


def test_files_are_taken_from_everywhere_but_caches_packages_and_links(tmp_path: Path) -> None:
    for name in ("a.py", "b/c.py", "b/site-packages/x.py", "b/__pycache__/x.py", ".git/x.py", "b/readme.md", "ü 🦆.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link.py").symlink_to(tmp_path / "a.py")
    (tmp_path / os.fsdecode(b"\xff.py")).touch()
    assert python_files(tmp_path) == (["a.py", "ü 🦆.py", "b/c.py"], 1)


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([], 0.5) is None
    assert percentile([7.0], 0.99) == 7.0
    assert percentile([float(n) for n in range(1, 101)], 0.50) == 50.0
    assert percentile([float(n) for n in range(1, 101)], 0.99) == 99.0


class Stage:
    """A run of three files, told by hand: the audit must believe nobody."""

    def __init__(self, pg: Any, folder: Path) -> None:
        self.connection = pg.connect()
        self.client = Client(connection=self.connection)
        self.course = Course(queue="q", root=folder, files=["a.py", "b.py", "c.py"])
        args = [{"root": str(folder), "file": file} for file in self.course.files]
        self.course.ids = [job.id for job in self.client.enqueue_each(KIND, args, queue="q", max_attempts=1)]
        self.crew = Crew(folder, dsn=pg.dsn, schema="pgqueue", queue="q")
        self.ledger = folder / "ledger"
        self.crew.members.append(Member("w", cast("Any", None), self.ledger, self.ledger))
        self.worker = self.client.register_worker(name="w", queues=["q"])

    def write(self, id: int, *events: str) -> None:
        with self.ledger.open("a") as file:
            file.writelines(f"{id} {event}\n" for event in events)

    def work(self, files: dict[int, str] | None = None, note: bool = True) -> None:
        """Do whatever is queued; `files` forges the file of a result."""
        for job in self.client.claim(worker=self.worker, queues=["q"], n=10):
            if note:
                self.write(job.id, "start", "end")
            file = (files or {}).get(job.id, job.args["file"])
            result = json.dumps({"file": file, "imported": []})
            refused = self.client.settle(leases=[job.lease], jobs=[job.id], outcomes=["succeeded"], results=[result])
            assert refused == []

    def lose_worker(self) -> None:
        """The worker is gone for good; what it held is queued again."""
        self.connection.execute("update pgqueue.worker set heartbeat_at = heartbeat_at - interval '1 hour'")
        self.client.maintain(["rescue"])
        self.worker = self.client.register_worker(name="another", queues=["q"])

    def audit(self) -> Findings:
        return examine(self.client, self.crew, self.course)


@pytest.fixture
def stage(pg: Any, tmp_path: Path) -> Stage:
    return Stage(pg, tmp_path)


def test_a_clean_run_is_clean(stage: Stage) -> None:
    stage.work()
    found = stage.audit()
    assert (found.files, found.succeeded, found.lost, found.duplicated, found.started_twice) == (3, 3, 0, 0, 0)
    assert found.seconds > 0


def test_a_job_without_an_end_is_lost(stage: Stage) -> None:
    stage.client.claim(worker=stage.worker, queues=["q"], n=1)
    stage.work()
    assert stage.audit().lost == 1


def test_a_success_that_nobody_worked_for_is_lost(stage: Stage) -> None:
    stage.work(note=False)
    assert stage.audit().lost == 3


def test_a_job_given_up_is_lost_and_one_that_could_not_be_parsed_is_not(stage: Stage) -> None:
    first, second, third = stage.client.claim(worker=stage.worker, queues=["q"], n=3)
    stage.client.settle(leases=[first.lease], jobs=[first.id], outcomes=["timeout"])
    error = json.dumps({"type": "SyntaxError", "message": "no"})
    stage.client.settle(leases=[second.lease], jobs=[second.id], outcomes=["failed"], errors=[error])
    stage.client.settle(leases=[third.lease], jobs=[third.id], outcomes=["cancelled"])
    assert stage.audit().lost == 2


def test_the_result_of_another_file_is_lost_and_counted_twice(stage: Stage) -> None:
    stage.work(files={stage.course.ids[0]: "b.py"})
    found = stage.audit()
    assert (found.lost, found.duplicated) == (1, 2)


def test_a_second_execution_is_a_duplicate_unless_a_worker_was_lost(stage: Stage) -> None:
    held = [job.id for job in stage.client.claim(worker=stage.worker, queues=["q"], n=2)]
    stage.write(held[0], "start")
    stage.course.accident = Accident(pid=1, worker_id=stage.worker, held=held, done=0)
    stage.lose_worker()
    stage.work()
    stage.work()
    stage.work()
    found = stage.audit()
    assert (found.lost, found.duplicated, found.recovered, found.started_twice) == (0, 0, 2, 1)
    stage.write(stage.course.ids[2], "start")
    assert stage.audit().duplicated == 1
    stage.write(held[0], "start")
    assert stage.audit().duplicated == 2


def test_lost_after_is_shortened_only_where_nobody_else_works_and_always_restored(stage: Stage) -> None:
    now: Callable[[], Any] = lambda: stage.client.configure({})["lost_after"]  # noqa: E731
    before = now()
    with losses_noticed_soon(stage.client, ours=False) as lost_after:
        assert lost_after == timedelta(seconds=30)
        assert now() == before
    with losses_noticed_soon(stage.client, ours=True):
        assert now() == before  # a worker is registered
    stage.client.deregister_worker(stage.worker)
    with pytest.raises(RuntimeError), losses_noticed_soon(stage.client, ours=True):
        assert now() != before
        raise RuntimeError
    assert now() == before
