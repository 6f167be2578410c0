"""Workers killed at random in the middle of a large batch: no row lost, none with two outcomes, the callback called."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Database
from tests.worker.harness import Process, until
from tests.worker.rowjobs import RowJobs

pytestmark = [pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(900)]

ROWS = 100_000
SETTINGS: dict[str, Any] = {"concurrency": 4, "heartbeat_interval": 0.3, "poll_interval": 0.2, "grace": 1}


def test_workers_killed_at_random_in_a_batch(pg: Database, tmp_path: Path) -> None:
    number = int(os.environ.get("PGQUEUE_FAULT_SEED") or random.randrange(1_000_000))
    chance = random.Random(number)
    print(f"seed {number}")
    rows = RowJobs(pg, tmp_path)
    rows.client.configure({"lost_after": "1 second", "max_crashes": 1000})
    context = {"file": str(rows.file)}
    batch = rows.batches.submit_many("tests", "note", context, ((n, n) for n in range(1, ROWS + 1)))
    crew = [rows.process(**SETTINGS) for _ in range(3)]
    killed: list[Process] = []
    try:
        while (info := rows.batches.status(batch)).pending > ROWS / 10:
            victim = chance.choice(crew)
            victim.wait("registered")
            aim = info.pending - chance.randint(1, ROWS // 16)
            until(lambda aim=aim: rows.batches.status(batch).pending < aim, "the batch to go on", 120)
            victim.signal(signal.SIGKILL)
            victim.exit_code()
            crew[crew.index(victim)] = rows.process(**SETTINGS)
            killed.append(victim)
        info = rows.over(batch, 300)
        rows.until_noted("done", seconds=60)
        until(lambda: not rows.connection.execute("select from pgqueue.lease").fetchall(), "the last lease to end", 60)
    finally:
        for worker in (*crew, *killed):
            worker.__exit__(None, None, None)
    assert (info.status, info.rows, info.succeeded, info.pending) == ("succeeded", ROWS, ROWS, 0)
    outcomes = rows.batches.rows(batch, page=10_000)
    assert [(row.line, row.row_id) for row in outcomes] == [(n, n - 1) for n in range(1, ROWS + 1)]
    ran = Counter(rows.lines())
    assert set(ran) == set(range(1, ROWS + 1))
    done = [note for note in rows.notes() if note.startswith("done")]
    assert set(done) == {f"done {batch} succeeded {ROWS}/0/0"}
    for table in ("ready", "lease", "suspect", "scheduled", "held"):
        assert rows.connection.execute(f"select count(*) from pgqueue.{table}".encode()).fetchone() == (0,), table
    print(f"{len(killed)} killed, {sum(ran.values()) - ROWS} rows ran again, {len(done)} callbacks")
