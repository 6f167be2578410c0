"""Data sources: names that jobs give, and the connection strings they stand for, which only workers know."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg
from psycopg.conninfo import conninfo_to_dict

from pgqueue.errors import InvalidArgument
from pgqueue.worker.sql.failures import SqlFailure

__all__ = ["PREFIX", "Sources"]

PREFIX = "PGQUEUE_DATASOURCE_"
"""... and the name in capitals, with _ for what a variable's name cannot have."""


class Sources:
    """The data sources of one worker; None is the queue's own database.

    Looked for among those given to the worker, then in its environment, then in the App. Raises InvalidArgument for a
    connection string that is none; the message does not show it.
    """

    def __init__(
        self,
        default: str,
        given: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        of_app: Mapping[str, str] | None = None,
    ) -> None:
        self._default = default
        self._given = dict(given or {})
        self._of_app = dict(of_app or {})
        self._variables = {
            key.upper(): dsn for key, dsn in (environment or {}).items() if key.upper().startswith(PREFIX) and dsn
        }
        for names in (self._given, self._of_app, self._variables):
            for name, dsn in names.items():
                _check(name, dsn)

    def find(self, name: str | None) -> str:
        """The connection string. Raises SqlFailure for a name that is not known, which names those that are."""
        if name is None:
            return self._default
        for names, key in ((self._given, name), (self._variables, variable_of(name)), (self._of_app, name)):
            if key in names:
                return names[key]
        known = ", ".join(self.names()) or "none"
        raise SqlFailure(
            f"this worker has no data source {name!r}; it has: {known}",
            "Start it with --datasource NAME=DSN, or set PGQUEUE_DATASOURCE_NAME.",
            "08001",
            type="UnknownDataSource",
        )

    def names(self) -> list[str]:
        """All that are known; those of the environment in small letters."""
        from_variables = {key.removeprefix(PREFIX).lower() for key in self._variables}
        return sorted({*self._given, *self._of_app, *from_variables})

    def __repr__(self) -> str:
        return f"Sources({', '.join(self.names())})"


def variable_of(name: str) -> str:
    """The environment variable that a data source may be in."""
    return PREFIX + re.sub(r"\W", "_", name, flags=re.ASCII).upper()


def _check(name: str, dsn: str) -> None:
    try:
        conninfo_to_dict(dsn)
    except psycopg.Error:
        # not chained: the message may quote the password
        raise InvalidArgument(
            f"data source {name!r} is no connection string", "give a libpq connection string or a postgresql:// URL"
        ) from None
