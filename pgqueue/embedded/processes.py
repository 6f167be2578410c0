"""What the operating system knows about a server's processes and ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import IO, Literal

# Children started here, by pid, until they are reaped: to Python a Popen that is forgotten while its process lives is a
# leak.
_children: dict[int, subprocess.Popen[bytes]] = {}

_LINUX = sys.platform.startswith("linux")
_SIGNALS = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}


def start(command: list[str], output: IO[bytes], environment: dict[str, str]) -> int:
    """Starts a process of a session of its own, which a Ctrl-C in this terminal does not reach; returns its pid."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd="/",
        env=environment,
        start_new_session=True,
    )
    _children[child.pid] = child
    return child.pid


def alive(pid: int) -> bool:
    """Whether a process exists and is more than a zombie. One that was started here is reaped on the way."""
    child = _children.get(pid)
    if child is not None and child.poll() is not None:
        del _children[pid]
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not (_LINUX and _state(pid) in ("Z", "X", None))


def works_in(pid: int, folder: Path) -> bool:
    """Whether the process is a server at home in the data folder `folder`. What cannot be seen is believed."""
    if not _LINUX:
        told = subprocess.run(["ps", "-p", str(pid), "-o", "comm="], capture_output=True, text=True, check=False).stdout
        return "postgres" in told
    try:
        return os.path.samefile(f"/proc/{pid}/cwd", folder)
    except PermissionError:
        return True
    except OSError:
        return False


def working_in(folder: Path) -> list[int]:
    """The living processes whose working folder is `folder`; on systems without /proc always none."""
    if not _LINUX or not folder.exists():
        return []

    def inside(pid: str) -> bool:
        try:
            return os.path.samefile(f"/proc/{pid}/cwd", folder)
        except OSError:
            return False  # gone meanwhile, a zombie, or somebody else's

    return [int(name) for name in os.listdir("/proc") if name.isdigit() and inside(name)]


def end(pid: int, mode: Literal["fast", "immediate"]) -> None:
    """Asks a server to shut down. Raises PermissionError when it is somebody else's; one that is gone is no error."""
    try:
        os.kill(pid, _SIGNALS[mode])
    except ProcessLookupError:
        return


def port_is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket() as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # what the server does too: closed connections linger
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def tied(command: list[str], program: str) -> list[str]:
    """The command with its program tied to the life of the calling thread, where the system can do that.

    The tie goes right before the program: changing identity would cut it.
    """
    setpriv = shutil.which("setpriv") if _LINUX else None
    if setpriv is None:
        return command
    at = command.index(program)
    return [*command[:at], setpriv, "--pdeathsig", "INT", *command[at:]]


def _state(pid: int) -> str | None:
    """The letter of the process state; None when the process is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return stat.rpartition(")")[2].split()[0]  # the name before it may hold anything, brackets too
