"""The course of events: all enqueued in one transaction, two workers, one of them killed, the rest waited for."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pgqueue.cli._errors import CliError
from pgqueue.cli._progress import Progress
from pgqueue.cli._quickstart.app import KIND, PICKUP
from pgqueue.cli._quickstart.crew import Crew, Member

if TYPE_CHECKING:
    import psycopg

    from pgqueue import Client

TICK = 0.1
START_DEADLINE = 60.0
# Without a single job finished for so long, beyond the time until a worker counts as lost, nothing more will happen.
STALLED_DEADLINE = 90.0
LOST_AFTER = timedelta(seconds=3)
MOST_PICKUPS, FEWEST_PICKUPS = 100, 20
# Jobs before those that are measured: connections and caches warm up.
WARM_UP = 5


class Pickup(NamedTuple):
    """Milliseconds from the call of enqueue() to the first line of the handler, and to the return of enqueue()."""

    started_ms: float
    enqueued_ms: float


@dataclass
class Accident:
    """The SIGKILL: whom it hit, which jobs it held in that moment (asked while it was stopped), and how many jobs were
    done by then.
    """

    pid: int
    worker_id: int
    held: list[int]
    done: int


@dataclass
class Course:
    """What was started and what befell it; the counting is `audit`'s."""

    queue: str
    root: Path
    files: list[str]
    ids: list[int] = field(default_factory=list)
    enqueue_seconds: float = 0.0
    accident: Accident | None = None
    pickups: list[Pickup] = field(default_factory=list)


def connection_of(client: Client) -> psycopg.Connection[Any]:
    """The connection the quickstart gave its client."""
    assert client.connection is not None
    return client.connection


def enqueue_all(client: Client, course: Course) -> None:
    """One job a file, all in one transaction: either the whole index is asked for or nothing."""
    started = time.monotonic()
    args = [{"root": str(course.root), "file": file} for file in course.files]
    with connection_of(client).transaction():
        for at in range(0, len(args), 1000):
            made = client.enqueue_each(KIND, args[at : at + 1000], queue=course.queue, max_attempts=1)
            course.ids.extend(job.id for job in made)
    course.enqueue_seconds = time.monotonic() - started


@contextmanager
def losses_noticed_soon(client: Client, ours: bool) -> Iterator[timedelta]:
    """Shorten `lost_after` for the length of the run where nobody else can be hurt by it; yields what then holds.

    The heartbeats of other workers may be further apart than that, so a database that has any, or is not ours to tune,
    keeps its own.
    """
    before = client.configure({})["lost_after"]
    if not ours or any(not worker.lost for worker in client.workers()):
        row = connection_of(client).execute("select %(text)s::interval", {"text": before}).fetchone()
        assert row is not None
        yield row[0]
        return
    client.configure({"lost_after": LOST_AFTER.total_seconds()})
    try:
        yield LOST_AFTER
    finally:
        client.configure({"lost_after": before})


