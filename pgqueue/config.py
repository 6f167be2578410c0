"""Which database: the one rule for library, worker and command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pgqueue.errors import NotConfigured

__all__ = ["EMBEDDED_DSN_FILE", "Dsn", "resolve_dsn"]

EMBEDDED_DSN_FILE = Path(".pgqueue") / "dsn"
"""Where the embedded instance of a folder writes its DSN."""

# Those of libpq's variables that say where to connect; PGUSER or PGPASSWORD alone name no server anybody meant for us.
_LIBPQ = ("PGSERVICE", "PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE")


@dataclass(frozen=True, slots=True)
class Dsn:
    """A libpq connection string ("" = whatever libpq's own variables say) and where it was found, for messages."""

    dsn: str
    source: str

    def __repr__(self) -> str:
        # A DSN may hold a password, and reprs end up in logs.
        return f"Dsn(source={self.source!r})"


def resolve_dsn(explicit: str | None = None, *, env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Dsn:
    """The DSN to use, first match: `explicit`, PGQUEUE_DSN, libpq's own variables, the embedded instance of this
    folder.

    Raises NotConfigured when there is none of these.
    """
    env = os.environ if env is None else env
    if explicit is not None:
        return Dsn(explicit, "given")
    if env.get("PGQUEUE_DSN"):
        return Dsn(env["PGQUEUE_DSN"], "PGQUEUE_DSN")
    for variable in _LIBPQ:
        if env.get(variable):
            return Dsn("", variable)
    file = (cwd or Path.cwd()) / EMBEDDED_DSN_FILE
    try:
        return Dsn(file.read_text().strip(), str(EMBEDDED_DSN_FILE))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise NotConfigured(
            f"cannot read {file}: {error.strerror}", "is this folder's instance another user's?"
        ) from error
    raise NotConfigured(
        "no database is configured",
        "set PGQUEUE_DSN, give a DSN, set libpq's variables (PGHOST ...), or start a private server here: pgqueue up",
    )
