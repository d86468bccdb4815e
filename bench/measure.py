"""What a server's processes cost, read from /proc: CPU time and memory of a whole process tree.

Lives here: reading and adding up. Doesn't know: what the processes are, or what load they are under.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
"""Clock ticks per second in which /proc/PID/stat counts: the resolution of a reading is one of them."""


@dataclass(frozen=True, slots=True)
class CpuTime:
    """CPU seconds since the processes began, in user mode and in the kernel."""

    user: float
    system: float

    @property
    def total(self) -> float:
        return self.user + self.system

    def __sub__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.user - other.user, self.system - other.system)

    def __add__(self, other: "CpuTime") -> "CpuTime":
        return CpuTime(self.user + other.user, self.system + other.system)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes of user memory: `pss` counts what n processes share as 1/n, `private` only own dirty pages."""

    pss: int
    private: int


def _stat(pid: int) -> list[bytes] | None:
    """The fields of /proc/PID/stat from the third (state) on; None for a process that is gone."""
    try:
        line = (PROC / str(pid) / "stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is the program's name in brackets, which may hold spaces and brackets itself.
    return line[line.rindex(b")") + 2 :].split()


def tree(roots: Iterable[int]) -> list[int]:
    """The live processes among `roots` and all that descend from them."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir(PROC):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None:
            children.setdefault(int(stat[1]), []).append(int(entry))
    found: list[int] = []
    waiting = list(roots)
    while waiting:
        pid = waiting.pop()
        if _stat(pid) is not None:
            found.append(pid)
            waiting.extend(children.get(pid, ()))
    return found


def session(leader: int) -> list[int]:
    """The live processes of the session that `leader` opened, whoever their parent is by now."""
    found = []
    for entry in os.listdir(PROC):
        if entry.isdigit() and (stat := _stat(int(entry))) is not None and int(stat[3]) == leader:
            found.append(int(entry))
    return found


def cpu_time(roots: Iterable[int]) -> CpuTime:
    """CPU time of the trees under `roots`, with that of the children they have waited for.

    A child that ended moves from its own line to its parent's `cutime`, so the sum never falls. Not
    counted: a process that left the tree, as a daemon does (so every server runs in the foreground).
    Source: proc_pid_stat(5), fields 14 to 17.
    """
    user = system = 0
    for pid in tree(roots):
        if (stat := _stat(pid)) is not None:
            user += int(stat[11]) + int(stat[13])
            system += int(stat[12]) + int(stat[14])
    return CpuTime(user / TICKS, system / TICKS)


def memory(roots: Iterable[int]) -> Memory:
    """Proportional set size and private dirty memory of the trees. Source: proc_pid_smaps(5)."""
    pss = private = 0
    for pid in tree(roots):
        try:
            lines = (PROC / str(pid) / "smaps_rollup").read_bytes().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in lines:
            if line.startswith(b"Pss:"):
                pss += int(line.split()[1])
            elif line.startswith(b"Private_Dirty:"):
                private += int(line.split()[1])
    return Memory(pss * 1024, private * 1024)