def work_through(client: Client, crew: Crew, course: Course, lost_after: timedelta, progress: Progress) -> None:
    """Start the workers, kill the first one with jobs in its hands, and wait until nothing is left to do."""
    total = len(course.ids)
    victim = crew.start(stall_at=min(total // 5, 350))
    # The second one starts when the first has something in its hands: in a small tree it would otherwise find nothing
    # left to do.
    _until(victim.entries, [victim], START_DEADLINE, "the first worker has not started a job")
    survivor = crew.start()
    done, moved = 0, time.monotonic()
    while done < total:
        now_done = total - _waiting(client, course.queue)
        if now_done != done:
            done, moved = now_done, time.monotonic()
        if course.accident is None and (victim.stalled() or done > total // 2):
            course.accident = _kill(client, victim, course.queue, done)
            if course.accident is not None:
                held = f"{len(course.accident.held)} claimed job" + ("s" if len(course.accident.held) != 1 else "")
                progress.say(f"SIGKILL to worker process {victim.process.pid}, which held {held}")
                moved = time.monotonic()
        survivor.require_alive()
        if course.accident is None:
            victim.require_alive()
        progress.update(done, _note(course.accident))
        if time.monotonic() - moved > lost_after.total_seconds() + STALLED_DEADLINE:
            return
        time.sleep(TICK)


def _note(accident: Accident | None) -> str:
    return "two workers" if accident is None else "one worker left"


def _waiting(client: Client, queue: str) -> int:
    """Jobs of the queue that have not ended."""
    return sum(q.queued + q.scheduled + q.held + q.running for q in client.queues() if q.queue == queue)


def _kill(client: Client, victim: Member, queue: str, done: int) -> Accident | None:
    """SIGKILL the worker while it holds claimed jobs; None (and it lives on) if it holds none just now.

    SIGSTOP first: a stopped process can settle nothing, so what the server says it holds stays true until the SIGKILL.
    """
    victim.process.send_signal(signal.SIGSTOP)
    worker_id = next((worker.id for worker in client.workers() if worker.name == victim.name), None)
    held = [] if worker_id is None else _held(client, queue, worker_id)
    if worker_id is None or not held:
        victim.process.send_signal(signal.SIGCONT)
        return None
    victim.kill()
    if victim.process.returncode != -signal.SIGKILL:
        raise CliError(f"the worker to be killed ended otherwise, with code {victim.process.returncode}")
    return Accident(victim.process.pid, worker_id, held, done)


def _held(client: Client, queue: str, worker_id: int) -> list[int]:
    return [job.id for job in client.jobs(queue=queue, state="running", max=1000) if job.worker_id == worker_id]


def pickups_of(course: Course) -> int:
    """How many jobs the latency is measured with: a small tree should not be waited for longer than it is worth."""
    return max(FEWEST_PICKUPS, min(MOST_PICKUPS, len(course.files)))


def measure_pickup(client: Client, queue: str, count: int, progress: Progress) -> list[Pickup]:
    """One job at a time, the worker idle before each: how soon it starts, and how much of that is the enqueueing."""
    measured: list[Pickup] = []
    for n in range(count + WARM_UP):
        called = time.monotonic()
        id = client.enqueue(PICKUP, {}, queue=queue, max_attempts=1).id
        returned = time.monotonic()
        # Looking too eagerly would take the processor from the worker whose quickness is measured.
        time.sleep(0.01)
        while not client.result(id).is_final:
            if time.monotonic() > returned + 10:
                return measured
            time.sleep(0.005)
        found = client.result(id)
        if n >= WARM_UP and found.state == "succeeded":
            measured.append(Pickup((float(found.result) - called) * 1000, (returned - called) * 1000))
        progress.update(n + 1)
        time.sleep(random.uniform(0.005, 0.02))
    return measured


def _until(done: object, members: Sequence[Member], seconds: float, otherwise: str) -> None:
    """Wait for a condition while the processes live. Raises CliError."""
    assert callable(done)
    deadline = time.monotonic() + seconds
    while not done():
        for member in members:
            member.require_alive()
        if time.monotonic() > deadline:
            raise CliError(
                f"{otherwise} within {seconds:.0f} s", f"Its log: {members[0].log.read_text(errors='replace')[-2000:]}"
            )
        time.sleep(0.02)


def python_files(root: Path) -> tuple[list[str], int]:
    """Python source files below a folder, as paths relative to it, and how many were left out because JSON cannot carry
    their names.

    Left out: installed packages, caches, hidden folders, what symbolic links point to.
    """
    found, unnameable = [], 0
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(
            d
            for d in folders
            if d not in ("site-packages", "dist-packages", "__pycache__", "node_modules") and d[0] != "."
        )
        for name in sorted(files):
            path = Path(folder, name)
            if not name.endswith(".py") or path.is_symlink():
                continue
            relative = path.relative_to(root).as_posix()
            try:
                relative.encode()
            except UnicodeEncodeError:
                unnameable += 1
                continue
            found.append(relative)
    return found, unnameable
