"""Codecs: what the database gets to see, who can read it, and what becomes of jobs that nobody can."""

from __future__ import annotations

import asyncio
import json
import zlib
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgqueue import App, CannotUnseal, Client, InvalidArgument, JobFailed, NewJob, Retry, result
from pgqueue._hooks import AppHooks
from pgqueue._json import dumps
from pgqueue.codec import Sealer, sealed_with
from pgqueue.models import Job
from pgqueue.testing import adrain, assert_enqueued, drain, enqueued
from tests.support.cluster import Database


class Zip:
    def encode(self, data: bytes) -> bytes:
        return zlib.compress(data)

    def decode(self, data: bytes) -> bytes:
        return zlib.decompress(data)


class Xor:
    """No secret at all, but nothing anybody reads by accident; never twice the same, as encryption is."""

    count = 0

    def __init__(self, key_id: str, key: int = 42) -> None:
        self.key_id = key_id
        self.key = key

    def encode(self, data: bytes) -> bytes:
        Xor.count += 1
        return Xor.count.to_bytes(8) + bytes(byte ^ self.key for byte in data)

    def decode(self, data: bytes) -> bytes:
        return bytes(byte ^ self.key for byte in data[8:])


class Broken(Zip):
    def encode(self, data: bytes) -> bytes:
        raise ConnectionError("the key server is away")


@pytest.fixture
def connection(pg: Database) -> Iterator[psycopg.Connection[Any]]:
    with pg.connect() as connection:
        yield connection


@pytest.fixture
def make(pg: Database) -> Iterator[Callable[..., App]]:
    """Apps with the same tasks and other codecs."""
    apps = []

    def made(**options: Any) -> App:
        app = App(pg.dsn, **options)
        apps.append(app)

        @app.task(unique_key=lambda secret, when=None: f"of {secret}" if secret == "unique" else None)
        def tell(secret: str, when: date | None = None) -> dict[str, Any]:
            return {"told": secret, "type": type(when).__name__}

        @app.task
        async def atell(secret: str) -> str:
            return secret

        @app.task
        def day(secret: str) -> date:
            return date(2030, 1, 2)

        @app.task
        def anything(**values: Any) -> list[str]:
            return sorted(values)

        @app.task(max_attempts=1)
        def fail(secret: str) -> Retry | None:
            if secret == "outcome":
                return Retry(error=f"no {secret}")
            raise ValueError(f"no {secret}")

        return app

    yield made
    for app in apps:
        app.close()


def stored(app: App, id: int) -> Job:
    """As the database has it."""
    return app.client.job(id)


# -- there and back ---------------------------------------------------------------------------------------------------


