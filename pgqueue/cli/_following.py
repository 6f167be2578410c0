"""What `pgqueue query` and `pgqueue script` have in common: their options, a line of progress, and Ctrl-C."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import click

from pgqueue.cli._output import printable, span
from pgqueue.cli._params import JOB_ID, KEY, NAME, Text

__all__ = ["Line", "interruptible", "number", "session_options", "settings_of"]

F = TypeVar("F", bound=Callable[..., Any])


def session_options(queue: str) -> Callable[[F], F]:
    """The options that scripts and queries share. `set` arrives as pairs: see settings_of; `depends_on` is () when
    nothing is given.
    """

    def add(command: F) -> F:
        for option in (
            click.option("--priority", type=click.IntRange(-32768, 32767), default=0, show_default=True),
            click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="A setting of the session."),
            click.option("--role", type=NAME, help="Run as this role of the database."),
            click.option("--datasource", type=NAME, help="Run on this database of the workers'. Default: the queue's."),
            click.option("--owner", type=KEY, help="Who it belongs to. Default: the database user."),
            click.option("--queue", "-q", type=NAME, default=queue, show_default=True),
            click.option(
                "--on-parent-failure",
                type=click.Choice(["cancel", "run", "wait"]),
                help="When such a job fails or is cancelled: cancel this too, run it all the same, or wait until that "
                "one has been retried.  [default: cancel]",
            ),
            click.option(
                "--depends-on",
                type=JOB_ID,
                multiple=True,
                metavar="ID",
                help="A job, query or script that must end first; repeatable.",
            ),
            click.option("--detach", is_flag=True, help="Print the id and do not wait."),
        ):
            command = option(command)
        return command

    return add


def settings_of(pairs: tuple[str, ...]) -> Mapping[str, str] | None:
    """`--set` as a mapping, None when there is none."""
    made: dict[str, str] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not NAME=VALUE.", param_hint="--set")
        made[name] = Text().convert(value, None, None) if value else ""
    return made or None


def number(word: str) -> int | None:
    """The id that a word is, if it is one."""
    return int(word) if word.isascii() and word.isdecimal() and 0 < int(word) < 2**63 else None


class Line:
    """What goes on, on stderr: one line that is rewritten on a terminal; elsewhere a line whenever the beginning of the
    text, up to the first comma, changes.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = ""
        self._began = time.monotonic()

    @property
    def elapsed(self) -> str:
        return span(time.monotonic() - self._began)

    def show(self, text: str) -> None:
        text = printable(text)
        if self._terminal:
            click.echo(f"\r\x1b[2K{text}, {self.elapsed}", nl=False, err=True)
        elif text.partition(",")[0] != self._shown.partition(",")[0]:
            click.echo(text, err=True)
        self._shown = text

    def say(self, text: str) -> None:
        """Something that stays; the line is shown again by the next `show`."""
        self.clear()
        click.echo(printable(text), err=True)

    def clear(self) -> None:
        if self._terminal and self._shown:
            click.echo("\r\x1b[2K", nl=False, err=True)
        self._shown = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()


@contextmanager
def interruptible(what: str, cancel: Callable[[], str], *, ours: bool) -> Iterator[None]:
    """Ctrl-C asks whether to cancel what was submitted, where there is somebody to ask; else cancels it if it is
    `ours`, that is, has been submitted by this command. Raises click.Abort then.
    """
    try:
        yield
    except KeyboardInterrupt:
        click.echo(err=True)
        asked = sys.stdin.isatty() and sys.stderr.isatty()
        if click.confirm(f"Cancel {what}?", default=ours, err=True) if asked else ours:
            click.echo(f"{what} {cancel()}", err=True)
        else:
            click.echo(f"{what} goes on", err=True)
        raise click.Abort from None
