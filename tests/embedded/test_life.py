"""Start, join, stop, survive: with every server at hand, under every identity that works here."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pgqueue.embedded import Binaries, EmbeddedError, Instance, processes, throwaway
from pgqueue.embedded.runas import Way
from pgqueue.errors import NotConfigured
from tests.support.cluster import wait_for

pytestmark = pytest.mark.slow

START = "import sys; from pgqueue.embedded import Instance; print(Instance(sys.argv[1]).start(), flush=True)"


@contextmanager
def gone_afterwards(instance: Instance) -> Iterator[Instance]:
    try:
        yield instance
    finally:
        instance.destroy()


def starter(folder: Path, code: str = START) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )


def test_a_whole_life(place: Path, binaries: Binaries, way: Way) -> None:
    folder = place / "app" / ".pgqueue"
    with gone_afterwards(Instance(folder, run_as=way)) as instance:
        assert instance.status().version is None
        with pytest.raises(NotConfigured, match="pgqueue up"):
            _ = instance.dsn
        assert instance.start() == "started"
        assert instance.start() == "joined"
        dsn = instance.dsn
        status = instance.status()
        assert (status.running, status.version) == (True, str(binaries.major))
        with psycopg.connect(dsn) as connection:
            connection.execute("create table kept as select generate_series(1, 1000) as a")
            row = connection.execute("select current_setting('fsync'), current_setting('listen_addresses')").fetchone()
            assert row == ("on", "127.0.0.1")
        for name in ("dsn", "password"):
            assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(psycopg.conninfo.make_conninfo(dsn, password="wrong"))
        assert (folder / ".gitignore").read_text() == "*\n"

        # killed
        assert status.pid is not None
        os.kill(status.pid, signal.SIGKILL)
        assert instance.start() == "started"
        assert instance.dsn == dsn
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (1000,)

        # stopped
        assert instance.stop()
        assert not instance.stop()
        assert not instance.status().running
        assert instance.status().version == str(binaries.major)
        assert Instance(folder, run_as=way).start() == "started"
        with psycopg.connect(dsn) as connection:
            assert connection.execute("select count(*) from kept").fetchone() == (1000,)
    assert not folder.exists()


def test_two_at_once(place: Path) -> None:
    folder = place / "shared"
    with gone_afterwards(Instance(folder)):
        both = [starter(folder) for _ in range(2)]
        assert sorted(process.communicate(timeout=60)[0].strip() for process in both) == ["joined", "started"]
        assert Instance(folder).start() == "joined"


def test_a_first_start_that_is_killed_leaves_no_half_cluster(place: Path) -> None:
    folder = place / "killed"
    with gone_afterwards(Instance(folder)) as instance:
        process = starter(folder)
        wait_for(lambda: list(folder.glob("data.new-*/data/base")), "initdb to be under way")
        process.kill()
        process.communicate()
        assert not (folder / "data").exists()
        assert instance.start() == "started"
        assert not list(folder.glob("data.new-*"))
        psycopg.connect(instance.dsn).close()


def test_a_zombie_is_not_a_server(place: Path) -> None:
    """The parent lives on and does not look: the killed postmaster stays a zombie, and its pid file stays too."""
    folder = place / "zombie"
    with gone_afterwards(Instance(folder)) as instance:
        parent = starter(folder, START + "; sys.stdin.read()")
        assert parent.stdout is not None
        assert parent.stdout.readline() == "started\n"
        pid = instance.status().pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        wait_for(lambda: processes._state(pid) == "Z", "the postmaster to be a zombie")
        assert not instance.status().running
        assert not instance.stop()
        assert instance.start() == "started"
        assert instance.status().pid != pid
        parent.communicate("")


def test_a_server_that_outlives_its_starter_can_be_joined_and_stopped(place: Path) -> None:
    folder = place / "left"
    with gone_afterwards(Instance(folder)) as instance:
        assert starter(folder).communicate(timeout=60)[0] == "started\n"
        assert instance.start() == "joined"
        assert instance.stop()


def test_a_port_that_was_taken_meanwhile(place: Path) -> None:
    with gone_afterwards(Instance(place / "port")) as instance:
        instance.start()
        port = instance.status().port
        instance.stop()
        with socket.socket() as taken:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            taken.bind(("127.0.0.1", port))
            taken.listen()
            assert instance.start() == "started"
        assert instance.status().port != port
        psycopg.connect(instance.dsn).close()


def test_data_of_another_major_version(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with gone_afterwards(Instance(place / "old")) as instance:
        instance.start()
        instance.stop()
        (instance.folder / "data" / "PG_VERSION").write_text("14\n")
        with pytest.raises(EmbeddedError, match="PostgreSQL 14 was not found; there is") as caught:
            instance.start()
        assert "PGQUEUE_PG_BIN" in str(caught.value)
        assert "pg_dumpall" in str(caught.value)


def test_a_server_that_cannot_start_says_why(place: Path) -> None:
    with gone_afterwards(Instance(place / "bad", settings={"shared_buffers": "nonsense"})) as instance:
        with pytest.raises(EmbeddedError, match="shared_buffers") as caught:
            instance.start()
        assert str(place / "bad" / "log") in str(caught.value)
        assert not instance.status().running


def test_destroying_spares_what_is_not_ours(place: Path) -> None:
    folder = place / "mixed"
    instance = Instance(folder)
    instance.start()
    (folder / "notes.txt").write_text("mine")
    instance.destroy()
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    instance.destroy()


def test_throwaway_leaves_nothing() -> None:
    with throwaway() as instance:
        folder, pid = instance.folder, instance.status().pid
        with psycopg.connect(instance.dsn) as connection:
            assert connection.execute("show fsync").fetchone() == ("off",)
    assert pid is not None
    assert not processes.alive(pid)
    assert not folder.exists()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tying a child's life to its parent's is Linux only")
def test_throwaway_ends_with_a_killed_process(place: Path) -> None:
    code = """if True:
        import sys
        from pgqueue.embedded import throwaway
        with throwaway() as instance:
            print(instance.folder, instance.status().pid, flush=True)
            sys.stdin.read()"""
    process = starter(place, code)
    assert process.stdout is not None
    folder, pid = process.stdout.readline().split()
    process.kill()
    process.communicate()
    wait_for(lambda: not processes.alive(int(pid)), "the server to end")
    Instance(folder).destroy()