def test_the_database_sees_neither_args_nor_results(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    handle = app.tasks["tell"].enqueue("swordfish", date(2030, 1, 2))
    assert set(stored(app, handle.id).args) == {"$sealed", "codec"}
    assert stored(app, handle.id).args["codec"] == "k1"
    [job] = drain(app, connection)
    raw = stored(app, handle.id)
    assert sealed_with(raw.result) == "k1"
    everything = connection.execute("select j::text || o::text from pgqueue.job j, pgqueue.outcome o").fetchone()[0]
    assert "sword" not in everything
    told = {"told": "swordfish", "type": "date"}
    args = {"secret": "swordfish", "when": "2030-01-02"}
    assert handle.result(timeout=5) == told
    assert (job.args, job.result) == (handle.job().args, handle.job().result) == (args, told)


def test_async_ways(make: Callable[..., App], pg: Database) -> None:
    app = make(codec=Xor("k1"))

    async def main() -> Any:
        handle = await app.tasks["atell"].aenqueue("swordfish")
        other = await app.aenqueue("tell", {"secret": "x"})
        many = await app.tasks["atell"].aenqueue_many([("y",)])
        for id in (handle.id, other.id, many[0].id):
            assert sealed_with((await app.aclient.job(id)).args) == "k1"
        async with await psycopg.AsyncConnection.connect(pg.dsn, autocommit=True) as own:
            await adrain(app, own)
        told = await handle.aresult(5), (await handle.ajob()).args, await many[0].aresult(5)
        await app.aclose()
        return told

    assert asyncio.run(main()) == ("swordfish", {"secret": "swordfish"}, "y")


def test_results_are_converted_after_they_are_opened(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Zip())
    handle = app.tasks["day"].enqueue("x")
    drain(app, connection)
    assert handle.result(timeout=5) == date(2030, 1, 2)
    assert sealed_with(stored(app, handle.id).result) == "Zip", "named after its class"


def test_enqueue_many_seals_each(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    handles = app.tasks["tell"].enqueue_many([(f"secret {n}",) for n in range(5)])
    assert {sealed_with(stored(app, id).args) for id in handles.ids} == {"k1"}
    drain(app, connection)
    assert [handle.result(5)["told"] for handle in handles] == [f"secret {n}" for n in range(5)]


def test_jobs_that_are_not_sealed_run_as_ever(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Zip())
    app.client.enqueue("tell", {"secret": "from SQL"})
    [job] = drain(app, connection)
    assert job.result == {"told": "from SQL", "type": "NoneType"}


def test_keys_are_made_of_plain_arguments(make: Callable[..., App]) -> None:
    """Though sealing gives something else each time."""
    app = make(codec=Xor("k1"))
    first, second = app.tasks["tell"].enqueue("unique"), app.tasks["tell"].enqueue("unique")
    assert (second.id, second.created) == (first.id, False)
    assert stored(app, first.id).unique_key == "of unique"
    assert app.tasks["tell"].enqueue_many([("unique",), ("other",)]).created == 1


def test_keys_derived_from_arguments_are_derived_before_sealing() -> None:
    """The server sees nothing to derive them from."""
    hooks = AppHooks(codec=Xor("k1"))

    def key(args: dict[str, Any], *names: str, kind: str = "k") -> Any:
        made = hooks.document(NewJob(kind, args, "q", {}, {"unique_key": None, "unique_by": names, "priority": 1}))
        assert made.pop("args").keys() == {"$sealed", "codec"}
        assert made.keys() == {"kind", "queue", "headers", "priority", "unique_key"}
        return made["unique_key"]

    assert key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    assert key({"a": 1, "b": 2}, "a") == key({"a": 1, "b": 3}, "a")
    assert "swordfish" not in key({"a": "swordfish"})
    keys = [key({"a": 1}), key({"a": 2}), key({"a": "1"}), key({"a": 1}, kind="l"), key({}), key({"a": None})]
    assert len(set(keys)) == len(keys)
    plain = AppHooks().document(NewJob("k", {"a": 1}, "q", {}, {"unique_key": None, "unique_by": ["a"]}))
    assert plain == {
        "kind": "k",
        "queue": "q",
        "headers": None,
        "args": {"a": 1},
        "unique_key": None,
        "unique_by": ["a"],
    }


def test_middleware_sees_plain_args(make: Callable[..., App], connection: Any) -> None:
    seen: list[Any] = []

    class Looking:
        def before_enqueue(self, job: NewJob, /) -> None:
            seen.append(dict(job.args))

        def execute(self, job: Any, proceed: Any, /) -> Any:
            seen.append(dict(job.args))
            return proceed(job)

    app = make(codec=Zip(), middleware=[Looking()])
    app.tasks["tell"].enqueue("s")
    [job] = drain(app, connection)
    assert seen == [{"secret": "s"}] * 2
    assert job.state == "succeeded"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("abc$"), inner),
    )
)
@pytest.mark.slow
def test_whatever_is_sealed_comes_back(value: Any) -> None:
    for sealer in (Sealer([Zip()]), Sealer([Xor("new"), Zip()])):
        assert sealer.open(json.loads(sealer.seal(dumps(value)))) == value


