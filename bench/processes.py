"""Starting and stopping: child processes on a given core, and free ports of the loopback interface.

Lives here: the life of a group of processes. Doesn't know: what they serve.
"""

import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench import measure

# A server that has not opened its port by then is broken: the slowest here compiles its configuration.
START_SECONDS = 30.0
STOP_SECONDS = 10.0


class DidNotStart(Exception):
    """A server ended or never listened; the message holds the end of its output."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program to start. `output` takes its standard output, which otherwise joins its standard error."""

    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    output: Path | None = None


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, below those the kernel hands out to clients."""
    lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    # From a random place on, so that two runs at once don't try the same.
    first = random.randrange(10_000, lowest)
    port: int
    for port in [*range(first, lowest), *range(10_000, first)]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port on 127.0.0.1")


class Group:
    """Processes that serve together. The first listens on `port`; the others start when it does."""

    def __init__(self, commands: Sequence[Command], port: int, core: int, directory: Path) -> None:
        self.port = port
        self._core = core
        self._messages = directory / "messages.txt"
        self._children: list[subprocess.Popen[bytes]] = []
        self._names: list[str] = []
        try:
            for command in commands:
                self._start(command)
                self._wait_for_port()
        except BaseException:
            self.stop()
            raise

    def _start(self, command: Command) -> None:
        with self._messages.open("ab") as messages:
            self._names.append(os.path.basename(command.argv[0]))
            output = messages if command.output is None else command.output.open("ab")
            try:
                self._children.append(
                    subprocess.Popen(
                        # taskset replaces itself by the program, so the child's number is the program's.
                        ["taskset", "-c", str(self._core), *command.argv],
                        env={**os.environ, **command.environment},
                        stdin=subprocess.DEVNULL,
                        stdout=output,
                        stderr=messages,
                        start_new_session=True,
                    )
                )
            finally:
                if output is not messages:
                    output.close()

    def _wait_for_port(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            self.check()
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise DidNotStart(
                        f"nobody listens after {START_SECONDS:.0f} s\n{self.messages()}"
                    ) from None
                time.sleep(0.02)

    def check(self) -> None:
        """Raise `DidNotStart` if a process has ended."""
        for child, name in zip(self._children, self._names, strict=True):
            if child.poll() is not None:
                raise DidNotStart(f"{name} ended with status {child.returncode}\n{self.messages()}")

    def messages(self) -> str:
        return self._messages.read_text(errors="replace")[-2000:] if self._messages.exists() else ""

    @property
    def roots(self) -> list[int]:
        return [child.pid for child in self._children]

    def cpu_time(self) -> measure.CpuTime:
        return measure.cpu_time(self.roots)

    def memory(self) -> measure.Memory:
        return measure.memory(self.roots)

    def settle(self, most: float = 10.0) -> None:
        """Wait until the processes have nothing left to do of themselves, at most so many seconds.

        What a server does after an answer (compressing what it stored, say) belongs to no later request.
        """
        deadline = time.monotonic() + most
        before = self.cpu_time().total
        while time.monotonic() < deadline:
            time.sleep(0.3)
            now = self.cpu_time().total
            if now - before <= 1 / measure.TICKS:
                return
            before = now

    def stop(self) -> None:
        """End every process of the group, by its number, and wait for it."""
        for child in reversed(self._children):
            if child.poll() is None:
                child.terminate()
                try:
                    child.wait(STOP_SECONDS)
                except subprocess.TimeoutExpired:
                    pass
            # Whatever a parent left behind is still in the session that it was started in.
            for pid in measure.session(child.pid):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            child.wait()
        self._children.clear()
