"""Writes the pages that can be read off: sql.md from the catalogue of an installed schema, cli.md from the commands,
and in ../design/architecture.md the list of who writes which table.

    python docs/reference/generate.py                 # on a throw-away server
    python docs/reference/generate.py --dsn DSN       # a database with the schema at its newest revision
    python docs/reference/generate.py --check         # write nothing; exit code 1 when a page is stale
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import psycopg

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from pgqueue import schema  # noqa: E402
from pgqueue.cli._errors import EXIT_CODES  # noqa: E402
from pgqueue.cli._main import SECTIONS, cli  # noqa: E402
from pgqueue.cli._options import common  # noqa: E402
from pgqueue.embedded import throwaway  # noqa: E402

SQL_PAGE = HERE / "sql.md"
CLI_PAGE = HERE / "cli.md"
ARCHITECTURE_PAGE = HERE.parent / "design" / "architecture.md"
BEGIN, END = "<!-- generated: writes -->", "<!-- end of generated -->"

# The one thing the catalogue does not know: in which order a reader wants them.
GROUPS: Mapping[str, Sequence[str]] = {
    "Enqueue": ("enqueue", "enqueue_each", "enqueue_many"),
    "Results": ("result", "wait", "watch", "unwatch"),
    "Composition": ("parents", "children", "group_status"),
    "Change jobs": ("cancel", "retry", "reschedule", "set_priority"),
    "Change many jobs": ("cancel_jobs", "retry_jobs", "set_priority_of_jobs", "move_jobs", "delete_jobs", "count_jobs"),
    "Failures": ("failures", "edit_job"),
    "Scripts": ("submit_script", "script_report", "scripts", "scripts_running", "cancel_script", "configure_owner"),
    "Queries": ("submit_query", "query_status", "query_columns", "query_batch", "cancel_query"),
    "Row batches": (
        "batch_submit",
        "batch_submit_each",
        "batch_append",
        "batch_append_each",
        "batch_release",
        "batch_status",
        "batch_rows",
        "output_file",
        "batch_abort",
        "batch_list",
        "batch_purge",
    ),
    "Slow queries": ("slow_query_submit", "slow_query_status", "slow_query_abort"),
    "Schedules": (
        "schedule",
        "unschedule",
        "pause_schedule",
        "resume_schedule",
        "run_schedule",
        "schedules",
        "next_runs",
        "sync_schedules",
    ),
    "Keyed queues": (
        "keyed_add",
        "keyed_result",
        "keyed_result_by_id",
        "keyed_wait",
        "keyed_extend",
        "keyed_get",
        "keyed_state",
        "keyed_stage",
        "keyed_cancel",
        "keyed_keys",
        "keyed_pending",
        "keyed_active",
        "keyed_list",
        "next_number",
    ),
    "Keyed queues: executing": (
        "keyed_claim",
        "keyed_claim_next",
        "keyed_add_and_claim",
        "keyed_heartbeat",
        "keyed_merge_extra",
        "keyed_ack",
        "keyed_stalled",
        "keyed_orphaned",
        "keyed_to_cancel",
        "keyed_reap",
        "keyed_truncate",
    ),
    "Queues and settings": (
        "pause_queue",
        "resume_queue",
        "configure_queue",
        "configure_group",
        "unblock_group",
        "configure",
    ),
    "Look": ("job", "jobs", "attempts", "queues", "groups", "workers", "why", "health", "next_due", "version"),
    "Insight": ("job_log", "job_timeline", "throughput"),
    "Workers": (
        "register_worker",
        "worker_heartbeat",
        "deregister_worker",
        "claim",
        "settle",
        "settle_and_claim",
        "job_heartbeat",
        "log_lines",
        "worker_sleep",
        "worker_wake",
    ),
    "Workers that run SQL": (
        "script_begin",
        "script_end",
        "query_begin",
        "query_describe",
        "query_put",
        "query_end",
    ),
    "Workers that process rows": ("batch_context",),
    "Upkeep": ("maintain", "try_lead", "stop_leading"),
}

_ROUTINES = """
select p.proname, p.prokind = 'p', obj_description(p.oid, 'pg_proc'), pg_get_functiondef(p.oid),
  case when p.prorettype = 'void'::regtype or p.prokind = 'p' then null else format_type(p.prorettype, null) end,
  array(
    select array[a.mode, a.name, format_type(a.type, null),
      case when a.mode <> 't' then pg_get_function_arg_default(p.oid, a.place::integer) end]
    from unnest(
      coalesce(p.proargmodes::text[], array_fill('i'::text, array[p.pronargs])), p.proargnames,
      coalesce(p.proallargtypes, p.proargtypes::oid[])) with ordinality a(mode, name, type, place)
    order by a.place),
  array(
    select array[t.attname, format_type(t.atttypid, t.atttypmod)]
    from pg_type y join pg_attribute t on t.attrelid = y.typrelid and t.attnum > 0
    where y.oid = p.prorettype and y.typtype = 'c' order by t.attnum),
  array(
    select g.rolname::text from aclexplode(p.proacl) a join pg_roles g on g.oid = a.grantee
    where a.privilege_type = 'EXECUTE' and a.grantee <> p.proowner order by g.rolname)
