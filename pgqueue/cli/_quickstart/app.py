"""What the workers of the quickstart run: index one Python source file, a job each. An ordinary pgqueue app; read it as
an example.

The ledger is the quickstart's own witness: every start and every end of a job, written outside of the queue. What the
queue says it did is later held against it.
"""

from __future__ import annotations

import ast
import itertools
import os
import signal
import threading
import time
from pathlib import Path, PurePosixPath
from typing import Any

from pgqueue import App, Context

LEDGER = "PGQUEUE_QUICKSTART_LEDGER"
STALL = "PGQUEUE_QUICKSTART_STALL"
KIND = "index_file"
PICKUP = "pickup"
STALL_SECONDS = 120.0

app = App()


class Ledger:
    """Appends `<job id> <event>` lines to a file. One write each, so that a SIGKILL cuts between lines, never inside
    one.
    """

    def __init__(self, path: str | None) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600) if path else None

    def write(self, job_id: int, event: str) -> None:
        """Record that something happened to a job in this process."""
        if self._file is not None:
            os.write(self._file, f"{job_id} {event}\n".encode())


_ledger = Ledger(os.environ.get(LEDGER))
_turn = itertools.count()
_stall_at = int(os.environ.get(STALL, "-1"))


@app.task(KIND, max_attempts=1)
def index_file(context: Context, root: str, file: str) -> dict[str, Any]:
    """Parse one file; a file that cannot be parsed raises, and the job fails with that error."""
    _ledger.write(context.job_id, "start")
    if next(_turn) == _stall_at:
        # The accident needs a job that is certainly under way: this one lies down and waits for the SIGKILL.
        _ledger.write(context.job_id, "stall")
        threading.Event().wait(STALL_SECONDS)
    found = describe((Path(root) / file).read_bytes(), file)
    _ledger.write(context.job_id, "end")
    return found


@app.task(PICKUP, max_attempts=1)
async def pickup() -> float:
    """When this line ran, on the clock that all processes of a machine share."""
    return time.monotonic()


def describe(source: bytes, file: str) -> dict[str, Any]:
    """Counts of one module: lines, functions (methods and nested ones too), classes, imports, and the names of the
    modules imported.

    Raises what `ast.parse` raises: SyntaxError, ValueError, RecursionError.
    """
    functions = classes = imports = 0
    imported: set[str] = set()
    package = PurePosixPath(file).parent.parts
    waiting: list[ast.AST] = [ast.parse(source, filename=file)]
    while waiting:
        node = waiting.pop()
        kind = type(node)
        if kind is ast.FunctionDef or kind is ast.AsyncFunctionDef:
            functions += 1
        elif kind is ast.ClassDef:
            classes += 1
        elif isinstance(node, ast.Import):
            imports += len(node.names)
            imported.update(alias.name for alias in node.names)
            continue
        elif isinstance(node, ast.ImportFrom):
            imports += len(node.names)
            above = package[: len(package) - node.level + 1] if node.level else ()
            imported.add(".".join((*above, *([node.module] if node.module else []))))
            continue
        # Definitions and imports are statements, and statements stand only in these fields: expressions need not be
        # walked.
        for field in ("body", "orelse", "finalbody", "handlers", "cases"):
            below = getattr(node, field, None)
            if isinstance(below, list):
                waiting.extend(below)
    return {
        "file": file,
        "module": module_name(file),
        "lines": source.count(b"\n") + (not source.endswith(b"\n") and source != b""),
        "functions": functions,
        "classes": classes,
        "imports": imports,
        "imported": sorted(imported - {""}),
    }


def module_name(file: str) -> str:
    """`json/__init__.py` → `json`, `json/decoder.py` → `json.decoder`."""
    parts = list(PurePosixPath(file).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _end_with_parent() -> None:
    """The quickstart holds the other end of stdin: when it dies, however it dies, its workers stop too.

    Not through sys.stdin: its lock, held by a thread that waits for ever, would abort the interpreter's own end.
    """
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if LEDGER in os.environ:
    threading.Thread(target=_end_with_parent, name="quickstart-parent", daemon=True).start()
