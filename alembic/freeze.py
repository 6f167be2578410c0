"""Freezes sql/ into revisions, and checks that replaying all revisions gives what sql/ says.

    python alembic/freeze.py --check                 do they agree? (exit code 1 if not, with the differences)
    python alembic/freeze.py -m "faster claim"       writes the next revision from what differs
    python alembic/freeze.py --rewrite-initial       before the first release only: makes revision 0001 anew from sql/

Functions are frozen by themselves: their file from sql/ on the way up, what the catalogue held before on the way down.
Tables and types are not: no tool can know how to move the data. The revision lists what differs there; write its DDL by
hand until --check is content. Everything is compared in a throw-away server, PostgreSQL's catalogue against
PostgreSQL's catalogue; --dsn takes another server for that.
"""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString

import psycopg

HERE = Path(__file__).resolve().parent
# Run as a script, Python has put this folder first, where env.py and versions/ are of no use to an import; the
# repository is.
sys.path[:1] = [str(HERE.parent), str(HERE)]

from catalogue import Snapshot, differences, snapshot  # noqa: E402

from pgqueue import schema  # noqa: E402
from pgqueue._migrate import execute_script  # noqa: E402
from pgqueue._sqlfiles import revisions, source_files  # noqa: E402
from pgqueue.embedded import throwaway  # noqa: E402

VERSIONS = HERE / "versions"
INITIAL = "0001_initial"

_ROUTINE = re.compile(r"(function|procedure) (\w+)\((.*)\)", re.DOTALL)
_SCRATCH = ("freeze_replayed", "freeze_source")

_REVISION = '''\
"""{message}"""

from pgqueue._migrate import run_frozen

revision = "{revision}"
down_revision = {previous!r}


def upgrade() -> None:
    run_frozen(__file__, ".sql")


def downgrade() -> None:
    run_frozen(__file__, ".down.sql")
'''

_DROP_ROLES = """\
-- Roles belong to the whole cluster: one that anything else depends on (another installation, a user's grants) stays.
do $$
declare
  v_role text;
begin
  foreach v_role in array array[{roles}] loop
    continue when to_regrole(v_role) is null;
    begin
      if to_regnamespace('pgqueue') is not null then
        execute format('revoke all on schema pgqueue from %I', v_role);
      end if;
      execute format('drop role %I', v_role);
    exception
      when dependent_objects_still_exist then
        raise notice 'role % is kept: other objects depend on it', v_role;
      when insufficient_privilege then
        raise notice 'role % is kept: this user may not drop it', v_role;
    end;
  end loop;
end $$;
"""


@dataclass(frozen=True)
class State:
    """The two sides of the comparison."""

    replayed: Snapshot
    source: Snapshot


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--check", action="store_true", help="compare and report")
    what.add_argument("-m", "--message", help="write the next revision; a few words on what it does")
    what.add_argument(
        "--rewrite-initial", action="store_true", help="make revision 0001 anew (refused once there are others)"
    )
    parser.add_argument("--dsn", help="a superuser's DSN of a server to make two scratch databases in")
    arguments = parser.parse_args()
    with _server(arguments.dsn) as dsn:
        if arguments.rewrite_initial:
            return rewrite_initial(dsn)
        if arguments.check:
            return check(dsn)
        return freeze(dsn, arguments.message)


def check(dsn: str) -> int:
    state = _compare(dsn)
    found = differences(state.replayed, state.source)
    if found:
        print(f"{len(found)} objects of sql/ differ from the replay of all revisions:\n")
        report(found)
        print("Freeze them with: python alembic/freeze.py -m '…' (or --rewrite-initial before the first release)")
        return 1
    stale = stale_copy()
    if stale:
        print(f"{stale} differs from sql/ in comments or layout: run freeze.py --rewrite-initial")
        return 1
    print(f"sql/ and the replay of {len(revisions())} revision(s) agree on {len(state.source)} catalogue entries")
    return 0


def rewrite_initial(dsn: str) -> int:
    if set(revisions()) - {"0001"}:
        print("0001 is followed by other revisions: freeze a new one with -m instead")
        return 1
    with _database(dsn, _SCRATCH[1]) as connection:
        _apply_source(connection)
        source = snapshot(connection)
        down = _initial_down(connection)
    VERSIONS.mkdir(exist_ok=True)
    (VERSIONS / f"{INITIAL}.py").write_text(
        _REVISION.format(message="The whole schema", revision="0001", previous=None), encoding="utf-8"
    )
    (VERSIONS / f"{INITIAL}.sql").write_text(_frozen_source(), encoding="utf-8")
    (VERSIONS / f"{INITIAL}.down.sql").write_text(down, encoding="utf-8")
    revisions.cache_clear()
    with _database(dsn, _SCRATCH[0]) as connection:
        schema.upgrade(connection)
        found = differences(snapshot(connection), source)
        report(found)
        schema.downgrade(connection)
        left = snapshot(connection)
        if left:
            print("the way down leaves:", ", ".join(left))
    print(f"{INITIAL}: {len(source)} catalogue entries from {len(source_files())} files")
    return 1 if found or left else 0