from pg_proc p
where p.pronamespace = 'pgqueue'::regnamespace
order by p.proname"""


@dataclass(frozen=True)
class Routine:
    """One function or procedure as the catalogue has it."""

    name: str
    is_procedure: bool
    comment: str
    definition: str
    returns: str | None
    arguments: list[tuple[str, str, str, str | None]]
    """Mode, name, type, default."""
    fields: list[tuple[str, str]]
    """Of the composite type returned, if it is one."""
    roles: list[str]

    @property
    def is_public(self) -> bool:
        return not self.name.startswith("_")

    @property
    def columns(self) -> list[tuple[str, str]]:
        return [(name, kind) for mode, name, kind, _ in self.arguments if mode == "t"] or self.fields


def routines(connection: psycopg.Connection[Any]) -> list[Routine]:
    """All of the schema, by name."""
    return [
        Routine(
            name,
            is_procedure,
            comment or "",
            definition,
            returns,
            [(mode, argument, _type(kind), default) for mode, argument, kind, default in arguments],
            [(field, _type(kind)) for field, kind in fields],
            [role.removeprefix("pgqueue_") for role in roles],
        )
        for name, is_procedure, comment, definition, returns, arguments, fields, roles in connection.execute(_ROUTINES)
    ]


def _type(name: str) -> str:
    return "timestamptz" if name == "timestamp with time zone" else name


# -- sql.md -----------------------------------------------------------------------------------------------------------

_SQL_HEAD = """\
# SQL reference

Written by [generate.py](generate.py) from the catalogue: the text of each function is its comment, as `\\df+` shows it.
Give arguments by name: `select * from pgqueue.enqueue(kind => 'mail', delay => '1 minute')`. The words are explained
in [architecture](../design/architecture.md), the states in [states](../design/states.md), the errors in
[errors](errors.md).

Each function names the roles that may call it; the owner of the schema may call all of them. Under another schema name,
every `pgqueue` on this page, in roles, channels and settings too, is that name.
"""

_SQL_TAIL = """\
## Channels

| channel | payload | sent when |
| --- | --- | --- |
| `pgqueue_wake` | name of a queue | it got work, and a session sleeps on it (`worker_sleep`) |
| `pgqueue_worker` | id of a worker | it should call `worker_heartbeat` now: a job it runs is to be cancelled |
| `pgqueue_done` | id of a job | it is final, and a session waits for it (`watch`) |

A notification is a hint. It can be lost, and none is sent while the server's notification queue is more than half full:
whoever listens also polls.

## Session setting

