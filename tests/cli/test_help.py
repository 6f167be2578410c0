"""Help: fast, complete, with an example everywhere."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from pgqueue.cli import cli
from pgqueue.cli._main import COMMANDS
from tests.cli.conftest import Run, environment


def every_command() -> Iterator[tuple[str, click.Command]]:
    def walk(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, click.Command]]:
        yield " ".join(path), command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                found = command.get_command(context, name)
                assert found is not None
                yield from walk((*path, name), found)

    yield from walk((), cli)


@pytest.mark.parametrize("path", [path for path, _ in every_command()])
def test_every_help_has_an_example_and_every_option_a_meaning(path: str, run: Run) -> None:
    said = run(*path.split(), "--help")
    assert said.code == 0
    assert "Examples:" in said.out
    assert f"pgqueue {path}" in said.out or path == ""


@pytest.mark.parametrize("path", [path for path, command in every_command() if not isinstance(command, click.Group)])
def test_every_command_takes_the_global_options_after_its_name_too(path: str) -> None:
    command = dict(every_command())[path]
    names = {option for parameter in command.params for option in parameter.opts}
    assert {"--dsn", "--schema", "--json", "--debug"} <= names


def test_the_list_of_commands_says_what_the_commands_say() -> None:
    context = click.Context(cli)
    for name, lazy in COMMANDS.items():
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.short_help == lazy.help


def test_help_imports_neither_driver_nor_tables() -> None:
    code = (
        "import sys; from pgqueue.cli import cli; cli.main(['-h'], standalone_mode=False); print(sorted(sys.modules))"
    )
    modules = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    ).stdout.splitlines()[-1]
    for heavy in (
        "psycopg",
        "psycopg_pool",
        "rich",
        "alembic",
        "sqlalchemy",
        "asyncio",
        "pgqueue.worker",
        "pgqueue.cli.jobs",
    ):
        assert f"'{heavy}'" not in modules


def test_a_command_that_was_almost_right_is_named(run: Run) -> None:
    said = run("job")
    assert said.code == 2
    assert "Did you mean queue" in run("queus").err
    assert "No such command 'a\U0001f986'" in run("a\U0001f986").err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, run: Run) -> None:
    said = run("completion", shell)
    assert said.code == 0
    assert "_PGQUEUE_COMPLETE" in said.out


def test_completion_completes() -> None:
    env = environment(_PGQUEUE_COMPLETE="bash_complete", COMP_WORDS="pgqueue job ca", COMP_CWORD="2")
    done = subprocess.run([sys.executable, "-m", "pgqueue.cli"], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["plain,cancel"]


def test_version(run: Run) -> None:
    said = run("--version")
    assert said.code == 0
    assert said.out.startswith("pgqueue ")
