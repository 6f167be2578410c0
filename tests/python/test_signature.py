"""A call becomes a JSON object, and the object a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import pytest

from pgqueue import App, Context, Discard, InvalidArgument, NotSerialisable, Retry
from pgqueue._running import Hooks
from pgqueue.models import claimed_jobs
from pgqueue.task import Task

if TYPE_CHECKING:
    from somewhere_else import Unknown  # type: ignore[import-not-found]


@dataclass
class Point:
    x: int


def task(fn: Callable[..., Any]) -> Task[..., Any]:
    return App().task(fn)


def plain(a: int, b: str = "b", *, c: Any = None) -> None: ...
def by_position(a: int, /, b: int = 2) -> Any:
    return a, b


def rest(ctx: Context, a: int, *days: date, **points: Point) -> Any:
    return a, days, points


def context_last(a: int, ctx: Context | None = None, *, job: Context) -> Any:
    return a, ctx, job


def late(point: Later) -> Any:
    return point


def unresolved(a: Unknown, b: date) -> Any:
    return a, b


@dataclass
class Later:
    y: int


@pytest.mark.parametrize(
    ("args", "kwargs", "bound"),
    [
        ((1,), {}, {"a": 1}),
        ((1, "x"), {"c": [1]}, {"a": 1, "b": "x", "c": [1]}),
        ((), {"a": 1, "c": {}}, {"a": 1, "c": {}}),
    ],
)
def test_bind(args: tuple[Any, ...], kwargs: dict[str, Any], bound: dict[str, Any]) -> None:
    assert task(plain).bind(args, kwargs) == bound


@pytest.mark.parametrize(
    ("args", "kwargs", "words"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3), {}, "too many positional arguments"),
        ((1,), {"a": 2}, "multiple values for argument 'a'"),
        ((1,), {"d": 2}, "unexpected keyword argument 'd'"),
    ],
)
def test_wrong_arguments_are_an_error_at_enqueue(args: tuple[Any, ...], kwargs: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        task(plain).bind(args, kwargs)


def test_defaults_are_the_function_s_own_business() -> None:
    assert task(plain).bind((1,)) == {"a": 1}


def test_plain_args_are_handed_on_as_they_are() -> None:
    args = {"a": 1, "b": "x"}
    assert task(plain).decode(args) is args


@pytest.mark.parametrize(("args", "words"), [({}, "'a' is missing"), ({"a": 1, "z": 2}, "'z' is unknown")])
def test_args_that_do_not_fit_are_an_error_that_says_so(args: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        task(plain).decode(args)


def test_positional_only_parameters() -> None:
    one = task(by_position)
    assert one.prepare(one.bind((1,)))() == (1, 2)
    assert one.prepare(one.bind((1, 3)))() == (1, 3)
    assert one.prepare({"a": 1, "b": 5})() == (1, 5)


def test_variable_parameters_convert_each_element() -> None:
    one = task(rest)
    bound = one.bind((7, date(2020, 1, 1)), {"p": Point(1), "q": Point(2)})
    assert bound == {"a": 7, "days": ["2020-01-01"], "p": {"x": 1}, "q": {"x": 2}}
    assert one.prepare(bound, context())() == (7, (date(2020, 1, 1),), {"p": Point(1), "q": Point(2)})
    assert one.prepare({"a": 7}, context())() == (7, (), {})
    with pytest.raises(InvalidArgument, match="given twice"):
        one.bind((7,), {"days": Point(1)})


def context() -> Context:
    [job] = claimed_jobs([(1, 2, "q", "k", {}, 1, 5, 0, None, None, None, None, None, 0, None)])
    return Context(job, Hooks(None, App()))  # type: ignore[arg-type]


def test_the_context_is_no_argument() -> None:
    def work(a: int, job: Context) -> Any:
        return a, job

    one, given = task(work), context()
    assert one.wants_context
    assert one.bind((1,)) == {"a": 1}
    assert one.prepare({"a": 1}, given)() == (1, given)
    with pytest.raises(InvalidArgument):
        one.bind((1,), {"job": given})


def test_two_contexts_are_one_too_many() -> None:
    def work(a: Context, b: Context) -> None: ...

    with pytest.raises(InvalidArgument, match="two parameters of type Context"):
        task(work).bind(())


def test_a_type_may_be_defined_after_the_function() -> None:
    one = task(late)
    assert one.bind((Later(1),)) == {"point": {"y": 1}}
    assert one.decode({"point": {"y": 1}}) == {"point": Later(1)}


def test_an_annotation_that_cannot_be_resolved_takes_plain_json_only() -> None:
    one = task(unresolved)
    assert one.bind((1, date(2020, 1, 1))) == {"a": 1, "b": "2020-01-01"}
    with pytest.raises(NotSerialisable, match="argument 'a'") as caught:
        one.bind((Point(1), date(2020, 1, 1)))
    assert "could not be resolved" in str(caught.value)


def test_a_converted_argument_is_named_when_it_is_wrong() -> None:
    with pytest.raises(NotSerialisable, match="argument 'b' is of type str, not date"):
        task(unresolved).bind((1, "2020"))
    with pytest.raises(InvalidArgument, match="argument 'b' of this job"):
        task(unresolved).decode({"a": 1, "b": "soon"})


def test_outcomes_are_no_part_of_the_result_type() -> None:
    def work() -> date | Retry | Discard:
        return date(2020, 1, 1)

    one = task(work)
    assert one.encode_result(work()) == '"2020-01-01"'
    assert one.signature.returns is not None
    assert one.signature.returns.decode("2020-01-01") == date(2020, 1, 1)


def test_kinds() -> None:
    app = App()

    @app.task
    def one() -> None: ...

    @app.task("other.kind", queue="q", max_attempts=3)
    async def two() -> None: ...

    assert set(app.tasks) == {"one", "other.kind"}
    assert (one.is_async, two.is_async) == (False, True)
    assert two.settings.queue == "q"
    with pytest.raises(InvalidArgument, match="taken"):
        app.task("one")(plain)
    with pytest.raises(InvalidArgument, match="is no option"):
        app.task(prio=3)  # type: ignore[call-overload]
    with pytest.raises(InvalidArgument, match="cannot be a task"):
        app.task(Point)
    with pytest.raises(InvalidArgument, match="is no option"):
        one.options(prio=3)  # type: ignore[call-arg]


def test_options_make_a_variant_and_leave_the_task_alone() -> None:
    one = task(plain)
    other = one.options(priority=5, delay=3)
    assert (one.settings.priority, other.settings.priority) == (0, 5)
    assert other.kind == one.kind
    assert other.signature is one.signature


def test_calling_a_task_calls_the_function() -> None:
    assert task(by_position)(1) == (1, 2)