`pgqueue.now`: a time, as text. Every function called in the session believes it; empty or unset means the server's
clock. For tests.
"""


def sql_page(found: Sequence[Routine]) -> str:
    """The whole of sql.md. Raises SystemExit when a public function is in no group."""
    public = {routine.name: routine for routine in found if routine.is_public}
    listed = [name for group in GROUPS.values() for name in group]
    if sorted(listed) != sorted(public):
        raise SystemExit(f"GROUPS of {__file__} and the catalogue differ: {sorted(set(listed) ^ set(public))}")
    parts = [_SQL_HEAD]
    parts += [
        f"**{title}** " + " · ".join(f"[{name}](#{name})" for name in names) + "\n" for title, names in GROUPS.items()
    ]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_entry(public[name]) for name in names]
    return "\n".join([*parts, _SQL_TAIL])


def _entry(routine: Routine) -> str:
    arguments = [
        f"{'inout ' if mode == 'b' else ''}{name} {kind}" + ("" if default is None else f" default {_plain(default)}")
        for mode, name, kind, default in routine.arguments
        if mode in "ib"
    ]
    call = f"{'call ' if routine.is_procedure else ''}pgqueue.{routine.name}"
    text = f"{call}(\n  " + ",\n  ".join(arguments) + ")" if len(arguments) > 2 else f"{call}({', '.join(arguments)})"
    if routine.columns:
        text += "\n→ " + ", ".join(f"{name} {kind}" for name, kind in routine.columns)
    elif routine.returns:
        text += f" → {_type(routine.returns)}"
    roles = ", ".join(routine.roles) or "only the owner"
    return f"### {routine.name}\n\n```text\n{_wrap(text)}\n```\n\n{_prose(routine.comment)}\n\nRoles: {roles}.\n"


def _plain(default: str) -> str:
    value = re.sub(r"::[a-z ]+(\[\])?$", "", default)
    return "null" if value == "NULL" else value


def _wrap(text: str, width: int = 110) -> str:
    lines = []
    for line in text.splitlines():
        while len(line) > width:
            at = line.rindex(", ", 0, width) + 1
            lines.append(line[:at])
            line = "  " + line[at:].lstrip()
        lines.append(line)
    return "\n".join(lines)


_NAME = r"[a-z_]+(?:\[i\])?(?: \([0-9a-z ]+\))?"
_LABEL = re.compile(rf"(?:^|(?<=\. ))({_NAME}(?:(?:, | and | or ){_NAME})*): ")


def _prose(comment: str) -> str:
    """The comment as it is, with a list item where it begins to speak of an argument or a column."""
    text = " ".join(comment.split())
    text, _, errors = text.partition(" Errors: ")
    text, returns, returned = text.partition(" Returns a row only ")
    pieces = _LABEL.split(text)
    lines = [_escape(pieces[0].strip())] if pieces[0].strip() else []
    items = [
        f"- {_code(label)}: {_escape(told.strip())}" for label, told in zip(pieces[1::2], pieces[2::2], strict=True)
    ]
    if items:
        lines.append("\n".join(items))
    if returns:
        lines.append(_escape(returns.strip() + " " + returned))
    if errors:
        lines.append(f"Errors: {_escape(errors)}")
    return "\n\n".join(lines)


def _code(label: str) -> str:
    return re.sub(r"(?<![\w(])([a-z_]+(?:\[i\])?)", lambda m: m[0] if m[0] in ("and", "or") else f"`{m[0]}`", label)


def _escape(text: str) -> str:
    return re.sub(r"([*<])", r"\\\1", text).replace("''", "'")


# -- who writes which table -------------------------------------------------------------------------------------------

_VERBS = ("insert into", "update", "delete from")
_WRITE = re.compile(rf"\b({'|'.join(_VERBS)}) pgqueue\.(\w+)")
_UPSERT = re.compile(r"insert into pgqueue\.(\w+)[^;]*? on conflict [^;]*? do update")
_CALL = re.compile(r"\bpgqueue\.(\w+)\(")
_TABLES = """
select c.relname, coalesce(obj_description(c.oid, 'pg_class'), '')
from pg_class c
where c.relnamespace = 'pgqueue'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
  and c.relname <> 'schema_version'
order by c.relname"""


def _code_of(routine: Routine) -> str:
    """The body without comments and literals: a name in a message is no call."""
    return re.sub(r"'(?:[^']|'')*'", "''", re.sub(r"--.*", "", routine.definition))


def _writers(found: Sequence[Routine]) -> dict[tuple[str, str], list[str]]:
    """(verb, table) → functions whose own body does that. Partitions, whose names are put together, are not seen."""
    writers: dict[tuple[str, str], list[str]] = {}
    for routine in found:
        body = _code_of(routine)
        done = {(match[1], match[2]) for match in _WRITE.finditer(body)}
        done |= {("update", match[1]) for match in _UPSERT.finditer(body)}
        for verb, table in done:
            writers.setdefault((verb, table), []).append(routine.name)
    return writers


def _readers(found: Sequence[Routine]) -> list[str]:
    """Public functions that write nothing, whatever they call."""
    calls = {routine.name: set(_CALL.findall(_code_of(routine))) for routine in found}
    writing = {name for names in _writers(found).values() for name in names}
    while True:
        more = {name for name, called in calls.items() if called & writing} - writing
        if not more:
            return [name for group in GROUPS.values() for name in group if name not in writing]
        writing |= more


def writes_table(found: Sequence[Routine], tables: Mapping[str, str]) -> str:
    """A row a table: what it holds, by its comment, and the functions in whose bodies its rows come, change and go."""
    writers = _writers(found)
    lines = ["| table | holds | insert | update | delete |", "| --- | --- | --- | --- | --- |"]
    for table, comment in tables.items():
        cells = [" ".join(f"`{name}`" for name in sorted(writers.get((verb, table), []))) for verb in _VERBS]
        lines.append(f"| `{table}` | {_escape(comment)} | {' | '.join(cells)} |")
    quiet = ", ".join(f"`{name}`" for name in _readers(found))
    return "\n".join([*lines, "", f"Write no table, themselves or through what they call: {quiet}."])


def architecture_page(connection: psycopg.Connection[Any], found: Sequence[Routine]) -> str:
    """The page as it is, with the part between the marks made anew."""
    before = ARCHITECTURE_PAGE.read_text(encoding="utf-8")
    head, begin, rest = before.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{ARCHITECTURE_PAGE} has lost its marks {BEGIN} … {END}")
    return f"{head}{BEGIN}\n\n{writes_table(found, dict(connection.execute(_TABLES).fetchall()))}\n\n{END}{tail}"


# -- cli.md -----------------------------------------------------------------------------------------------------------

Names = set[str | None]

_CLI_HEAD = """\
# Command line reference

