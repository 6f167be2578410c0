"""Where the SQL and the revisions lie, the order in which `sql/` is applied, and how it is rendered under another
schema name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

DEFAULT_SCHEMA = "pgqueue"

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_WORD = re.compile(rf"(?<![A-Za-z0-9_]){DEFAULT_SCHEMA}(?![A-Za-z0-9])")
_REVISION_FILE = re.compile(r"(\d{4})_[a-z0-9_]+\.py")

# Reserved in PostgreSQL: unquoted, as the files have it, none of these can name a schema.
_RESERVED = frozenset(
    """all analyse analyze and any array as asc asymmetric authorization binary both case cast check collate
    collation column concurrently constraint create cross current_catalog current_date current_role
    current_schema current_time current_timestamp current_user default deferrable desc distinct do else end
    except false fetch for foreign freeze from full grant group having ilike in initially inner intersect into
    is isnull join lateral leading left like limit localtime localtimestamp natural not notnull null offset on
    only or order outer overlaps placing primary references returning right select session_user similar some
    symmetric system_user table tablesample then to trailing true union unique user using variadic verbose when
    where window with""".split()  # noqa: SIM905
)

# Rooms in the order in which they are read; a room not named here follows in name order. Functions refer forwards
# across rooms, so they are created with check_function_bodies off; the order only fixes how a dump or a frozen revision
# reads.
_ROOMS = ("private", "core", "script", "query", "rows", "keyed", "flow", "inspect")
_FIRST = ("schema.sql", "roles.sql", "types.sql")
_LAST = ("grants.sql", "seed.sql")


@dataclass(frozen=True)
class SqlFile:
    """One file of `sql/`: `name` is its path below the root, with slashes."""

    name: str
    text: str


@cache
def resource(name: str) -> Path:
    """The folder `sql` or `alembic`: the copy inside an installed package, else the repository's own (editable
    installs).

    Raises FileNotFoundError when the installation has neither.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / f"_{name}", package.parent / name):
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(
        f"this installation of pgqueue lacks its {name} files: looked in {package} and {package.parent}"
    )


def validate_schema(schema: str) -> str:
    """Returns `schema` when it may name an installation, else raises `pgqueue.errors.InvalidArgument`."""
    if not _SCHEMA_NAME.fullmatch(schema) or schema.startswith("pg_") or schema in _RESERVED:
        from pgqueue.errors import InvalidArgument

        raise InvalidArgument(
            f"{schema!r} cannot be the name of a pgqueue schema",
            hint="Use up to 40 lower-case letters, digits and underscores; no digit or pg_ in front, no reserved word.",
        )
    return schema


def render(text: str, schema: str) -> str:
    """SQL under another schema name: roles, channels and settings whose names begin with the schema's follow it."""
    if schema == DEFAULT_SCHEMA:
        return text
    return _WORD.sub(validate_schema(schema), text)


def source_files(root: Path | None = None) -> list[SqlFile]:
    """The files of `sql/` in the order of installation. A file this order does not know is an error, never skipped."""
    root = root or resource("sql")
    rooms = [room for room in _ROOMS if (root / "functions" / room).is_dir()]
    rooms += sorted(p.name for p in (root / "functions").glob("*") if p.is_dir() and p.name not in _ROOMS)
    ordered = [root / name for name in _FIRST if (root / name).exists()]
    ordered += sorted((root / "tables").glob("*.sql"))
    for room in rooms:
        ordered += sorted((root / "functions" / room).glob("*.sql"))
    ordered += [root / name for name in _LAST if (root / name).exists()]

    strays = sorted(set(root.rglob("*.sql")) - set(ordered))
    if strays:
        named = ", ".join(str(p.relative_to(root)) for p in strays)
        raise ValueError(f"no place in the order of installation for: {named}")
    return [SqlFile(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in ordered]


@cache
def revisions() -> tuple[str, ...]:
    """Identifiers of the revisions this installation ships, oldest first, read from file names (no import of Alembic).

    The history is one line and each file is named by its revision, `0001_initial.py`; a test holds it against Alembic's
    own reading.
    """
    names = (_REVISION_FILE.fullmatch(path.name) for path in (resource("alembic") / "versions").iterdir())
    return tuple(sorted(match[1] for match in names if match))
