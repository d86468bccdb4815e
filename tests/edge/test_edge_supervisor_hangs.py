"""A worker that doesn't die and doesn't turn either is killed and replaced, and no other is.

The workers are processes of their own; the supervisor's side runs here, so that it can stand still too.
"""

import asyncio
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from support.loops import on_loop
from uncork.edge.setup import Kind, Listener, Setup
from uncork.edge.worker_processes import WORKER_COMMAND, Workers

TINY_WORKER = (sys.executable, str(Path(__file__).parents[1] / "support" / "tiny_worker.py"))

HANG_SECONDS = 2


class Watched:
    """One worker, and what is said of it."""

    def __init__(
        self, state_dir: Path, command: Sequence[str], listening: socket.socket, hang_seconds: int
    ) -> None:
        self.lines: list[str] = []
        self._said: asyncio.Queue[str] = asyncio.Queue()
        self._listening = listening
        listener = Listener(listening.fileno(), Kind.TCP, "test")
        setup = Setup(0, 1, 1, str(state_dir), listeners=(listener,), static_only=True)
        self.workers = Workers(1, [lambda: setup], command, self.say, hang_seconds)

    def say(self, text: str, source: str = "uncork") -> None:
        self.lines.append(text)
        self._said.put_nowait(text)

    async def wait_for(self, pattern: str) -> None:
        while re.search(pattern, await self._said.get()) is None:
            pass

    async def pid(self) -> int:
        (worker,) = await self.workers.snapshots()
        assert isinstance(worker["pid"], int)
        return worker["pid"]

    async def get(self, path: str) -> bytes:
        """What the worker answers, b"" when it closes without a word."""
        reader, writer = await asyncio.open_connection(*self._listening.getsockname())
        try:
            writer.write(b"GET %b HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % path.encode())
            return await reader.read()
        except ConnectionError:
            return b""
        finally:
            writer.close()


@asynccontextmanager
async def watched(
    state_dir: Path, command: Sequence[str], hang_seconds: int = HANG_SECONDS
) -> AsyncIterator[Watched]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        found = Watched(state_dir, command, listening, hang_seconds)
        await found.workers.start()
        try:
            yield found
        finally:
            found.workers.kill()
            await found.workers.finish(0)


@on_loop
async def test_an_endless_loop(tmp_path: Path) -> None:
    async with watched(tmp_path, TINY_WORKER) as found:
        before = await found.pid()
        assert await found.get("/hang") == b""
        await found.wait_for(
            rf"worker 0 \(process {before}\) hung for {HANG_SECONDS} s and was killed; replacing it now"
        )
        assert (await found.get("/")).startswith(b"HTTP/1.1 200 ")
        assert await found.pid() != before
        assert len(found.lines) == 2  # and "hangs"


@on_loop
async def test_a_stopped_process(tmp_path: Path) -> None:
    async with watched(tmp_path, WORKER_COMMAND) as found:
        before = await found.pid()
        os.kill(before, signal.SIGSTOP)
        await found.wait_for(rf"worker 0 \(process {before}\) hung for {HANG_SECONDS} s and was killed")
        assert (await found.get("/")).startswith(b"HTTP/1.1 ")


@on_loop
async def test_one_that_hangs_while_it_drains(tmp_path: Path) -> None:
    async with watched(tmp_path, TINY_WORKER) as found:
        before = await found.pid()
        slow = asyncio.create_task(found.get("/slow/60"))
        await found.wait_for("slow request is under way")
        await found.workers.stop_accepting(60)
        os.kill(before, signal.SIGSTOP)
        await found.workers.finish(60)
        assert await slow == b""
        assert found.lines[-1] == f"worker 0 (process {before}) hung for {HANG_SECONDS} s and was killed"


@on_loop
async def test_time_for_which_everything_stood_still_does_not_count(tmp_path: Path) -> None:
    """As when the machine, or all of the service, is suspended."""
    async with watched(tmp_path, WORKER_COMMAND, hang_seconds=4) as found:
        before = await found.pid()
        os.kill(before, signal.SIGSTOP)
        await asyncio.sleep(1.1)  # what it said before that was noted
        time.sleep(4)  # noqa: ASYNC251
        os.kill(before, signal.SIGCONT)
        await asyncio.sleep(1.1)
        assert await found.pid() == before
        assert found.lines == []
