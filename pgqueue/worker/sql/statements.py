"""What workers say on connections to users' databases, and no other file does. Everything is qualified: the search_path
is the user's.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

__all__ = [
    "DISCARD",
    "ROLLBACK",
    "SET",
    "TYPES",
    "command_of",
    "copy_to_stdout",
    "end_backend",
    "identify",
]

_BEFORE = re.compile(r"(?:[\s(]+|--[^\n]*(?:\n|\Z)|/\*.*?\*/)*", re.DOTALL)
_WORD = re.compile(r"\w*")

ROLLBACK = b"rollback"
DISCARD = b"discard all"
SET = b"select pg_catalog.set_config($1::text, $2::text, false)"
# The names of both are keywords of SQL that mean a length of one.
TYPES = (
    b"select t.type_oid, pg_catalog.format_type(t.type_oid, t.modifier), "
    b"case when t.type_oid in (1042, 1560) then 'pg_catalog.' || pg_catalog.quote_ident(p.typname) "
    b"else pg_catalog.format_type(t.type_oid, null) end "
    b"from rows from (pg_catalog.unnest($1::pg_catalog.oid[]), pg_catalog.unnest($2::pg_catalog.int4[])) "
    b"with ordinality t(type_oid, modifier, at) left join pg_catalog.pg_type p on p.oid = t.type_oid order by t.at"
)


def identify(*, with_role: bool) -> bytes:
    """Process id and start of this session. Under another role nobody may see when their own backend was started."""
    look = (
        "select pg_catalog.pg_backend_pid(), pg_catalog.to_char(a.backend_start at time zone 'UTC', "
        "'YYYY-MM-DD\"T\"HH24:MI:SS.US') "
        "from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a"
    )
    return _as_oneself(look, with_role)


def end_backend(pid: int, start: datetime, *, with_role: bool) -> bytes:
    """Terminates that process if it is still the one that was started then. A row while it is there."""
    moment = start.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f+00")
    look = (
        f"select pg_catalog.pg_terminate_backend(a.pid) from pg_catalog.pg_stat_get_activity({pid}) a "
        f"where a.backend_start = timestamptz '{moment}'"
    )
    return _as_oneself(look, with_role)


def _as_oneself(look: str, with_role: bool) -> bytes:
    return f"set role none; {look}; reset role".encode() if with_role else look.encode()


def copy_to_stdout(sql: str) -> tuple[bytes, int]:
    """The statement whose rows are wanted as COPY's lines, and how many characters stand before it."""
    before = "copy (\n"
    return f"{before}{sql}\n) to stdout".encode(), len(before)


def command_of(sql: str, rows: int) -> str:
    """The tag that the statement would have had, had its rows not been fetched by COPY."""
    before = _BEFORE.match(sql)
    word = _WORD.match(sql, before.end() if before else 0)
    first = word[0].upper() if word else ""
    if first == "INSERT":
        return f"INSERT 0 {rows}"
    return f"{first if first in ('UPDATE', 'DELETE', 'MERGE') else 'SELECT'} {rows}"