# -- keys that change -------------------------------------------------------------------------------------------------


def test_the_first_seals_and_any_opens(make: Callable[..., App], connection: Any) -> None:
    old, both = make(codec=Xor("old", 1)), make(codec=[Xor("new", 2), Xor("old", 1)])
    before = old.tasks["tell"].enqueue("a")
    after = both.tasks["tell"].enqueue("b")
    assert (stored(old, before.id).args["codec"], stored(old, after.id).args["codec"]) == ("old", "new")
    assert [job.result["told"] for job in drain(both, connection)] == ["a", "b"]  # type: ignore[index, call-overload]
    assert stored(old, before.id).result["codec"] == "new"  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "sealed with the codec 'k1', which this App does not have"),
        ({"codec": Zip()}, "sealed with the codec 'k1', which this App does not have"),
        ({"codec": Zip(), "seal_errors": True}, "sealed with the codec 'k1', which this App does not have"),
        ({"codec": Xor("k1", key=43)}, "the codec 'k1' cannot decode this: "),
    ],
)
@pytest.mark.parametrize("kind", ["tell", "atell", "anything"])
def test_who_cannot_open_a_job_fails_it_at_once(
    make: Callable[..., App], connection: Any, options: dict[str, Any], message: str, kind: str
) -> None:
    sender, runner = make(codec=Xor("k1")), make(**options)
    handle = sender.enqueue(kind, {"secret": "s"}, max_attempts=5)
    [job] = drain(runner, connection)
    assert (job.state, job.reason, job.attempt) == ("failed", "error", 1), "no further attempt"
    assert job.error is not None
    assert job.error["type"] == "pgqueue.errors.CannotUnseal"
    assert message in job.error["message"]
    assert stored(runner, handle.id).error == job.error, "never sealed: who has no key has to read it"
    sender.client.retry(handle.id)
    [job] = drain(sender, connection)
    assert job.state == "succeeded", "with the key there it can be retried"


@pytest.mark.parametrize(
    "args",
    [
        {"$sealed": "no base64!", "codec": "k1"},
        {"$sealed": 1, "codec": "k1"},
        {"$sealed": b64encode(zlib.compress(b"[1]")).decode(), "codec": "Zip"},
        {"$sealed": b64encode(zlib.compress(b"no json")).decode(), "codec": "Zip"},
        {"$sealed": b64encode(b"no zip").decode(), "codec": "Zip"},
        {"$sealed": ""},
    ],
)
def test_garbled_args_never_run(make: Callable[..., App], connection: Any, args: Any) -> None:
    app = make(codec=[Zip(), Xor("k1")])
    app.client.enqueue("anything", args, max_attempts=5)
    [job] = drain(app, connection)
    assert job.state == "failed"
    assert job.error is not None
    assert job.error["type"] == "pgqueue.errors.CannotUnseal"
    assert job.args == args, "shown as it is"


