"""One generation of workers as processes: started, replaced when they crash or hang, drained.

Lives here: the processes and the supervisor's ends of their channels. Doesn't know: what is in a Setup,
and when a generation follows another.
"""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from uncork.edge.channel import Channel, SupervisorChannel
from uncork.edge.processes import Backoff, Say, child_environment, ending, kill
from uncork.edge.setup import CHANNEL_FD, SETUP_FD, Setup

# -P: the project's directory must not put its own modules in front of the standard library's.
WORKER_COMMAND = (sys.executable, "-P", "-m", "uncork.edge.worker")

# Seconds: a worker opens its store and is ready; it answers a question about its counters; it says that
# it accepts no more; it exits once the time to drain is over.
START_SECONDS = 30.0
SNAPSHOT_SECONDS = 2.0
DRAINING_SECONDS = 5.0
EXIT_SECONDS = 2.0

# A worker whose loop hasn't turned for so many seconds is killed: gunicorn's `timeout` is 30, of a worker
# that runs the site's own code.
HANG_SECONDS = 15


class WorkersFailed(Exception):
    """A generation didn't come up. The message is for people."""


class WorkerState(Enum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"
    RESTARTING = "restarting"
    ENDED = "ended"


class Worker:
    """The worker of one index in one generation: its process, and the process after that."""

    def __init__(
        self, make_setup: Callable[[], Setup], command: Sequence[str], say: Say, hang_seconds: int
    ) -> None:
        self._make_setup = make_setup
        self._command = command
        self._print = say
        self._hang_seconds = hang_seconds
        self._process: Process | None = None
        self._channel: SupervisorChannel | None = None
        self._listening: asyncio.Task[None] | None = None
        self._restarts = 0
        self._started = 0.0
        self._draining = False
        self.state = WorkerState.STARTING

    async def start(self) -> None:
        """Start the process and wait until it is ready. Raises WorkersFailed."""
        setup = self._make_setup()
        self._name = f"worker {setup.index}"
        self.state = WorkerState.STARTING
        self._process, self._channel = await self._spawn(setup)
        self._started = asyncio.get_running_loop().time()
        self._listening = asyncio.create_task(self._channel.run())
        if self._draining:
            self._channel.drain(0.0)
        exited = asyncio.create_task(self._process.wait())
        ready = asyncio.create_task(self._channel.ready.wait())
        try:
            await asyncio.wait([exited, ready], timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                how = ending(self._process) if exited.done() else f"wasn't ready after {START_SECONDS:g} s"
                raise WorkersFailed(f"{self._name} (process {self._process.pid}) {how}")
        finally:
            exited.cancel()
            ready.cancel()
        if not self._draining:
            self.state = WorkerState.READY

    async def keep(self) -> None:
        """Replace the process whenever it ends or hangs, until the worker is drained."""
        backoff = Backoff()
        while True:
            assert self._process is not None and self._channel is not None
            how = await self._end(self._process, self._channel)
            if self._draining:
                break
            pause = backoff.after(asyncio.get_running_loop().time() - self._started)
            self.state = WorkerState.RESTARTING
            self._restarts += 1
            when = f"in {pause:g} s" if pause else "now"
            self._print(f"{self._name} (process {self._process.pid}) {how}; replacing it {when}")
            await asyncio.sleep(pause)
            if self._draining:
                break
            try:
                await self.start()
            except WorkersFailed as failure:
                self._print(str(failure))
                self.kill()
        await self.ended()

    async def _end(self, process: Process, channel: SupervisorChannel) -> str:
        """Wait for the end of the process, and bring it about when its loop turns no more; how it ended.

        Its silence is counted in turns of our own loop. So time that passed while we didn't turn either (the
        machine was suspended, we were stopped) is a second at most, and it can speak before the next.
        """
        ended = asyncio.create_task(process.wait())
        silent = 0
        while not (await asyncio.wait([ended], timeout=1.0))[0]:
            silent = 0 if channel.turned.is_set() else silent + 1
            channel.turned.clear()
            if silent >= self._hang_seconds:
                kill(process)
                await ended
                how = f"hung for {silent} s and was killed"
                if self._draining:
                    self._print(f"{self._name} (process {process.pid}) {how}")
                return how
        return ending(process)

    async def ended(self) -> None:
        """Wait until nothing of it is left."""
        if self._process is not None:
            await self._process.wait()
        if self._listening is not None:
            await self._listening
        self.state = WorkerState.ENDED

    def drain(self, seconds: float) -> None:
        """Ask it to finish within that time."""
        self._draining = True
        if self.state is not WorkerState.ENDED:
            self.state = WorkerState.DRAINING
        if self._channel is not None:
            self._channel.drain(seconds)

    async def draining(self) -> None:
        """Wait until it accepts no more."""
        if self._channel is not None:
            await self._channel.draining.wait()

    def kill(self) -> None:
        if self._process is not None:
            kill(self._process)

    def reopen_logs(self) -> None:
        if self._channel is not None:
            self._channel.reopen_logs()

    async def snapshot(self) -> dict[str, Any]:
        counters = None
        if self._channel is not None and self.state in (WorkerState.READY, WorkerState.DRAINING):
            counters = await self._channel.snapshot(SNAPSHOT_SECONDS)
        process = self._process
        running = process is not None and process.returncode is None
        return {
            "state": self.state.value,
            "pid": process.pid if running and process is not None else None,
            "restarts": self._restarts,
            "uptime_seconds": round(asyncio.get_running_loop().time() - self._started, 3) if running else 0.0,
            "snapshot": counters,
        }

    async def marks(self, keys: list[str]) -> dict[str, Any]:
        """What its marks say of these keys."""
        if self._channel is None or self.state is not WorkerState.READY:
            return {}
        return await self._channel.marks(keys, SNAPSHOT_SECONDS) or {}

    async def _spawn(self, setup: Setup) -> tuple[Process, SupervisorChannel]:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        setup_fd = setup.to_descriptor()
        fds = [listener.fd for listener in setup.listeners]
        if setup.internal_fd is not None:
            fds.append(setup.internal_fd)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                env=child_environment(**{SETUP_FD: str(setup_fd), CHANNEL_FD: str(theirs.fileno())}),
                pass_fds=[*fds, setup_fd, theirs.fileno()],
                stdin=DEVNULL,
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor; workers are drained
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            os.close(setup_fd)
        return process, SupervisorChannel(await Channel.over(ours), self._log)

    def _log(self, text: str) -> None:
        self._print(text, self._name)


class Workers:
    """A generation: as many workers as were planned, of one configuration.

    One whose loop hasn't turned for `hang_seconds` is killed.
    """

    def __init__(
        self,
        generation: int,
        setups: Sequence[Callable[[], Setup]],
        command: Sequence[str],
        say: Say,
        hang_seconds: int = HANG_SECONDS,
    ) -> None:
        self.generation = generation
        self._workers = [Worker(make_setup, command, say, hang_seconds) for make_setup in setups]
        self._keepers: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Start them all and wait until all are ready. Raises WorkersFailed, with none left running."""
        starting = [asyncio.create_task(worker.start()) for worker in self._workers]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.wait(starting)
            self.kill()
            await asyncio.gather(*(worker.ended() for worker in self._workers))
            raise
        self._keepers = [asyncio.create_task(worker.keep()) for worker in self._workers]

    def any_serves(self) -> bool:
        return any(worker.state in (WorkerState.READY, WorkerState.DRAINING) for worker in self._workers)

    async def stop_accepting(self, seconds: float) -> None:
        """Have them finish within that time, and wait until none accepts another connection."""
        for worker in self._workers:
            worker.drain(seconds)
        waiting = [asyncio.create_task(worker.draining()) for worker in self._workers]
        for late in (await asyncio.wait(waiting, timeout=DRAINING_SECONDS))[1]:
            late.cancel()

    async def finish(self, seconds: float) -> None:
        """Wait until they have exited; those that haven't after that time are killed."""
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=seconds + EXIT_SECONDS)
            self.kill()
            await asyncio.wait(self._keepers)

    def kill(self) -> None:
        for worker in self._workers:
            worker.drain(0.0)
            worker.kill()

    def reopen_logs(self) -> None:
        for worker in self._workers:
            worker.reopen_logs()

    async def marks(self, keys: list[str]) -> list[dict[str, Any]]:
        """What the marks of each worker say of these keys, in hexadecimal."""
        return await asyncio.gather(*(worker.marks(keys) for worker in self._workers))

    async def snapshots(self) -> list[dict[str, Any]]:
        found = await asyncio.gather(*(worker.snapshot() for worker in self._workers))
        return [
            {"index": index, "generation": self.generation, **snapshot}
            for index, snapshot in enumerate(found)
        ]
