"""Real worker processes for a workload, as `pgqueue worker` starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pgqueue.errors import PgQueueError

if TYPE_CHECKING:
    from pgqueue.bench._base import Bench

_START = 60.0
_GRACE = 15.0


class WorkerEnded(PgQueueError):
    """A worker process is gone that should be there; the message holds the end of its log."""


@dataclass
class Workers:
    """The processes and their logs."""

    processes: list[subprocess.Popen[bytes]] = field(default_factory=list[subprocess.Popen[bytes]])
    logs: list[Path] = field(default_factory=list[Path])

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self.processes]

    def require_alive(self) -> None:
        """Raises WorkerEnded when one has ended."""
        for process, log in zip(self.processes, self.logs, strict=True):
            code = process.poll()
            if code is not None:
                tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-12:])
                raise WorkerEnded(f"a worker ended by itself (exit code {code}):\n{tail}")

    def cpu(self) -> float | None:
        """Seconds of processor they have used so far, all threads; None where the system does not say."""
        try:
            ticks = [
                sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))
                for pid in self.pids
            ]
        except OSError:
            return None
        return sum(ticks) / os.sysconf("SC_CLK_TCK")


@contextmanager
def worker_processes(
    bench: Bench,
    count: int,
    queues: Sequence[str],
    concurrency: int,
    app: str | None,
    env: Mapping[str, str],
    options: Sequence[str],
) -> Iterator[Workers]:
    """See Bench.worker_processes."""
    workers = Workers()
    command = [sys.executable, "-m", "pgqueue.cli", "worker", *([app] if app else [])]
    command += ["-c", str(concurrency), "--log-level", "warning"]
    command += [part for queue in queues for part in ("-q", queue)] + list(options)
    # The DSN not on the command line: `ps` shows that to everybody.
    environment = {**os.environ, "PGQUEUE_DSN": bench.dsn, "PGQUEUE_SCHEMA": bench.schema, **env}
    with tempfile.TemporaryDirectory(prefix="pgqueue-bench-") as folder:
        known = _registered(bench)
        try:
            for n in range(count):
                log = Path(folder) / f"worker-{n + 1}.log"
                with log.open("wb") as sink:
                    # A session of its own: a Ctrl-C in the terminal is for the bench, which then stops its workers.
                    process = subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=sink,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                workers.processes.append(process)
                workers.logs.append(log)
            deadline = time.monotonic() + _START
            while len(_registered(bench) - known) < count:
                workers.require_alive()
                if time.monotonic() > deadline:
                    raise WorkerEnded(f"{count} workers did not register within {_START:.0f} seconds")
                time.sleep(0.05)
            yield workers
        finally:
            _stop(workers.processes)


def _registered(bench: Bench) -> set[int]:
    rows = bench.connection.execute(f"select id from {bench.schema}.workers()".encode()).fetchall()
    return {row[0] for row in rows}


def _stop(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
