"""SQLSTATEs become exceptions, with the message and the hint."""

from __future__ import annotations

import pickle

import psycopg
import pytest

from pgqueue import Client, errors
from pgqueue.errors import translate
from tests.support.cluster import Database, Server


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("PQ001", errors.InvalidArgument), ("PQ002", errors.UnknownJob), ("PQ003", errors.UnknownWorker),
        ("PQ004", errors.StaleLease), ("PQ005", errors.Conflict), ("PQ006", errors.SchemaError),
        ("PQ008", errors.QueueFull),
        ("3F000", errors.SchemaMissing), ("42883", errors.SchemaOutdated), ("42501", errors.PermissionDenied),
        ("08006", errors.ConnectionLost), ("57P03", errors.ConnectionLost), ("25006", errors.ConnectionLost),
        ("40P01", errors.Busy), ("55P03", errors.Busy), ("22003", errors.InvalidArgument),
        ("XX000", errors.PgQueueError), ("25P02", errors.PgQueueError),
    ],
)  # fmt: skip
def test_each_state_has_its_exception(pg: Database, state: str, kind: type[errors.PgQueueError]) -> None:
    with pg.connect() as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute(
            f"do $$ begin raise exception using errcode = '{state}', message = 'what', hint = 'how'; end $$".encode()
        )
    error = translate(caught.value)
    assert type(error) is kind
    assert error.sqlstate == state
    assert str(error).startswith("what\nHint: ")


def test_the_families_hold() -> None:
    assert issubclass(errors.InvalidArgument, ValueError)
    assert issubclass(errors.NotSerialisable, (errors.InvalidArgument, TypeError))
    assert issubclass(errors.UnknownJob, LookupError)
    assert issubclass(errors.ResultTimeout, TimeoutError)
    assert all(issubclass(getattr(errors, name), errors.PgQueueError) for name in errors.__all__ if name[0].isupper())


@pytest.mark.parametrize(
    "error",
    [
        errors.InvalidArgument("what", "how", "PQ001"),
        errors.NotSerialisable("what", hint="how"),
        errors.JobFailed(7, "failed", "error", {"type": "E", "message": "m"}),
    ],
)
def test_errors_survive_pickling(error: errors.PgQueueError) -> None:
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_a_missing_schema_says_what_to_run(empty_database: str) -> None:
    with Client(empty_database) as client, pytest.raises(errors.SchemaMissing, match="pgqueue schema upgrade"):
        client.version()


def test_a_function_that_is_missing_means_an_old_schema(pg: Database) -> None:
    with pg.connect() as connection:
        connection.execute("drop function pgqueue.version()")
        with pytest.raises(errors.SchemaOutdated, match="pgqueue schema upgrade"):
            Client(connection=connection).version()


def test_a_role_without_the_grant(pg: Database) -> None:
    with pg.connect() as connection:
        connection.execute("create role nobody_special")
        try:
            connection.execute("set role nobody_special")
            with pytest.raises(errors.PermissionDenied, match="_producer"):
                Client(connection=connection).enqueue("k")
        finally:
            connection.execute("reset role; drop role nobody_special")


def test_the_reason_there_is_no_server_is_in_the_message() -> None:
    with Client("host=127.0.0.1 port=1") as client, pytest.raises(errors.ConnectionLost, match="port 1 failed"):
        client.version()


def test_a_server_that_has_cut_the_idle_connections_goes_unnoticed(pg: Database, server: Server) -> None:
    with Client(pg.dsn) as client, pg.connect() as other:
        client.version()
        cut = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'pgqueue'"
        assert other.execute(cut).fetchall() == [(True,)]
        client.version()


def test_a_broken_transaction_is_called_that(pg: Database) -> None:
    with pg.connect(autocommit=False) as connection:
        client = Client(connection=connection)
        with pytest.raises(errors.UnknownJob):
            client.job(1)
        with pytest.raises(errors.PgQueueError, match="roll it back") as caught:
            client.version()
        assert caught.value.sqlstate == "25P02"
        connection.rollback()
