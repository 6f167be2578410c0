"""A progress bar on stderr: rich's when it is installed, a plain one on any other terminal, a line now and then where
nobody watches.
"""

from __future__ import annotations

import sys
import time
from typing import Any, Self

import click

from pgqueue.cli._output import rich_for, span


class Progress:
    """What long work reports to; a context manager, so that the terminal is left in order."""

    def __init__(self, label: str, total: int) -> None:
        self.label, self.total = label, total
        self.started = time.monotonic()

    def update(self, done: int, note: str = "") -> None:
        """So much is done of the total, and what goes on besides."""
        raise NotImplementedError

    def say(self, text: str) -> None:
        """Something happened that stays on the screen."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def elapsed(self) -> str:
        """Since the beginning, for people."""
        return span(time.monotonic() - self.started)


class LineProgress(Progress):
    """No terminal: a line for every tenth of the work, but no more than one a second, and always one for the end."""

    tenths = -1
    told = -1.0

    def update(self, done: int, note: str = "") -> None:
        tenths, now = 10 * done // max(self.total, 1), time.monotonic()
        if tenths != self.tenths and (done >= self.total or now - self.told >= 1):
            self.tenths, self.told = tenths, now
            self.say(f"{self.label} {done}/{self.total} after {self.elapsed()}" + (f", {note}" if note else ""))

    def say(self, text: str) -> None:
        click.echo(text, err=True)


class BarProgress(Progress):
    """A terminal without rich: one line that is rewritten."""

    cells = 30
    shown = ""

    def update(self, done: int, note: str = "") -> None:
        full = self.cells * done // max(self.total, 1)
        bar = "█" * full + "░" * (self.cells - full)
        self.shown = f"{self.label} {bar} {done}/{self.total} {self.elapsed()}" + (f"  {note}" if note else "")
        click.echo(f"\r\x1b[2K{self.shown}", nl=False, err=True)

    def say(self, text: str) -> None:
        click.echo(f"\r\x1b[2K{text}\n{self.shown}", nl=False, err=True)

    def __exit__(self, *_: object) -> None:
        click.echo(err=True)


class RichProgress(Progress):
    """A terminal with rich."""

    def __init__(self, console: Any, label: str, total: int) -> None:
        from rich import progress

        super().__init__(label, total)
        self._bar = progress.Progress(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=30),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TextColumn("{task.fields[note]}", markup=False),
            console=console,
        )
        self._task = self._bar.add_task(label, total=total, note="")

    def update(self, done: int, note: str = "") -> None:
        self._bar.update(self._task, completed=done, note=note)

    def say(self, text: str) -> None:
        self._bar.console.print(text, markup=False, highlight=False)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def progress(label: str, total: int) -> Progress:
    """The progress bar that fits what stderr is."""
    console = rich_for(sys.stderr)
    if console is not None:
        return RichProgress(console, label, total)
    if sys.stderr.isatty():
        return BarProgress(label, total)
    return LineProgress(label, total)
