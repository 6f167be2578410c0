"""The two worker processes of the quickstart, their ledgers and logs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pgqueue.cli._errors import CliError
from pgqueue.cli._quickstart import app as quickstart_app

# The work is computation, which threads of one process take turns at.
CONCURRENCY = 2
GRACE = 5.0
HEARTBEAT = 0.5


@dataclass
class Member:
    """One worker process. `name` is the name it registers under, unique to this run."""

    name: str
    process: subprocess.Popen[bytes]
    ledger: Path
    log: Path

    def entries(self) -> list[tuple[int, str]]:
        """(job id, event) in the order written."""
        try:
            whole, _, _ = self.ledger.read_bytes().rpartition(b"\n")
        except FileNotFoundError:
            return []
        return [(int(id), event.decode()) for id, event in (line.split() for line in whole.splitlines())]

    def stalled(self) -> bool:
        """Whether it lies down with a job in its hands, as asked."""
        return any(event == "stall" for _, event in self.entries())

    def require_alive(self) -> None:
        """Raises CliError with the end of its log when the process is gone and should not be."""
        code = self.process.poll()
        if code is not None:
            tail = "\n".join(self.log.read_text(errors="replace").strip().splitlines()[-12:])
            raise CliError(f"a worker ended by itself (exit code {code}):\n{tail}")

    def kill(self) -> None:
        """SIGKILL, and wait until the kernel has buried it."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """SIGTERM, a time to finish, then SIGKILL. A stopped process is let run again, or it could not hear."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                self.kill()
        if self.process.stdin is not None:
            self.process.stdin.close()


class Crew:
    """Starts workers for one queue and stops whatever is left of them."""

    def __init__(self, folder: Path, *, dsn: str, schema: str, queue: str) -> None:
        self.folder, self.dsn, self.schema, self.queue = folder, dsn, schema, queue
        self.members: list[Member] = []

    def start(self, *, stall_at: int | None = None) -> Member:
        """One more worker process; with `stall_at` its job of that turn lies down and waits for a SIGKILL."""
        name = f"{self.queue}-{len(self.members) + 1}"
        ledger, log = self.folder / f"{name}.ledger", self.folder / f"{name}.log"
        env = {
            **os.environ,
            "PGQUEUE_DSN": self.dsn,  # not on the command line: `ps` shows that to everybody
            "PGQUEUE_SCHEMA": self.schema,
            "PYTHONWARNINGS": "ignore",
            quickstart_app.LEDGER: str(ledger),
        }
        if stall_at is not None:
            env[quickstart_app.STALL] = str(stall_at)
        command = [sys.executable, "-m", "pgqueue.cli", "worker", "pgqueue.cli._quickstart.app:app"]
        command += [
            "-q",
            self.queue,
            "-c",
            str(CONCURRENCY),
            "--name",
            name,
            "--grace",
            str(GRACE),
            "--heartbeat",
            str(HEARTBEAT),
        ]
        with log.open("wb") as sink:
            # Its own session: a Ctrl-C in the terminal is for the quickstart, which then stops its workers in order.
            process = subprocess.Popen(
                command, env=env, stdin=subprocess.PIPE, stdout=sink, stderr=subprocess.STDOUT, start_new_session=True
            )
        self.members.append(Member(name, process, ledger, log))
        return self.members[-1]

    def starts(self) -> Counter[int]:
        """How often each job was started, by all workers together."""
        return Counter(id for member in self.members for id, event in member.entries() if event == "start")

    def ends(self) -> Counter[int]:
        """How often each job's function came to its end."""
        return Counter(id for member in self.members for id, event in member.entries() if event == "end")

    def stop(self) -> None:
        """Stop every worker; bounded in time."""
        for member in self.members:
            if member.process.poll() is None:
                member.process.send_signal(signal.SIGCONT)
                member.process.terminate()
        for member in self.members:
            member.stop()
