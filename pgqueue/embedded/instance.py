"""The life of a server kept in one folder: `data`, `dsn`, `password`, `log`, `lock`.

Every change happens under a lock on the folder, so that several processes may start the same instance at once: one
starts it, the others join it. It stays up until somebody stops it, since others may be using it. A server counts as up
when it can be connected to, never because a process exists: a killed postmaster lingers as a zombie until its parent
has looked, and its pid file outlives it.
"""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgqueue.embedded import processes
from pgqueue.embedded.binaries import find
from pgqueue.embedded.errors import EmbeddedError
from pgqueue.embedded.lock import locked
from pgqueue.embedded.runas import RunAs, Way, choose
from pgqueue.errors import NotConfigured

USER = DATABASE = "postgres"

StopMode = Literal["fast", "immediate"]

_OURS = ("data", "dsn", "password", "log", "log.old", "lock", "programs", ".gitignore")
_LOG_LIMIT = 10 << 20


@dataclass(frozen=True)
class InstanceStatus:
    """`running`: it answers to connections. `pid` and `port` are None while it is down, `version` (of the data, "18")
    until it has been made.
    """

    folder: Path
    running: bool
    pid: int | None
    port: int | None
    version: str | None


class Instance:
    """A server in a folder. Nothing happens until `start`.

    `run_as` forces the identity that root gives the server ("namespace" or "drop"), for environments where the first
    that works is not wanted. `settings` are passed to the server as `-c name=value`. With `dies_with_caller` the server
    ends when this process does, however it ends.
    """

    def __init__(
        self,
        folder: str | Path = ".pgqueue",
        *,
        run_as: Way | None = None,
        settings: Mapping[str, str] | None = None,
        dies_with_caller: bool = False,
    ) -> None:
        self.folder = Path(folder).absolute()
        self._data = self.folder / "data"
        self._way: Way | None = run_as
        self._settings = dict(settings or {})
        self._dies_with_caller = dies_with_caller

    @property
    def dsn(self) -> str:
        """The address of the server, password included. Raises NotConfigured before the first start."""
        try:
            return self._read("dsn")
        except FileNotFoundError:
            raise NotConfigured(
                f"there is no embedded server in {self.folder} yet", "Start it with: pgqueue up"
            ) from None

    def start(self, timeout: float = 120) -> Literal["started", "joined"]:
        """Makes the cluster if need be, starts the server and waits until it answers. "joined": it was running already.

        `timeout` in seconds covers recovery after a crash. Raises EmbeddedError when there is no server to run, when
        the data was made by another major version, when no identity can run it, or when it does not come up (with the
        end of its log).
        """
        deadline = time.monotonic() + timeout
        self._make_folder()
        with locked(self.folder / "lock", timeout) as lock:
            if self._join(deadline):
                return "joined"
            self._clear_remains(deadline)
            run_as = choose(find(self._data_major()), self.folder, self._way)
            if not self._data.exists():
                self._create(run_as, lock)
            elif self._data.stat().st_uid != run_as.uid:
                run_as.give(self._data)
            self._launch(run_as, deadline)
            self._hand_over()
            return "started"

    def stop(self, mode: StopMode = "fast", timeout: float = 120) -> bool:
        """Ends the server; False when it was not running. "fast" disconnects everybody and writes everything,
        "immediate" leaves that to recovery.

        Raises EmbeddedError when it is still there after `timeout` seconds.
        """
        if not self.folder.exists():
            return False
        with locked(self.folder / "lock", timeout):
            return self._stop(mode, time.monotonic() + timeout)

    def status(self) -> InstanceStatus:
        """Looks, takes no lock and changes nothing."""
        pid = self._postmaster()
        major = self._data_major()
        port = self._port_in_use() if pid is not None else None
        running = port is not None and self._refusal(port) is None
        return InstanceStatus(
            self.folder, running, pid if running else None, port if running else None, str(major) if major else None
        )

    def destroy(self, timeout: float = 120) -> None:
        """Stops the server and removes its data for good; the folder too, if nothing else is in it."""
        if not self.folder.exists():
            return
        with locked(self.folder / "lock", timeout):
            self._stop("immediate", time.monotonic() + timeout)
            for name in (*_OURS, *(path.name for path in self.folder.glob("data.new-*"))):
                path = self.folder / name
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()

    # making

    def _make_folder(self) -> None:
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            ignore = self.folder / ".gitignore"
            if not ignore.exists():
                ignore.write_text("*\n", encoding="utf-8")  # a password lives here
        except OSError as error:
            raise EmbeddedError(
                f"cannot use {self.folder}: {error.strerror}", "Choose a folder that is yours to write to."
            ) from error

    def _create(self, run_as: RunAs, lock: int) -> None:
        """initdb under a temporary name, then a rename: a first start that is killed leaves no half cluster.

        The child inherits the lock, so that nobody clears its work away while it still writes, even if we are killed.
        """
        for left in self.folder.glob("data.new-*"):
            shutil.rmtree(left)
        fresh = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.folder))
        password = secrets.token_urlsafe(24)
        secret = fresh / "password"
        secret.touch(mode=0o600)
        secret.write_text(password, encoding="utf-8")
        run_as.give(fresh)
        arguments = [
            "-D",
            str(fresh / "data"),
            "-U",
            USER,
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--encoding=UTF8",
        ]
        arguments += [
            "--no-locale",
            "--data-checksums",
            *(["--no-sync"] if self._settings.get("fsync") == "off" else []),
        ]
        done = subprocess.run(
            run_as.command("initdb", *arguments),
            capture_output=True,
            text=True,
            cwd="/",
            env=_environment(),
            pass_fds=[lock],
            check=False,
        )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedError(
                f"initdb of PostgreSQL {run_as.binaries.version} failed:\n{_tail(done.stderr)}", _disk_hint(self.folder)
            )
        self._write("password", password)
        (fresh / "data").rename(self._data)
        shutil.rmtree(fresh)

    # starting

    def _launch(self, run_as: RunAs, deadline: float) -> None:
        """Starts the server on its old port, or on another if that is taken."""
        log = self.folder / "log"
        if log.exists() and log.stat().st_size > _LOG_LIMIT:
            log.replace(self.folder / "log.old")
        for port in self._ports():
            settings = {
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": "",
                "cluster_name": "pgqueue",
                **self._settings,
            }
            options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
            command = run_as.command("postgres", "-D", str(self._data), "-p", str(port), *options)
            if self._dies_with_caller:
                command = processes.tied(command, run_as.binaries.program("postgres"))
            with open(log, "ab") as output:
                began = output.tell()
                pid = processes.start(command, output, _environment())
            # Known before it answers: whoever is killed while waiting leaves a server that others can join.
            self._write("dsn", self._address(port))
            try:
                self._wait_ready(pid, deadline, port)
            except _Ended:
                told = log.read_bytes()[began:].decode(errors="replace")
                if "Address already in use" in told:
                    continue
                raise EmbeddedError(
                    f"PostgreSQL {run_as.binaries.version} did not start:\n{_tail(told)}", f"Its whole log is {log}."
                ) from None
            return
        raise EmbeddedError("no free port was found on 127.0.0.1", "Free one, then start again.")

    def _join(self, deadline: float) -> bool:
        """Whether a server is up on this data, waiting for one that is on its way up."""
        pid = self._postmaster()
        if pid is None:
            return False
        try:
            self._wait_ready(pid, deadline)
        except _Ended:
            return False
        self._write("dsn", self._address(self._port_in_use()))
        self._hand_over()
        return True

    def _ports(self) -> Iterator[int]:
        known = conninfo_to_dict(self.dsn).get("port") if (self.folder / "dsn").exists() else None
        if known and processes.port_is_free(int(known)):
            yield int(known)
        for _ in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port: int = probe.getsockname()[1]
            yield port

    def _wait_ready(self, pid: int, deadline: float, port: int | None = None) -> None:
        """Until a real connection succeeds. Raises _Ended when the server ends first."""
        while True:
            port = port or self._port_in_use()
            refusal = self._refusal(port) if port else "no port yet"
            if refusal is None:
                return
            if not processes.alive(pid):
                raise _Ended
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the server in {self.folder} does not answer: {refusal}", f"See {self.folder / 'log'}."
                )
            time.sleep(0.02)

    def _refusal(self, port: int) -> str | None:
        try:
            psycopg.connect(self._address(port), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return str(error).strip()
        return None

    # looking

    def _address(self, port: int | None) -> str:
        try:
            password = self._read("password")
        except FileNotFoundError:
            raise EmbeddedError(
                f"{self.folder / 'password'} is gone", "Without it nobody can enter this server; restore the file."
            ) from None
        return f"postgresql://{USER}:{password}@127.0.0.1:{port or 0}/{DATABASE}"

    def _data_major(self) -> int | None:
        try:
            return int(self._read("data/PG_VERSION"))
        except FileNotFoundError:
            return None

    def _pid_file(self) -> list[str]:
        """postmaster.pid: pid, data folder, start time, port, … It is written in pieces."""
        try:
            return self._read("data/postmaster.pid").splitlines()
        except FileNotFoundError:
            return []

    def _postmaster(self) -> int | None:
        """The pid of a living server on this data, else None."""
        lines = self._pid_file()
        pid = int(lines[0]) if lines and lines[0].strip().isdigit() else None
        return pid if pid is not None and processes.alive(pid) and processes.works_in(pid, self._data) else None

    def _port_in_use(self) -> int | None:
        lines = self._pid_file()
        return int(lines[3]) if len(lines) > 3 and lines[3].strip().isdigit() else None

    def _clear_remains(self, deadline: float) -> None:
        """After a killed server: waits for its orphaned processes, and removes a pid file that names nobody or a
        zombie.

        PostgreSQL checks pid files itself, but it takes a zombie for a living server, and nobody may ever reap one in a
        container.
        """
        while processes.working_in(self._data):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"processes of an ended server still use {self._data}", "End them, then start again."
                )
            time.sleep(0.02)
        if self._pid_file():
            (self._data / "postmaster.pid").unlink()

    # ending

    def _stop(self, mode: StopMode, deadline: float) -> bool:
        pid = self._postmaster()
        if pid is None:
            return False
        try:
            processes.end(pid, mode)
        except PermissionError:
            raise EmbeddedError(
                f"the server in {self.folder} runs as another user", "Stop it as the user who started it."
            ) from None
        while processes.alive(pid) or processes.working_in(self._data):
            if time.monotonic() > deadline:
                raise EmbeddedError(
                    f"the server in {self.folder} (pid {pid}) does not end", f"See {self.folder / 'log'}."
                )
            time.sleep(0.02)
        return True

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8").strip()
        except PermissionError as error:
            raise EmbeddedError(
                f"{self.folder} belongs to another user", "Use another, or run as that user."
            ) from error

    def _hand_over(self) -> None:
        """What root did in a user's folder stays usable to the user."""
        owner = self.folder.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            for path in self.folder.iterdir():
                if not path.is_dir():
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)

    def _write(self, name: str, text: str) -> None:
        """Replaces a file that only its owner may read, in one step."""
        fresh = self.folder / f"{name}.new"
        fresh.unlink(missing_ok=True)
        with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text + "\n")
        fresh.replace(self.folder / name)


class _Ended(Exception):
    """The server ended before it answered."""


def _environment() -> dict[str, str]:
    """Ours without what would steer the server's programs, in a language whose messages we read."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))} | {
        "LC_ALL": "C"
    }


def _tail(text: str, lines: int = 12) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def _disk_hint(folder: Path) -> str | None:
    free = shutil.disk_usage(folder).free
    return (
        f"There are only {free >> 20} MB free in {folder}; a new cluster needs about 80." if free < 200 << 20 else None
    )
