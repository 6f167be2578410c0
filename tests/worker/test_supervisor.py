"""Several processes: started, replaced, signalled, stopped together."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.worker.harness import ROOT, Jobs, Process, until

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from tests.support.cluster import Database


class Supervised(Process):
    """tests.worker.supervised: a supervisor that prints its events."""

    module = "tests.worker.supervised"

    def __init__(self, dsn: str, processes: int, **settings: Any) -> None:
        super().__init__(dsn, processes=processes, **settings)
        self.children: list[psutil.Process] = []

    def child(self, number: int, generation: int = 1) -> psutil.Process:
        """The process that is child `number`, the generation-th time it was started."""
        event = self.wait("child_started", number=number, count=generation)
        process = psutil.Process(event.facts["pid"])
        self.children.append(process)
        return process

    def __enter__(self) -> Supervised:
        return self

    def __exit__(self, *raised: Any) -> None:
        for child in self.children:
            if child.is_running():
                child.kill()
        super().__exit__(*raised)


def workers(jobs: Jobs) -> int:
    return int(jobs.one("select count(*) from pgqueue.worker"))


def test_processes_share_the_work_and_end_when_drained(pg: Database, jobs: Jobs) -> None:
    jobs.many("note", 60, {"file": os.devnull, "wait": 0.01})
    with Supervised(pg.dsn, 2, drain=True, concurrency=2) as supervisor:
        assert supervisor.exit_code(60) == 0
        assert len(supervisor.seen("child_ended", code=0)) == 2
    assert jobs.counts() == {"succeeded": 60}
    assert jobs.one("select count(distinct worker_id) from pgqueue.outcome") == 2


def test_a_crashed_process_is_replaced(pg: Database, jobs: Jobs) -> None:
    with Supervised(pg.dsn, 2) as supervisor:
        first = supervisor.child(1)
        supervisor.child(2)
        until(lambda: workers(jobs) == 2, "both to register", 60)
        first.kill()
        supervisor.wait("child_ended", number=1, code=-signal.SIGKILL)
        supervisor.child(1, generation=2)
        until(lambda: workers(jobs) == 3, "the new one to register", 60)
        supervisor.signal(signal.SIGTERM)
        assert supervisor.exit_code(60) == 0
    assert workers(jobs) == 1  # the killed one, not yet missed


def test_signals_are_passed_on(pg: Database, jobs: Jobs) -> None:
    """Soft first, then hard: the jobs come back unspent."""
    ids = [jobs.add("sync_hang", max_attempts=1) for _ in range(2)]
    with Supervised(pg.dsn, 2, grace=600, concurrency=1) as supervisor:
        for number in (1, 2):
            supervisor.child(number)
        until(lambda: {jobs.state(id)[0] for id in ids} == {"running"}, "both to run", 60)
        supervisor.signal(signal.SIGINT)
        # both of them: two signals that one process has not looked at yet are one
        until(lambda: sum("stopping" in line for line in supervisor.log) >= 2, "the children to hear it")
        supervisor.signal(signal.SIGINT)
        assert supervisor.exit_code(60) == 128 + signal.SIGINT
    assert {jobs.state(id)[0] for id in ids} == {"queued"}
    assert {jobs.get(id)["attempt"] for id in ids} == {0}


def test_children_of_a_killed_supervisor_stop(pg: Database, jobs: Jobs) -> None:
    with Supervised(pg.dsn, 2) as supervisor:
        children = [supervisor.child(1), supervisor.child(2)]
        until(lambda: workers(jobs) == 2, "both to register", 60)
        supervisor.signal(signal.SIGKILL)
        until(lambda: workers(jobs) == 0, "both to deregister", 60)
        _, alive = psutil.wait_procs(children, 30)
        assert not alive


def test_hopeless_children_end_everything(empty_database: str) -> None:
    with Supervised(empty_database, 2) as supervisor:
        assert supervisor.exit_code(60) == 4
        assert any("pgqueue schema upgrade" in line for line in supervisor.log)
        assert len(supervisor.seen("child_started", number=1)) == 1


def test_no_password_in_the_list_of_processes(pg: Database) -> None:
    with Supervised(f"{pg.dsn} password=sesame", 1) as supervisor:
        child = supervisor.child(1)
        assert "sesame" not in " ".join(child.cmdline())
        assert "sesame" not in " ".join(child.environ().values())
        supervisor.signal(signal.SIGTERM)
        supervisor.exit_code(60)


def test_the_command_line_s_way_in(pg: Database, jobs: Jobs) -> None:
    """main_for_cli in a process of its own, one worker, JSON logs."""
    id = jobs.add("fail", {"message": "told"}, max_attempts=1)
    code = (
        "import sys; from pgqueue.worker import main_for_cli;"
        f"sys.exit(main_for_cli('tests.worker.tasks:app', dsn={pg.dsn!r}, queues=[('default', None)], drain=True,"
        " concurrency=2, grace=1.0, json_logs=True, heartbeat_interval=1.0, name='me', log_level='info'))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stderr.splitlines()]
    (failed,) = [line for line in lines if line.get("job_id") == id]
    facts = {key: failed[key] for key in ("level", "message", "kind", "queue", "attempt", "outcome")}
    assert facts == {
        "level": "error",
        "message": "job failed",
        "kind": "fail",
        "queue": "default",
        "attempt": 1,
        "outcome": "failed",
    }
    assert failed["duration_ms"] >= 0
    assert "ValueError: told" in failed["exception"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nowhere", "does not name an app"),
        ("no.such.module:app", "there is no module 'no'"),
        ("tests.worker.tasks:nothing_here", "has no 'nothing_here'"),
        ("tests.worker.tasks:gates", "not an App"),
    ],
)
def test_an_app_that_cannot_be_found(path: str, message: str) -> None:
    from pgqueue.errors import InvalidArgument
    from pgqueue.worker import main_for_cli

    with pytest.raises(InvalidArgument, match=message):
        main_for_cli(path, dsn="")