Written by [generate.py](generate.py) from the commands' own help.

"""


def cli_page() -> str:
    """The whole of cli.md."""
    shared: Names = {option.name for option in click.command()(common(lambda: None)).params}
    parts = [_CLI_HEAD + _text(cli.help or ""), ""]
    parts += ["Every command takes these, before its name or after it:", "", *_options(cli, set(), extra=shared), ""]
    parts += [f"Exit codes: {' '.join(EXIT_CODES.split())}", ""]
    context = click.Context(cli)
    for title, commands in SECTIONS.items():
        parts.append(f"## {title}\n")
        for name in commands:
            command = cli.get_command(context, name)
            assert command is not None
            parts += list(_command(name, command, shared))
    return "\n".join(parts).rstrip() + "\n"


def _command(path: str, command: click.Command, shared: Names) -> Iterator[str]:
    yield f"### pgqueue {path}\n"
    if isinstance(command, click.Group):
        yield _text(command.help or "") + "\n"
        for name, below in sorted(command.commands.items()):
            yield from _command(f"{path} {name}", below, shared)
        return
    arguments = " ".join(_argument(param) for param in command.params if isinstance(param, click.Argument))
    usage = f"pgqueue {path} [OPTIONS] {arguments}".rstrip()
    yield f"```text\n{usage}\n```\n"
    yield _text(command.help or "") + "\n"
    options = _options(command, shared)
    if options:
        yield "\n".join(options) + "\n"
    examples = (command.epilog or "").partition("Examples:\n")[2]
    if examples:
        yield f"```sh\n{inspect.cleandoc(examples)}\n```\n"


def _argument(param: click.Argument) -> str:
    choices = _choices(param)
    name = param.metavar or (f"{{{choices}}}" if choices else (param.name or "").upper())
    return name if param.required or name.startswith("[") else f"[{name}]" + ("..." if param.nargs == -1 else "")


def _options(command: click.Command, shared: Names, extra: Names | None = None) -> list[str]:
    found = [
        param
        for param in command.params
        if isinstance(param, click.Option) and param.name not in shared and (extra is None or param.name in extra)
    ]
    return [f"- {_option(param)}" for param in found]


def _option(param: click.Option) -> str:
    text = ", ".join(f"`{name}`" for name in sorted(param.opts, key=len))
    if not param.is_flag:
        value = _choices(param) or param.metavar or param.type.name.removesuffix(" range").upper()
        text = text[:-1] + f" {value}`"
    notes = []
    if isinstance(param.type, click.IntRange):
        notes.append(f"{param.type.min} to {param.type.max}")
    if param.show_default and param.default is not None:
        notes.append(f"default `{param.default}`")
    text += f": {_escape(param.help)}" if param.help else ""
    return text + (f" ({'; '.join(notes)})" if notes else "")


def _choices(param: click.Parameter) -> str:
    return "|".join(param.type.choices) if isinstance(param.type, click.Choice) else ""


def _text(text: str) -> str:
    paragraphs = inspect.cleandoc(text).replace("\b\n", "").split("\n\n")
    return "\n\n".join(_escape(" ".join(paragraph.split())) for paragraph in paragraphs)


# -- running ----------------------------------------------------------------------------------------------------------


def pages(connection: psycopg.Connection[Any]) -> dict[Path, str]:
    """What each page should be."""
    found = routines(connection)
    return {
        SQL_PAGE: sql_page(found),
        CLI_PAGE: cli_page(),
        ARCHITECTURE_PAGE: architecture_page(connection, found),
    }


def stale(connection: psycopg.Connection[Any]) -> list[Path]:
    """The pages that are not what they should be."""
    return [
        path
        for path, text in pages(connection).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


@contextmanager
def _installed(dsn: str | None) -> Iterator[psycopg.Connection[Any]]:
    if dsn is not None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            yield connection
        return
    with throwaway() as instance, psycopg.connect(instance.dsn, autocommit=True) as connection:
        schema.upgrade(connection)
        yield connection


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 when a page is stale")
    parser.add_argument("--dsn", help="a database with the schema; default: a throw-away server")
    arguments = parser.parse_args()
    with _installed(arguments.dsn) as connection:
        schema.require(connection)
        old = stale(connection)
        if not arguments.check:
            for path in old:
                path.write_text(pages(connection)[path], encoding="utf-8")
    for path in old:
        print(f"{'stale' if arguments.check else 'written'}: {path.relative_to(HERE.parents[1])}")
    return 1 if arguments.check and old else 0


if __name__ == "__main__":
    sys.exit(main())
