"""What the drivers run against pgqueue itself: public functions, called as any language would call them."""

from __future__ import annotations

from collections.abc import Sequence

from pgqueue.bench._limit import ARGS
from pgqueue.bench._load import Script


def text_literal(value: str) -> str:
    """A text as it stands in a statement."""
    return "'" + value.replace("'", "''") + "'"


def array_literal(values: Sequence[str]) -> str:
    """An array of texts as it stands in a statement."""
    return "array[" + ", ".join(text_literal(value) for value in values) + "]::text[]"


def enqueue(
    schema: str, batch: int, *, queue: str, priority: int = 0, kind: str = "noop", group_keys: bool = False
) -> Script:
    """One call, one batch; with `group_keys` the jobs of a batch belong to as many groups."""
    groups = ""
    if group_keys:
        groups = f", group_keys => array(select 'group ' || i from generate_series(1, {batch}) i)"
    return Script(
        (
            f"select count(*), count(*) from {schema}.enqueue_each(kind => {text_literal(kind)},"
            f" args => array_fill('{ARGS}'::jsonb, array[{batch}]), queue => {text_literal(queue)},"
            f" priority => {priority}{groups})",
        )
    )


def enqueue_single(schema: str, queue: str) -> Script:
    """One job, one transaction."""
    return Script(
        (f"select 1, 1 from {schema}.enqueue(kind => 'noop', args => '{ARGS}', queue => {text_literal(queue)})",)
    )


def drain(schema: str, batch: int, *, queues: Sequence[str], urgent: bool = False, retry_every: int = 0) -> Script:
    """Two calls: claim, then settle. The parameter of the first is the worker."""
    claimed = _claimed(retry_every)
    claim = (
        f"claim(worker => $1::bigint, queues => {array_literal(queues)}, n => {batch}, urgent => {str(urgent).lower()})"
    )
    return Script(
        (
            f"select {claimed}, {_hands(retry_every)} from {schema}.{claim} c",
            f"select 0, -count(*) from {schema}.{_settle(1)}",
        )
    )


def drain_chained(
    schema: str, batch: int, *, queues: Sequence[str], urgent: bool = False, retry_every: int = 0
) -> Script:
    """One call: settle what the last one gave, and claim. The first parameter is the worker throughout."""
    held = "c.problem is null"
    call = (
        f"settle_and_claim(worker => $1::bigint, {_settled(2)}, delays => {_delays(2)},"
        f" queues => {array_literal(queues)}, n => {batch}, urgent => {str(urgent).lower()})"
    )
    return Script(
        (
            f"select count(*) filter (where {held}), {_final(retry_every, held)} - count(c.problem), $1::text,"
            f" {_hands(retry_every, held)} from {schema}.{call} c",
        ),
        chained=True,
        last=f"select 0, -count(*) from {schema}.{_settle(2)} where $1::bigint is not null",
    )


NOTHING_IN_HAND = ("{}", "{}", "{}")
"""What follows the worker in the first parameters of `drain_chained`."""


def _claimed(retry_every: int) -> str:
    return f"count(*), {_final(retry_every, 'true')}"


def _again(retry_every: int) -> str:
    """Which jobs are sent round once more: as good as any handler's own `Retry`."""
    return f"c.attempt = 1 and c.id % {retry_every} = 0"


def _final(retry_every: int, held: str) -> str:
    also = f" and not ({_again(retry_every)})" if retry_every else ""
    return f"count(*) filter (where {held}{also})"


def _hands(retry_every: int, held: str = "true") -> str:
    """Leases, jobs and outcomes of a claim as text: the parameters of the settle."""
    outcome = (
        f"case when {_again(retry_every)} then 'retry' else 'succeeded' end" if retry_every else "'succeeded'::text"
    )
    return ", ".join(
        f"coalesce(array_agg({value}) filter (where {held}), '{{}}')::text" for value in ("c.lease", "c.id", outcome)
    )


def _settle(first: int) -> str:
    return f"settle({_settled(first)}, delays => {_delays(first)})"


def _settled(first: int) -> str:
    leases, jobs, outcomes = (f"${first + i}" for i in range(3))
    results = f"array_fill('1'::jsonb, array[cardinality({jobs}::bigint[])])"
    return (
        f"leases => {leases}::bigint[], jobs => {jobs}::bigint[], outcomes => {outcomes}::text[],"
        f" results => {results}, errors => null::jsonb[]"
    )


def _delays(first: int) -> str:
    return f"array_fill(interval '0', array[cardinality(${first + 2}::text[])])"
