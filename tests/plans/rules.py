"""Which ways to its rows each table allows, and how much a scan may walk for what was asked of the call."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.plans.explained import Node, Session, Statement

# A node may see so many rows for each thing the call asked for, and a scan so many blocks (an index descent is four);
# and some more, since to walk a thousand rows once is nothing.
ROWS, SOME_ROWS = 4, 2000
BLOCKS, SOME_BLOCKS = 12, 64

_BY_ADDRESS = ("Tid Scan",)
_BY_INDEX = ("Index Scan", "Index Only Scan", "Bitmap Index Scan")

# A table or partition of so few blocks may be read in any way: the planner is right to.
SMALL = 32

# For every table that grows with jobs: the indexes that may be used, and the columns that must be in the condition with
# each. Row addresses, which an index gave before, are always allowed. Tables not named here hold settings, or
# workers: few rows, which only what a scan may visit bounds.
PATHS: dict[str, dict[str, tuple[str, ...]]] = {
    "job": {"job_pkey": ("id",)},
    "outcome": {"outcome_pkey": ("job_id",), "outcome_unsuccessful": ("job_id",), "outcome_finished": ("finished_at",)},
    "attempt_error": {"attempt_error_job_id_idx": ("job_id",)},
    "job_log": {"job_log_pkey": ("job_id",)},
    "job_event": {"job_event_job_id_idx": ("job_id",)},
    "metric": {"metric_pkey": ("minute",)},
    "ready": {"ready_turn": ("queue", "priority"), "ready_job": ("job_id",)},
    "lease": {"lease_pkey": ("id",), "lease_worker": ("worker_id",)},
    "scheduled": {"scheduled_pkey": ("job_id",), "scheduled_due": ("run_at",)},
    "arrival": {
        "arrival_job_id_key": ("job_id",),
        "arrival_turn": ("queue", "seq"),
        "arrival_group": ("queue", "group_key"),
    },
    "blocked": {"blocked_pkey": ("job_id",), "blocked_turn": ("queue", "group_key")},
    "slot": {
        "slot_pkey": ("job_id",),
        "slot_group": ("queue", "group_key"),
        "slot_returns": (),
        "slot_blocking": (),
    },
    "suspect": {"suspect_pkey": ("job_id",), "suspect_turn": ("queue",)},
    "crash": {"crash_pkey": ("job_id",)},
    "changed_priority": {"changed_priority_pkey": ("job_id",)},
    "job_key": {
        "job_key_pkey": ("queue", "unique_key"),
        "job_key_job_id_key": ("job_id",),
        "job_key_until": ("until",),
    },
    "deadline": {"deadline_expires_at_idx": ("expires_at",)},
    "cancel_request": {"cancel_request_pkey": ("job_id",)},
    "progress": {"progress_pkey": ("job_id",)},
    "waiter": {"waiter_job_id_idx": ("job_id",), "waiter_expires_at_idx": ("expires_at",)},
    "lane": {"lane_queue_priority_idx": ("queue",)},
    "line": {"line_pkey": ("job_id",), "line_turn": ("queue",)},
    "turn": {"turn_pkey": ("job_id",), "turn_owner": ("queue", "owner")},
    "owner_turns": {"owner_turns_pkey": ("queue", "owner"), "owner_turns_next": ("queue",)},
    "backend": {"backend_pkey": ("job_id",)},
    "script": {"script_pkey": ("job_id",), "script_owner": ("owner",), "script_expires": ("expires_at",)},
    "script_query": {"script_query_pkey": ("job_id",)},
    "query": {"query_pkey": ("job_id",), "query_identity": ("identity",)},
    "query_run": {
        "query_run_pkey": ("job_id",),
        "query_run_expires": ("expires_at",),
        "query_run_forget": ("forget_at",),
    },
    "batch": {"batch_pkey": ("id",), "batch_app": ("app", "op"), "batch_expires": ("expires_at",)},
    "batch_count": {"batch_count_pkey": ("batch_id",)},
    "batch_slice": {"batch_slice_pkey": ("job_id",), "batch_slice_batch": ("batch_id",)},
    "batch_file": {"batch_file_pkey": ("batch_id",)},
    "dependent": {"dependent_pkey": ("job_id",)},
    "dependency": {"dependency_pkey": ("parent_id",)},
    "parent_look": {"parent_look_turn": ("seq",), "parent_look_hurry": ("seq",)},
    "follow_up": {"follow_up_pkey": ("job_id",)},
    "late_follow_up": {"late_follow_up_pkey": ("seq",)},
    "held": {"held_pkey": ("job_id",), "held_batch": ("batch_id",)},
    "row_outcome": {"row_outcome_pkey": ("batch_id",)},
    "query_chunk": {"query_chunk_pkey": ("job_id",)},
    "keyed_item": {
        "keyed_item_pkey": ("job_id",),
        "keyed_item_pending": ("queue",),
        "keyed_item_active": ("queue",),
    },
    "keyed_payload": {"keyed_payload_pkey": ("job_id",)},
    "keyed_request": {"keyed_request_job_id_idx": ("job_id",)},
    "keyed_result": {
        "keyed_result_pkey": ("job_id",),
        "keyed_result_key": ("queue",),
        "keyed_result_expires_at_idx": ("expires_at",),
    },
    "number": {"number_pkey": ("name",)},
    "query_caller": {"query_caller_job_id_owner_idx": ("job_id",)},
}


PARTITIONED = ("job", "outcome", "attempt_error", "job_log", "job_event")

# Tables that some function reads whole, and how many things are in them.
COUNTED = {
    "outcome": "count(*)",
    "lease": "coalesce(sum(cardinality(job_ids)), 0)::bigint",
    "lane": "count(*)",
    "blocked": "count(*)",
    "waiter": "count(*)",
    "progress": "count(*)",
    "cancel_request": "count(*)",
}


@dataclass(frozen=True)
class Catalogue:
    """What the names in a plan stand for, partitions and their indexes by those of the parent, and how large it is."""

    tables: dict[str, str]
    indexes: dict[str, str]
    blocks: dict[str, int]
    rows: dict[str, int]

    @classmethod
    def read(cls, session: Session) -> Catalogue:
        execute = session.connection.execute
        rows = execute(
            """select c.relname, coalesce(p.relname, c.relname), c.relkind in ('r', 'p'), pg_relation_size(c.oid) / 8192
               from pg_class c left join pg_inherits i on i.inhrelid = c.oid left join pg_class p on p.oid = i.inhparent
               where c.relnamespace = 'pgqueue'::regnamespace"""
        ).fetchall()
        return cls(
            tables={name: parent for name, parent, table, _ in rows if table},
            indexes={name: parent for name, parent, table, _ in rows if not table},
            blocks={name: blocks for name, _, _, blocks in rows},
            rows={
                table: execute(f"select {count} from pgqueue.{table}".encode()).fetchall()[0][0]
                for table, count in COUNTED.items()
            },
        )


@dataclass(frozen=True)
class Demand:
    """What a call was asked for, and so may cost. `asked`: jobs, or rows of the answer. `partitions`: those of the jobs
    concerned, when known; no others may be looked into. `seq`: ready is read from the cursor on, never from the start.
    `whole`: tables that a function may read whole, by design: {function: (tables, …)}; "*" stands for any.
    """

    asked: int
    partitions: frozenset[str] | None = None
    seq: bool = False
    whole: dict[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Breach:
    """`node` is None of a statement that was given up."""

    function: str
    text: str
    node: Node | None
    rule: str

    def __str__(self) -> str:
        text = " ".join(self.text.split())
        node = f"\n    {self.node}" if self.node else ""
        return f"{self.rule}\n  in {self.function or 'the call itself'}: {text[:400]}{node}"


def breaches(statements: Iterable[Statement], demand: Demand, catalogue: Catalogue) -> list[Breach]:
    """Every node that goes another way than its table allows, or walks too far."""
    found = []
    for statement in statements:
        for node in statement.nodes():
            for rule in _broken(statement, node, demand, catalogue):
                found.append(Breach(statement.function, statement.text, node, rule))
    return found


def report(found: list[Breach]) -> str:
    """One paragraph for each different breach."""
    return "\n".join(dict.fromkeys(map(str, found)))


def _broken(statement: Statement, node: Node, demand: Demand, catalogue: Catalogue) -> list[str]:
    whole = demand.whole.get(statement.function, ())
    if "*" in whole:
        return []
    table = catalogue.tables.get(node.relation or "") or _table_of_index(node, catalogue)
    asked = demand.asked + sum(catalogue.rows[name] for name in whole)
    rules = []
    if node.visited > ROWS * asked + SOME_ROWS:
        rules.append(f"visits {node.visited} rows for {demand.asked} asked")
    if not node.is_scan or not table:
        return rules
    if node.blocks > BLOCKS * asked + SOME_BLOCKS:
        rules.append(f"reads {node.blocks} blocks for {demand.asked} asked")
    if table in whole or catalogue.blocks[node.relation or table] < SMALL:
        return rules
    if table in PATHS:
        rules += _wrong_path(node, table, catalogue)
    if demand.seq and node.index == "ready_turn" and not _names(node.condition, "seq"):
        rules.append("walks ready_turn from its start, not from the cursor")
    if demand.partitions and table in PARTITIONED and node.relation and node.relation not in demand.partitions:
        rules.append(f"looks into {node.relation}, and the jobs are in {', '.join(sorted(demand.partitions))}")
    return rules


def _wrong_path(node: Node, table: str, catalogue: Catalogue) -> list[str]:
    if node.kind in _BY_ADDRESS or node.kind == "Bitmap Heap Scan":
        return []  # the index scan below a bitmap is judged by itself
    paths = "; ".join(f"{index} by {', '.join(columns)}" for index, columns in PATHS[table].items())
    if node.kind not in _BY_INDEX:
        return [f"{node.kind} of {table}; allowed: {paths}"]
    index = catalogue.indexes[node.index or ""]
    wanted = PATHS[table].get(index)
    if wanted is None:
        return [f"{table} is read through {index}; allowed: {paths}"]
    if not node.condition and not node.filter and node.visited <= node.loops:
        return []  # it asks whether there is any row at all, and the first one answers
    missing = [column for column in wanted if not _names(node.condition, column)]
    return [f"{index} is walked without {', '.join(missing)} in the condition"] if missing else []


def _names(condition: str, column: str) -> bool:
    return re.search(rf"\b{column}\b", condition) is not None


def _table_of_index(node: Node, catalogue: Catalogue) -> str | None:
    """A bitmap's index scan names no table."""
    index = catalogue.indexes.get(node.index or "")
    return next((table for table, paths in PATHS.items() if index in paths), None)
