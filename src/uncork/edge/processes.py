"""Child processes of the supervisor: starting, stopping, and how long to wait before another try.

Lives here: what workers and origin have in common. Doesn't know: what they do.
"""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from typing import Protocol

from uncork.edge import systemd


class Say(Protocol):
    def __call__(self, text: str, source: str = "uncork") -> None:
        """Print a line for people, after the name of who says it."""


class Backoff:
    """How many seconds to wait before a process that ended is started again.

    The first time at once; then `first`, doubled each time up to `most`. One that lived for `steady`
    seconds is forgiven.
    """

    def __init__(self, first: float = 0.5, most: float = 8.0, steady: float = 10.0) -> None:
        self._first = first
        self._most = most
        self._steady = steady
        self._next = 0.0

    def after(self, lived: float) -> float:
        """The pause after a life of that many seconds."""
        if lived >= self._steady:
            self._next = 0.0
        pause = self._next
        self._next = min(self._most, pause * 2 or self._first)
        return pause


# SIGTERM goes to the child when the supervisor dies, however it dies: PR_SET_PDEATHSIG, see prctl(2). It
# is set by a process that then becomes the child, not by preexec_fn, which forks under Python's threads.
_TETHER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15)
if os.getppid() != int(sys.argv[1]):
    sys.exit(0)
try:
    os.execvp(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


def tethered(command: Sequence[str]) -> list[str]:
    """The command, made to be ended by SIGTERM should this process die."""
    return [sys.executable, "-I", "-S", "-c", _TETHER, str(os.getpid()), *command]


def child_environment(**more: str) -> dict[str, str]:
    """Our environment without what was meant for the supervisor alone."""
    kept = {name: value for name, value in os.environ.items() if name not in systemd.VARIABLES}
    return {**kept, **more}


def ending(process: Process) -> str:
    """How it ended, in words."""
    code = process.returncode
    if code is None:
        return "is running"
    if code < 0:
        try:
            return f"was killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"was killed by signal {-code}"
    return f"exited with status {code}"


async def stop(process: Process, seconds: float) -> bool:
    """SIGTERM, and SIGKILL to its whole session when it hasn't ended in time. Whether it ended by itself.

    Nothing is left of its session afterwards, which must be its own.
    """
    in_time = True
    if process.returncode is None:
        process.terminate()
        try:
            await asyncio.wait_for(process.wait(), seconds)
        except TimeoutError:
            in_time = False
            kill(process)
            await process.wait()
    kill_session(process)
    return in_time


def kill(process: Process) -> None:
    """SIGKILL to its whole session, without waiting."""
    if process.returncode is None:
        kill_session(process)


def kill_session(process: Process) -> None:
    """SIGKILL to what is left of its session, be the process itself there or not."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