def freeze(dsn: str, message: str) -> int:
    state = _compare(dsn)
    found = differences(state.replayed, state.source)
    if not found:
        print("nothing to freeze: sql/ and the revisions agree")
        return 0
    files = {
        path.stem: (name, text) for name, text in ((f.name, f.text) for f in source_files()) for path in [Path(name)]
    }
    up, down = _Script(), _Script()
    by_hand: list[str] = []
    lost: set[str] = set()
    for name, (old, new) in found.items():
        match = _ROUTINE.fullmatch(name)
        if match:
            recreated = _freeze_routine(up, down, match, old, new, files)
            if recreated:  # its grants and its comment went with the old one, whether they differ or not
                properties = (f"acl of routine {match[2]}({match[3]})", f"comment on {match[1]} pgqueue.{match[2]}(")
                lost |= {
                    key
                    for key in {*state.replayed, *state.source}
                    if key == properties[0] or key.startswith(properties[1])
                }
        elif name.startswith(("acl of routine ", "comment on function ", "comment on procedure ")):
            lost.add(name)
        else:
            by_hand.append(name)
    for name in sorted(lost):
        _freeze_property(up, down, name, state.replayed.get(name), state.source.get(name))

    revision = f"{int(revisions()[-1]) + 1:04d}"
    stem = f"{revision}_" + (re.sub(r"[^a-z0-9]+", "_", message.lower()).strip("_") or "change")
    head = f"-- {message}\n"
    if by_hand:
        head += "-- Differs and needs DDL written by hand, above the functions:\n" + "".join(
            f"--   {name}\n" for name in by_hand
        )
    (VERSIONS / f"{stem}.py").write_text(
        _REVISION.format(message=message, revision=revision, previous=revisions()[-1]), encoding="utf-8"
    )
    (VERSIONS / f"{stem}.sql").write_text(up.render(head), encoding="utf-8")
    (VERSIONS / f"{stem}.down.sql").write_text(down.render(head), encoding="utf-8")
    print(f"wrote alembic/versions/{stem}.py, .sql and .down.sql")
    revisions.cache_clear()
    if by_hand:
        print("\nThese are not functions. Write their DDL into both .sql files, then run freeze.py --check:\n")
        report({name: found[name] for name in by_hand})
        return 1
    return check(dsn)


def report(found: dict[str, tuple[str | None, str | None]]) -> None:
    for name, (old, new) in found.items():
        if old is None or new is None:
            print(f"{'only in sql/' if old is None else 'only in the revisions'}: {name}\n")
            continue
        print(name)
        for line in list(
            difflib.unified_diff(old.splitlines(), new.splitlines(), "revisions", "sql/", lineterm="", n=1)
        )[2:]:
            print(f"    {line}")
        print()


class _Script:
    """A frozen script under construction: drops first, then definitions, then grants."""

    def __init__(self) -> None:
        self.drops: list[str] = []
        self.bodies: dict[str, str] = {}
        self.properties: list[str] = []

    def render(self, head: str) -> str:
        parts = [head, "set local check_function_bodies = off;\n", *(f"{drop}\n" for drop in self.drops)]
        parts += [f"-- source: {source}\n{body.strip()}\n" for source, body in self.bodies.items()]
        parts += [f"{line}\n" for line in self.properties]
        return "\n".join(parts) + "\nset local check_function_bodies = on;\n"


def _freeze_routine(
    up: _Script,
    down: _Script,
    match: re.Match[str],
    old: str | None,
    new: str | None,
    files: dict[str, tuple[str, str]],
) -> bool:
    """Puts a function into both scripts; True when either way has to drop it first."""
    kind, name, arguments = match.groups()
    drop = f"drop {kind} if exists pgqueue.{name}({arguments});"
    # `create or replace` keeps grants and dependants, but cannot change a result's type or rename a parameter.
    replaceable = old is not None and new is not None and _signature(old) == _signature(new)
    if old is not None and not replaceable:
        up.drops.append(drop)
    if new is not None:
        if name not in files:
            raise SystemExit(f"no file of sql/functions is named after {kind} {name}: cannot tell which text to freeze")
        source, text = files[name]
        up.bodies[f"sql/{source}"] = re.sub(
            r"^create (?=(function|procedure)\b)", "create or replace ", text, flags=re.MULTILINE
        )
        if not replaceable:
            down.drops.append(drop)
    if old is not None:
        down.bodies[f"as it was before: {name}({arguments})"] = old.rstrip() + ";"
    return not replaceable


