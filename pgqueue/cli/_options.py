"""What every command accepts, before its name or after it: `pgqueue --json jobs` and `pgqueue jobs --json` are the
same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_SCHEMA_NAME = re.compile(r"[a-z_][a-z0-9_]{0,39}")


def _schema_of_environment() -> str | None:
    return os.environ.get("PGQUEUE_SCHEMA") or None


@dataclass
class Settings:
    """The global options of one invocation."""

    dsn: str | None = None
    chosen_schema: str | None = field(default_factory=_schema_of_environment)
    json: bool = False
    debug: bool = False

    @property
    def schema(self) -> str:
        return self.chosen_schema or "pgqueue"


pass_settings = click.make_pass_decorator(Settings, ensure=True)


def _store(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Remember what was given; what was not given must not undo what stands before the command's name."""
    settings = ctx.ensure_object(Settings)
    if value is not None and value is not False and param.name is not None:
        setattr(settings, param.name, value)


def _store_schema(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and not _SCHEMA_NAME.fullmatch(value):
        raise click.BadParameter(
            "a schema name is up to 40 lower-case letters, digits and _, and starts with no digit.", ctx, param
        )
    if value is not None:
        ctx.ensure_object(Settings).chosen_schema = value


def common(command: F) -> F:
    """Add --dsn, --schema, --json and --debug to a command; they end up in its `Settings`."""
    for option in (
        click.option(
            "--debug", is_flag=True, expose_value=False, callback=_store, is_eager=True, help="Show tracebacks."
        ),
        click.option(
            "--json", is_flag=True, expose_value=False, callback=_store, help="JSON on stdout: one object a line."
        ),
        click.option(
            "--schema",
            metavar="NAME",
            expose_value=False,
            callback=_store_schema,
            help="Schema of the queue; $PGQUEUE_SCHEMA, else pgqueue.",
        ),
        click.option(
            "--dsn",
            metavar="DSN",
            expose_value=False,
            callback=_store,
            help="Database; else $PGQUEUE_DSN, libpq's variables, ./.pgqueue.",
        ),
    ):
        command = option(command)
    return command


def examples(*lines: str) -> str:
    """An epilog of commands to copy; click must not wrap it."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)
