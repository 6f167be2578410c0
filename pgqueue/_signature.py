"""The signature of a task's function: Python arguments to the JSON object of a job, and back to a call.

Annotations are resolved at first use, so that a module may name types it defines further down. One that cannot be
resolved (imported for type checkers only, say) counts as plain JSON, and the refusal of a value that is not says so.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pgqueue._json import check
from pgqueue._markers import Marker
from pgqueue.codec import SEALED, Sealer, sealed_with
from pgqueue.convert import Converter, converter_for
from pgqueue.errors import InvalidArgument, NotSerialisable
from pgqueue.models import JSON
from pgqueue.outcomes import Cancel, Discard, Retry, Snooze

__all__ = ["Signature", "check_names"]

_OUTCOMES = (Retry, Snooze, Cancel, Discard)
_VAR = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class Signature:
    """What is known of a function, computed once; see `Signature.of`."""

    name: str
    context: str | None
    """The parameter that takes the Context, which is no argument of the job."""
    converters: dict[str, Converter]
    returns: Converter | None
    unresolved: dict[str, str]
    """Parameter → why its annotation could not be resolved."""
    var_positional: str | None
    var_keyword: str | None
    required: frozenset[str]
    allowed: frozenset[str]
    _python: inspect.Signature
    _names: tuple[str, ...] | None
    """The parameters an argument may be given to by position; None for signatures that need more (f(a, /), f(*rest)).
    """
    _by_position: tuple[inspect.Parameter, ...]
    """The leading parameters when some can only be passed by position (f(a, /), f(a, *rest)), else empty."""

    @staticmethod
    def of(function: Callable[..., Any], name: str, context_type: type) -> Signature:
        signature = inspect.signature(function)
        hints, unresolved = _hints(function)
        parameters = signature.parameters.values()
        contexts = [p.name for p in parameters if _is_context(hints.get(p.name), context_type)]
        if len(contexts) > 1:
            raise InvalidArgument(f"task {name!r} has two parameters of type Context: {', '.join(contexts)}")
        context = contexts[0] if contexts else None
        own = [p for p in parameters if p.name != context]
        return Signature(
            name=name,
            context=context,
            converters={
                p.name: converter for p in own if (converter := converter_for(hints.get(p.name, Any))) is not None
            },
            returns=converter_for(_result_type(hints.get("return", Any))),
            unresolved=unresolved,
            var_positional=next((p.name for p in own if p.kind is p.VAR_POSITIONAL), None),
            var_keyword=next((p.name for p in own if p.kind is p.VAR_KEYWORD), None),
            required=frozenset(p.name for p in own if p.default is p.empty and p.kind not in _VAR),
            allowed=frozenset(p.name for p in own if p.kind is not p.VAR_KEYWORD),
            _python=signature.replace(parameters=own),
            _names=_plain_names(own),
            _by_position=_leading(list(parameters)),
        )

    # -- at enqueue -----------------------------------------------------------------------------------------------

    def bind(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, JSON]:
        """The job's args for a call. Raises InvalidArgument when the call does not fit, NotSerialisable naming an
        argument.

        Plain values are passed on as they are, and so are placeholders; that they are JSON is checked where the text is
        made.
        """
        found = self._bound_by_name(args, kwargs)
        if found is None:
            found = self._bound(args, kwargs)
        if self.converters:
            for parameter in found.keys() & self.converters.keys():
                if parameter == self.var_positional:
                    found[parameter] = [self._encode(parameter, item) for item in found[parameter]]
                elif parameter != self.var_keyword:
                    found[parameter] = self._encode(parameter, found[parameter])
        if self.unresolved:
            self._check_unresolved(found)
        return found

    def _bound_by_name(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
        """The usual call, bound in a fifth of the time `inspect` takes; None when it is unusual, or wrong."""
        names = self._names
        if names is None or len(args) > len(names):
            return None
        found = dict(zip(names, args, strict=False))
        if kwargs:
            if not found.keys().isdisjoint(kwargs):
                return None
            found.update(kwargs)
        return found if self.required <= found.keys() <= self.allowed else None

    def _bound(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        try:
            found: dict[str, Any] = self._python.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidArgument(
                f"arguments do not fit task {self.name!r}: {error}", f"its signature is {self._python}"
            ) from error
        if self.var_keyword is not None and self.var_keyword in found:
            extra = found.pop(self.var_keyword)
            clash = extra.keys() & self.allowed
            if clash:
                raise InvalidArgument(f"arguments do not fit task {self.name!r}: {sorted(clash)[0]!r} is given twice")
            found.update(
                extra
                if self.var_keyword not in self.converters
                else {key: self._encode(self.var_keyword, value) for key, value in extra.items()}
            )
        if self.var_positional is not None and self.var_positional in found:
            found[self.var_positional] = list(found[self.var_positional])
        return found

    def _encode(self, parameter: str, value: Any) -> JSON:
        if isinstance(value, Marker):
            return value
        try:
            return self.converters[parameter].encode(value)
        except TypeError as error:
            raise NotSerialisable(f"argument {parameter!r} {error}") from error
        except Exception as error:
            raise NotSerialisable(f"argument {parameter!r} cannot be converted: {error}") from error

    def _check_unresolved(self, found: Mapping[str, Any]) -> None:
        for parameter, reason in self.unresolved.items():
            if parameter in found and not isinstance(found[parameter], Marker):
                try:
                    check(found[parameter], f"argument {parameter!r}")
                except NotSerialisable as error:
                    raise NotSerialisable(error.message, f"its annotation could not be resolved ({reason})") from error

    # -- in the worker --------------------------------------------------------------------------------------------

    def decode(self, args: dict[str, JSON]) -> dict[str, Any]:
        """Python values by parameter name: the same dict when there is nothing to convert. Raises InvalidArgument."""
        names = args.keys()
        if not names >= self.required or not (
            names <= self.allowed or (self.var_keyword is not None and SEALED not in names)
        ):
            self._refuse(args)
        if not self.converters:
            return args
        made: dict[str, Any] = dict(args)
        for parameter, converter in self.converters.items():
            try:
                if parameter == self.var_keyword:
                    made.update({key: converter.decode(args[key]) for key in names - self.allowed})
                elif parameter not in args:
                    continue
                elif parameter == self.var_positional:
                    made[parameter] = [converter.decode(item) for item in args[parameter]]
                else:
                    made[parameter] = converter.decode(args[parameter])
            except Exception as error:
                raise InvalidArgument(
                    f"argument {parameter!r} of this job does not fit task {self.name!r}: {error}",
                    "was the job enqueued by hand, or by another version of the code?",
                ) from error
        return made

    def call_arguments(self, args: dict[str, JSON], context: object) -> tuple[Sequence[Any], dict[str, Any]]:
        """What to call the function with: `function(*positional, **named)`. Raises InvalidArgument."""
        named = self.decode(args)
        if self.context is not None:
            named = {**named, self.context: context}
        if not self._by_position:
            return (), named
        named = dict(named)
        extra = named.pop(self.var_positional, ()) if self.var_positional is not None else ()
        positional: list[Any] = []
        for parameter in self._by_position:
            if parameter.kind is parameter.POSITIONAL_OR_KEYWORD and not extra:
                break
            if parameter.name not in named and not extra:
                break  # the rest have defaults, and nothing follows them
            positional.append(named.pop(parameter.name, parameter.default))
        return [*positional, *extra], named

    def _refuse(self, args: dict[str, JSON]) -> None:
        if sealed_with(args) is not None:
            Sealer().open(args)  # raises: whoever has the codec would have opened them
        missing = sorted(self.required - args.keys())
        problem = f"{missing[0]!r} is missing" if missing else f"{sorted(args.keys() - self.allowed)[0]!r} is unknown"
        raise InvalidArgument(
            f"the args of this job do not fit task {self.name!r}: {problem}",
            f"its signature is {self._python}; was the job enqueued by hand, or by another version of the code?",
        )


def check_names(function: Callable[..., Any], task: str, option: str, names: Sequence[str] | None) -> None:
    """Raises InvalidArgument when an option names what is no argument of the function. Looks at no annotation: they may
    name what is not defined yet.
    """
    if not names:
        return
    parameters = inspect.signature(function).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    unknown = [name for name in names if name not in parameters]
    if unknown:
        raise InvalidArgument(
            f"{option} of task {task!r} names {unknown[0]!r}, which is no argument of it",
            f"its arguments: {', '.join(parameters) or 'none'}",
        )


def _plain_names(parameters: list[inspect.Parameter]) -> tuple[str, ...] | None:
    if any(p.kind not in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD)


def _leading(parameters: list[inspect.Parameter]) -> tuple[inspect.Parameter, ...]:
    if not any(p.kind in (p.POSITIONAL_ONLY, p.VAR_POSITIONAL) for p in parameters):
        return ()
    return tuple(p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD))


def _hints(function: Callable[..., Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Resolved annotations, and the reason for each that could not be. Resolved one by one, so that one failure stays
    one.
    """
    target = inspect.unwrap(function)
    scope = getattr(target, "__globals__", {})
    hints: dict[str, Any] = {}
    unresolved: dict[str, str] = {}
    for name, annotation in getattr(target, "__annotations__", {}).items():
        holder = type("_", (), {"__annotations__": {name: annotation}})
        try:
            hints.update(typing.get_type_hints(holder, globalns=scope, localns=scope, include_extras=True))
        except Exception as error:
            unresolved[name] = str(error)
    return hints, unresolved


def _is_context(hint: Any, context_type: type) -> bool:
    return isinstance(hint, type) and issubclass(hint, context_type)


def _result_type(hint: Any) -> Any:
    """The return annotation without the outcome values, which are no results."""
    arguments = typing.get_args(hint)
    if not any(argument in _OUTCOMES for argument in arguments):
        return None if hint in _OUTCOMES else hint
    rest = tuple(argument for argument in arguments if argument not in _OUTCOMES)
    return typing.Union[rest] if rest else None  # noqa: UP007 - a tuple made at run time
