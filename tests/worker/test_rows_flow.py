"""Batches between jobs, run by workers: rows after a job, a mail after the rows; and workers that are killed there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Database
from tests.worker.harness import until
from tests.worker.rowjobs import RowJobs


@pytest.fixture
def rows(pg: Database, tmp_path: Path) -> RowJobs:
    return RowJobs(pg, tmp_path)


def step(rows: RowJobs, text: str) -> dict[str, object]:
    """A job that notes this, as enqueue_many takes it."""
    return {"kind": "note_job", "args": {"file": str(rows.file), "text": text}}


def test_rows_after_a_job_and_a_mail_after_the_rows(rows: RowJobs) -> None:
    with rows.process(), rows.process():
        prepared = rows.client.enqueue(**step(rows, "prepared"))
        batch = rows.submit(
            "note",
            range(40),
            depends_on=prepared,
            on_success={**step(rows, "mail"), "pass_as": "about"},
            on_error=step(rows, "alarm"),
        )
        report = rows.batches.submit_slow_query("tests", "report", {}, {"a": 1}, depends_on=batch)
        last = rows.client.enqueue(**step(rows, "last"), depends_on=[report, batch])
        info = rows.over(batch)
        rows.until_noted("mail")
        rows.until_noted("last")
    assert (info.status, info.succeeded) == ("succeeded", 40)
    notes = rows.notes()
    assert notes[0] == "prepared"
    assert "mail {'aborted': 0, 'failed': 0, 'succeeded': 40}" in notes
    assert "alarm" not in notes
    assert sum(note == "last" for note in notes) == 1
    assert sorted(rows.lines()) == list(range(1, 41))
    assert [parent.state for parent in rows.client.parents(last.id)] == ["succeeded"] * 2


def test_a_batch_whose_job_fails_is_aborted(rows: RowJobs) -> None:
    with rows.process():
        job = rows.client.enqueue("note_job", {"file": str(rows.file), "text": "", "fails": True}, max_attempts=1)
        batch = rows.submit("note", range(3), depends_on=[job.id], on_error={**step(rows, "alarm"), "pass_as": "about"})
        other = rows.submit("note", range(3), depends_on=[job.id], on_parent_failure="run")
        assert rows.over(batch).aborted == 3
        assert rows.over(other).succeeded == 3
        rows.until_noted("alarm")
    assert "alarm {'error': None, 'reason': 'parent_failed', 'state': 'cancelled'}" in rows.notes()
    assert sorted(rows.lines()) == [1, 2, 3]


@pytest.mark.slow
def test_a_worker_killed_between_the_end_of_the_job_and_the_release(rows: RowJobs) -> None:
    """An append in an open transaction has the batch, so that the parent's settle leaves its release to upkeep, which
    has no worker then.
    """
    rows.client.configure({"lost_after": "1 second"})
    job = rows.client.enqueue(**step(rows, "first"))
    batch = rows.submit("note", range(3), depends_on=job, hold=True)
    other = rows.connect()
    with other.transaction():
        other.execute("select pgqueue.batch_append_each(%s, '{9}', '{1}')", (batch,))
        with rows.process() as victim:
            until(lambda: rows.client.result(job.id).state == "succeeded", "the job to succeed")
            rows.kill(victim)
        assert rows.batches.status(batch).waits_for == ["release", "parents"]
    rows.batches.release(batch)
    assert rows.batches.status(batch).waits_for == ["parents"]
    with rows.process():
        assert rows.over(batch).succeeded == 4
    assert sorted(rows.lines()) == [1, 2, 3, 9]
    assert rows.notes().count("first") == 1