def _freeze_property(up: _Script, down: _Script, name: str, old: str | None, new: str | None) -> None:
    """A grant or a comment of a function."""
    for script, before, after in ((up, old, new), (down, new, old)):
        if after is None:
            continue  # went with its function
        if name.startswith("comment"):
            quoted = after.replace("'", "''")
            script.properties.append(f"{name} is '{quoted}';")
            continue
        routine = f"pgqueue.{name.removeprefix('acl of routine ')}"
        grantees = {line.split(": ")[0] for line in f"{before or ''}\n{after}".splitlines()} - {"(owner)", "(none)", ""}
        granted = {line.split(": ")[0] for line in after.splitlines()} - {"(owner)", "(none)", ""}
        script.properties += [
            f"revoke all on routine {routine} from {grantee};" for grantee in sorted({*grantees, "public"} - granted)
        ]
        script.properties += [f"grant execute on routine {routine} to {grantee};" for grantee in sorted(granted)]


def _signature(definition: str) -> str:
    """What `create or replace` may not change: all up to the language."""
    return re.split(r"^ LANGUAGE ", definition, maxsplit=1, flags=re.MULTILINE)[0]


def _frozen_source() -> str:
    head = "-- Frozen from sql/ by alembic/freeze.py: edit there.\n"
    return f"{head}{schema.source_sql()}\nset local check_function_bodies = on;\n"


def stale_copy() -> str | None:
    """While 0001 is the only revision it is rewritten, not followed, so it should be sql/ to the letter."""
    path = VERSIONS / f"{INITIAL}.sql"
    return path.name if revisions() == ("0001",) and path.read_text(encoding="utf-8") != _frozen_source() else None


def _initial_down(connection: psycopg.Connection[Any]) -> str:
    """Drops by name what sql/ makes, one statement a kind, so that what depends on one another goes together."""

    def fetch(query: LiteralString) -> list[str]:
        return [row[0] for row in connection.execute(query)]

    views = fetch("select format('pgqueue.%I', viewname) from pg_views where schemaname = 'pgqueue' order by viewname")
    routines = fetch(
        """select format('pgqueue.%I(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
           from pg_proc p where p.pronamespace = 'pgqueue'::regnamespace order by p.proname, p.oid"""
    )
    tables = fetch(
        """select format('pgqueue.%I', relname) from pg_class
           where relnamespace = 'pgqueue'::regnamespace and relkind in ('r', 'p') and not relispartition
           order by relname"""
    )
    sequences = fetch(
        """select format('pgqueue.%I', c.relname) from pg_class c where c.relnamespace = 'pgqueue'::regnamespace
             and c.relkind = 'S'
             and not exists (select from pg_depend d where d.objid = c.oid and d.deptype in ('a', 'i'))
           order by c.relname"""
    )
    types = fetch(
        """select format('pgqueue.%I', y.typname) from pg_type y left join pg_class c on c.oid = y.typrelid
           where y.typnamespace = 'pgqueue'::regnamespace and (y.typtype in ('e', 'd', 'r') or c.relkind = 'c')
           order by y.typname"""
    )
    text = "".join(file.text for file in source_files())
    roles = [
        role
        for role in fetch("select rolname from pg_roles order by rolname")
        if re.search(rf"'{role}'", text) and role != "pgqueue"
    ]

    parts = ["-- Frozen from the catalogue by alembic/freeze.py.\n"]
    for kind, names in (
        ("view", views),
        ("routine", routines),
        ("table", tables),
        ("sequence", sequences),
        ("type", types),
    ):
        if names:
            parts.append(f"drop {kind} if exists\n  " + ",\n  ".join(names) + ";\n")
    if roles:
        parts.append(_DROP_ROLES.format(roles=", ".join(f"'{role}'" for role in roles)))
    return "\n".join(parts)


def _compare(dsn: str) -> State:
    with _database(dsn, _SCRATCH[0]) as connection:
        schema.upgrade(connection)
        replayed = snapshot(connection)
    with _database(dsn, _SCRATCH[1]) as connection:
        _apply_source(connection)
        return State(replayed, snapshot(connection))


def _apply_source(connection: psycopg.Connection[Any]) -> None:
    with connection.transaction():
        execute_script(connection, schema.source_sql(), "sql/")


@contextmanager
def _server(dsn: str | None) -> Iterator[str]:
    if dsn:
        yield dsn
        return
    with throwaway() as instance:
        yield instance.dsn


@contextmanager
def _database(dsn: str, name: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to an empty scratch database, dropped afterwards."""
    with psycopg.connect(dsn, autocommit=True) as admin:
        admin.execute(f"drop database if exists {name} with (force)".encode())
        admin.execute(f"create database {name} template template0".encode())
        try:
            with psycopg.connect(psycopg.conninfo.make_conninfo(dsn, dbname=name), autocommit=True) as connection:
                yield connection
        finally:
            admin.execute(f"drop database {name} with (force)".encode())


if __name__ == "__main__":
    sys.exit(main())
