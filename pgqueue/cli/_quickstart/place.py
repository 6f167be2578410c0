"""The database of a quickstart: one that was named, else this folder's own server; with --rm one that leaves nothing
behind.
"""

from __future__ import annotations

import secrets
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pgqueue.cli._options import Settings
from pgqueue.cli._session import open_connection, resolve
from pgqueue.cli.embedded import FOLDER, here
from pgqueue.config import EMBEDDED_DSN_FILE
from pgqueue.errors import NotConfigured

Say = Callable[[str], None]


@dataclass(frozen=True)
class Place:
    """Where the run happens.

    `ours`: nobody else works there, so its settings may be changed for a while. `lasts`: it is still there when the run
    is over. `psql`: the words that start psql on it. `what` is for people.
    """

    dsn: str
    schema: str
    what: str
    ours: bool
    lasts: bool
    psql: str


@contextmanager
def place(settings: Settings, *, rm: bool, say: Say) -> Iterator[Place]:
    """Make the database ready, and with `rm` undo all of it, whatever happened in between.

    Raises what starting a server, connecting and installing can raise; a schema of another version is never touched
    (SchemaOutdated).
    """
    try:
        found = resolve(settings)
    except NotConfigured:
        found = None
    if found is not None and found.source != str(EMBEDDED_DSN_FILE):
        with _given(settings, found.dsn, found.source, rm=rm, say=say) as made:
            yield made
    elif rm:
        with _throwaway(settings, say) as made:
            yield made
    else:
        yield _own(settings, say)


def _own(settings: Settings, say: Say) -> Place:
    """This folder's server, which stays up for whoever comes next."""
    instance = here()
    say(f"starting PostgreSQL in ./{FOLDER} …")
    instance.start()
    version, _ = _install(instance.dsn, settings.schema, say, upgrade=True)
    return Place(
        instance.dsn,
        settings.schema,
        f"PostgreSQL {version} in ./{FOLDER}",
        True,
        True,
        _psql(shlex.quote(instance.dsn)),
    )


@contextmanager
def _throwaway(settings: Settings, say: Say) -> Iterator[Place]:
    """A server in a temporary folder, never the one of this folder: whoever has jobs there did not mean them to go."""
    from pgqueue.embedded import Instance

    folder = Path(tempfile.mkdtemp(prefix="pgqueue-quickstart-"))
    instance = Instance(folder, dies_with_caller=True)
    try:
        say(f"starting a PostgreSQL that lasts as long as this run, in {folder} …")
        instance.start()
        version, _ = _install(instance.dsn, settings.schema, say, upgrade=True)
        yield Place(
            instance.dsn,
            settings.schema,
            f"PostgreSQL {version} in a temporary folder",
            True,
            False,
            _psql(f'"$(cat {FOLDER}/dsn)"'),
        )
    finally:
        instance.destroy()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _given(settings: Settings, dsn: str, source: str, *, rm: bool, say: Say) -> Iterator[Place]:
    """Somebody's database. What is there stays untouched: a queue of our own, or, when nothing shall remain, a schema
    of our own.
    """
    words = _psql({"given": shlex.quote(dsn), "PGQUEUE_DSN": '"$PGQUEUE_DSN"'}.get(source, ""))
    schema = f"pgqueue_quickstart_{secrets.token_hex(4)}" if rm else settings.schema
    say(f"using the database named by {'--dsn' if source == 'given' else source}, schema {schema}")
    try:
        version, fresh = _install(dsn, schema, say, upgrade=False)
        yield Place(
            dsn, schema, f"PostgreSQL {version} ({'--dsn' if source == 'given' else source})", fresh, not rm, words
        )
    finally:
        if rm:
            _remove(dsn, schema)


def _install(dsn: str, schema: str, say: Say, *, upgrade: bool) -> tuple[str, bool]:
    """The schema, if it is missing or, in a server of ours, old. Returns the server's version and if it was missing."""
    from pgqueue import schema as library

    with open_connection(dsn, application_name="pgqueue quickstart") as connection:
        status = library.check(connection, schema)
        missing = status.state == "missing"
        if missing or (upgrade and status.state == "outdated"):
            say(f"installing schema {schema} …")
            status = library.upgrade(connection, schema)
        status.require()
        return connection.info.parameter_status("server_version") or "?", missing


def _remove(dsn: str, schema: str) -> None:
    from pgqueue import schema as library

    with open_connection(dsn, application_name="pgqueue quickstart") as connection:
        library.downgrade(connection, schema, "base")


def _psql(address: str) -> str:
    """`psql ADDRESS`, with the path of a psql that a wheel brought where the machine has none."""
    program = shutil.which("psql")
    if program is None:
        from pgqueue.embedded import EmbeddedError, find

        try:
            brought = Path(find().program("psql"))
        except EmbeddedError:
            brought = Path("psql")
        return f"{shlex.quote(str(brought)) if brought.exists() else 'psql'} {address}".rstrip()
    return f"psql {address}".rstrip()
