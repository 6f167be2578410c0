"""`pgqueue queues` and `pgqueue queue …`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import Column, emit, emit_rows, span, to_json
from pgqueue.cli._params import NAME, pairs_to_object
from pgqueue.cli._session import session

if TYPE_CHECKING:
    from pgqueue.models import GroupInfo, QueueInfo


def _columns() -> list[Column[QueueInfo]]:
    return [
        Column("QUEUE", lambda q: q.queue),
        Column("", lambda q: "paused" if q.paused else "", colour=lambda q: "yellow"),
        Column("QUEUED", lambda q: q.queued, right=True),
        Column("SCHEDULED", lambda q: q.scheduled, right=True),
        Column("HELD", lambda q: q.held, right=True),
        Column("RUNNING", lambda q: q.running, right=True),
        Column("OLDEST", lambda q: span(q.oldest_age), right=True),
        Column("DONE/MIN", lambda q: q.done_per_minute, right=True),
        Column(
            "FAILED/MIN",
            lambda q: q.failed_per_minute,
            right=True,
            colour=lambda q: "red" if q.failed_per_minute else None,
        ),
        Column("SETTINGS", lambda q: _set_only(q.settings)),
    ]


def _set_only(settings: dict[str, Any] | None) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in (settings or {}).items() if value is not None)


def _value(value: Any) -> str:
    return value if isinstance(value, str) else to_json(value)


@click.command(
    short_help="List queues: depth, age, rates.", epilog=examples("pgqueue queues", "watch -n 2 pgqueue queues")
)
@common
@pass_settings
def queues(settings: Settings) -> None:
    """List queues: how much waits and runs, the age of the oldest waiting job, what was done in the last minute."""
    with session(settings) as client:
        found = list(client.queues())
    emit_rows(settings, found, _columns(), empty="no queues yet: a queue is there with its first job")


@click.group(
    short_help="Pause, resume or set a queue.",
    epilog=examples("pgqueue queue pause mail", "pgqueue queue set mail max_running=20"),
)
def queue() -> None:
    """Pause, resume or set a queue."""


@queue.command(epilog=examples("pgqueue queue pause mail"))
@click.argument("name", type=NAME)
@common
@pass_settings
def pause(settings: Settings, name: str) -> None:
    """Stop handing out jobs of a queue. What runs goes on; enqueueing goes on."""
    with session(settings) as client:
        changed = client.pause_queue(name)
    emit(
        settings,
        {"queue": name, "paused": True, "changed": changed},
        f"{name} is paused" + ("" if changed else " (it was already)"),
    )


@queue.command(epilog=examples("pgqueue queue resume mail"))
@click.argument("name", type=NAME)
@common
@pass_settings
def resume(settings: Settings, name: str) -> None:
    """Hand out jobs of a paused queue again."""
    with session(settings) as client:
        changed = client.resume_queue(name)
    emit(
        settings,
        {"queue": name, "paused": False, "changed": changed},
        f"{name} is open" + ("" if changed else " (it was already)"),
    )


@queue.command(
    name="set",
    epilog=examples(
        "pgqueue queue set mail                                      # show",
        "pgqueue queue set mail max_running=20 timeout='5 minutes'",
        "pgqueue queue set mail max_running=null history=failed      # null clears",
    ),
)
@click.argument("name", type=NAME)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@common
@pass_settings
def set_(settings: Settings, name: str, pairs: tuple[str, ...]) -> None:
    """Set what is given, leave the rest, and print all settings of a queue.

    Keys: max_running, rate_limit, rate_period, group_limit, group_rate_limit, group_rate_period, fair (true or false),
    group_order (free or strict), group_failure (release or block), max_queued, ageing, max_attempts, timeout, backoff,
    retention, history (all, failed or none), dead_letter_queue. The value null clears a key.
    """
    patch = pairs_to_object(pairs)
    with session(settings) as client:
        now = client.configure_queue(name, patch)
    emit(settings, {"queue": name, "settings": now}, f"{name}: {_set_only(now) or 'all settings at their defaults'}")


def _group_columns() -> list[Column[GroupInfo]]:
    return [
        Column("GROUP", lambda g: g.group_key),
        Column("WAITING", lambda g: g.waiting, right=True),
        Column("RUNNING", lambda g: g.running, right=True),
        Column("WEIGHT", lambda g: g.weight, right=True),
        Column("BLOCKED BY", lambda g: g.blocked_by or "", right=True, colour=lambda g: "red"),
        Column("SETTINGS", lambda g: _set_only(g.settings)),
    ]


@queue.command(epilog=examples("pgqueue queue groups mail"))
@click.argument("name", type=NAME)
@click.option("--after", default="", help="Begin behind this group: the last one of the page before.")
@click.option("-n", "--max", "most", type=click.IntRange(1, 10000), default=100, show_default=True)
@common
@pass_settings
def groups(settings: Settings, name: str, after: str, most: int) -> None:
    """List the groups of a queue that have jobs or settings of their own."""
    with session(settings) as client:
        found = list(client.groups(name, after, most))
    emit_rows(settings, found, _group_columns(), empty=f"no groups in {name}")


@queue.command(
    name="set-group",
    epilog=examples(
        "pgqueue queue set-group mail customer:7 weight=3",
        "pgqueue queue set-group mail customer:7 weight=null rate_limit=10 rate_period='1 minute'",
    ),
)
@click.argument("name", type=NAME)
@click.argument("group", type=NAME)
@click.argument("pairs", nargs=-1, metavar="[KEY=VALUE]...")
@common
@pass_settings
def set_group(settings: Settings, name: str, group: str, pairs: tuple[str, ...]) -> None:
    """Set what one group has of its own, and print it.

    Keys: weight, group_limit, rate_limit, rate_period. The value null clears a key: the queue's holds.
    """
    patch = pairs_to_object(pairs)
    with session(settings) as client:
        now = client.configure_group(name, group, patch)
    emit(
        settings,
        {"queue": name, "group": group, "settings": now},
        f"{group}: {_set_only(now) or 'nothing but what the queue has'}",
    )


@queue.command(epilog=examples("pgqueue queue unblock mail customer:7"))
@click.argument("name", type=NAME)
@click.argument("group", type=NAME)
@common
@pass_settings
def unblock(settings: Settings, name: str, group: str) -> None:
    """Let a group go on that a failed job blocks. The job stays failed."""
    with session(settings) as client:
        changed = client.unblock_group(name, group)
    emit(
        settings,
        {"queue": name, "group": group, "changed": changed},
        f"{group} goes on" if changed else f"{group} was not blocked",
    )