def test_results_that_cannot_be_opened(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    handle = app.tasks["tell"].enqueue("s")
    drain(app, connection)
    with pytest.raises(CannotUnseal, match="the codec 'k1', which this App does not have"):
        make().handle(handle.id).result(5)
    other = make(codec=Zip()).handle(handle.id)
    assert sealed_with(other.job().args) == sealed_with(other.job().result) == "k1"


def test_what_stands_beside_sealed_args_is_opened_too() -> None:
    """A follow-up gets the result of its parent, as that is stored, as one argument more."""
    sealer = Sealer([Zip()])
    stored = json.loads(sealer.seal(dumps([1, 2])))
    assert sealer.open_args({**json.loads(sealer.seal(dumps({"a": 1}))), "b": stored, "c": 3}) == {
        "a": 1,
        "b": [1, 2],
        "c": 3,
    }
    assert sealer.open_args({"a": 1, "b": stored}) == {"a": 1, "b": [1, 2]}


def test_a_follow_up_gets_what_its_parent_returned(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    seen: list[Any] = []

    @app.task
    def after(parent: dict[str, str], own: str) -> None:
        seen.append((parent, own))

    app.tasks["tell"].options(on_success=after.s(result, "s")).enqueue("swordfish")
    assert [job.state for job in drain(app, connection, due=True)] == ["succeeded", "succeeded"]
    assert seen == [({"told": "swordfish", "type": "NoneType"}, "s")]


# -- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["swordfish", "outcome"])
def test_errors_can_be_sealed(make: Callable[..., App], connection: Any, secret: str) -> None:
    app = make(codec=Xor("k1"), seal_errors=True)
    handle = app.tasks["fail"].enqueue(secret)
    [job] = drain(app, connection)
    raw = stored(app, handle.id).error
    kind = "Retry" if secret == "outcome" else "ValueError"
    assert raw is not None
    assert (raw["type"], raw["message"], raw["traceback"]) == (kind, "sealed with the codec 'k1'", None)
    assert secret not in str(app.client.attempts(handle.id))
    with pytest.raises(JobFailed, match=f"{kind}: no {secret}") as caught:
        handle.result(5)
    assert caught.value.error == job.error == handle.job().error
    with pytest.raises(JobFailed, match="sealed with the codec 'k1'"):
        make().handle(handle.id).result(5)


def test_errors_are_plain_unless_asked_for(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    id = app.tasks["fail"].enqueue("swordfish").id
    drain(app, connection)
    assert "no swordfish" in str(stored(app, id).error)


def test_an_error_that_cannot_be_sealed_is_left_out() -> None:
    text = Sealer([Broken()]).seal_error(dumps({"type": "ValueError", "message": "secret", "traceback": "secret"}))
    told = "left out: it could not be sealed (ConnectionError)"
    assert json.loads(text) == {"type": "ValueError", "message": told, "traceback": None}


# -- codecs that are none ---------------------------------------------------------------------------------------------


def test_a_codec_that_fails_to_encode(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Broken())
    with pytest.raises(ConnectionError, match="key server is away") as caught:
        app.tasks["tell"].enqueue("s")
    assert caught.value.__notes__ == ["raised by the codec 'Broken'"]
    with pytest.raises(ConnectionError):
        app.tasks["tell"].enqueue_many([("s",)])
    assert app.client.jobs() == []
    app.client.enqueue("tell", {"secret": "s"})
    [job] = drain(app, connection)
    assert job.state == "failed", "its result is not stored in the clear"
    assert "raised by the codec 'Broken'" in job.error["traceback"]  # type: ignore[index]


class Texts(Zip):
    key_id = "texts"

    def encode(self, data: bytes) -> Any:
        return "text"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"codec": object()}, "is no codec"),
        ({"codec": Zip}, "has no name"),
        ({"codec": Xor("")}, "has no name"),
        ({"codec": [Zip(), Zip()]}, "two codecs have the name 'Zip'"),
        ({"seal_errors": True}, "seals with a codec, and there is none"),
    ],
)
def test_what_is_no_codec(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InvalidArgument, match=complaint):
        App(**options)


def test_encode_gives_bytes(make: Callable[..., App]) -> None:
    with pytest.raises(InvalidArgument, match="the codec 'texts' made str"):
        make(codec=Texts()).tasks["tell"].enqueue("s")


# -- tests of users ---------------------------------------------------------------------------------------------------


def test_what_was_enqueued_is_found_by_plain_args(make: Callable[..., App], connection: Any) -> None:
    app = make(codec=Xor("k1"))
    app.tasks["tell"].on(connection).enqueue("s")
    [job] = assert_enqueued(connection, app.tasks["tell"], args={"secret": "s"})
    assert job.args["secret"] == "s"
    [job] = enqueued(connection, "tell")
    assert sealed_with(job.args) == "k1", "a name alone has no codec"
    assert Client(connection=connection).job(job.id).args == job.args
