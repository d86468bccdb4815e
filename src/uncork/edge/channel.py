"""The channel between the supervisor and one of its workers: both ends.

Lives here: JSON objects, one a line, over a socket pair, and what each of them means.
Doesn't know: how a worker drains or counts, and when a supervisor wants it to.

    worker → supervisor   {"ready": true}
                          {"turned": true}                each second: its loop turns
                          {"log": "text"}
                          {"snapshot": {…}, "id": 7}
                          {"marks": {"KEY": {…}}, "id": 8}
                          {"draining": true}              it accepts no more
    supervisor → worker   {"drain": {"seconds": 30.0}}
                          {"snapshot_request": 7}
                          {"marks_request": ["KEY", …], "id": 8}
                          {"reopen_logs": true}

Either end that sees the other's end of file knows that the other process is gone.
"""

import asyncio
import json
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any

from uncork.edge.setup import CHANNEL_FD

Message = dict[str, Any]

# A snapshot of counters is a few kilobytes; a longer line than this is a fault of the other end.
MOST_LINE_BYTES = 4 << 20

# How long a worker goes on with its open requests when its supervisor has died and can't say.
ORPHAN_DRAIN_SECONDS = 30.0


class Channel:
    """JSON objects both ways over a stream socket. Takes the socket over."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, sock: socket.socket) -> "Channel":
        reader, writer = await asyncio.open_unix_connection(sock=sock, limit=MOST_LINE_BYTES)
        return cls(reader, writer)

    def send(self, message: Message) -> None:
        """Queue a message; it never blocks. To an end that is gone it is lost without an error."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def flush(self) -> None:
        """Wait until the kernel has what was sent."""
        try:
            await self._writer.drain()
        except ConnectionError:
            pass

    async def receive(self) -> Message | None:
        """The next message; None once the other end is gone. Raises ValueError for anything but an object."""
        try:
            line = await self._reader.readline()
        except ConnectionError:
            return None
        if not line.endswith(b"\n"):
            return None
        message = json.loads(line)
        if not isinstance(message, dict):
            raise ValueError(f"not an object: {line[:80]!r}")
        return message

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            pass


class WorkerChannel:
    """The worker's end.

        channel = await WorkerChannel.from_environment()
        channel.on_drain = …          # takes seconds, and stops accepting before it returns;
                                      # also called when the supervisor dies
        channel.on_snapshot = …       # returns the counters, anything that JSON can hold
        channel.on_marks = …          # takes keys in hexadecimal, and returns what is known of them
        channel.on_reopen = …
        await channel.ready()         # once the listeners are watched
        channel.turned()              # each second from then on
        await channel.run()           # returns when the supervisor is gone

    The callbacks run on the loop and must not block.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.on_drain: Callable[[float], object] = _ignore
        self.on_snapshot: Callable[[], Mapping[str, Any]] = dict
        self.on_marks: Callable[[list[str]], Mapping[str, Any]] = lambda keys: {}
        self.on_reopen: Callable[[], object] = _ignore

    @classmethod
    async def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "WorkerChannel":
        sock = socket.socket(fileno=int(environment[CHANNEL_FD]))
        sock.setblocking(False)
        return cls(await Channel.over(sock))

    async def ready(self) -> None:
        """Tell the supervisor that this worker accepts connections."""
        self._channel.send({"ready": True})
        await self._channel.flush()

    def turned(self) -> None:
        """Tell the supervisor, once a second, that the loop turns: a worker that doesn't is replaced."""
        self._channel.send({"turned": True})

    def log(self, text: str) -> None:
        """Have the supervisor print a line, named after this worker."""
        self._channel.send({"log": text})

    async def run(self) -> None:
        """Act on what the supervisor says, until it is gone; then drain."""
        while (message := await self._channel.receive()) is not None:
            self._act(message)
        self.on_drain(ORPHAN_DRAIN_SECONDS)

    async def close(self) -> None:
        await self._channel.close()

    def _act(self, message: Message) -> None:
        if (drain := message.get("drain")) is not None:
            self.on_drain(float(drain["seconds"]))
            self._channel.send({"draining": True})
        if (number := message.get("snapshot_request")) is not None:
            self._channel.send({"snapshot": dict(self.on_snapshot()), "id": number})
        if (keys := message.get("marks_request")) is not None:
            self._channel.send({"marks": dict(self.on_marks(keys)), "id": message["id"]})
        if message.get("reopen_logs"):
            self.on_reopen()


class SupervisorChannel:
    """The supervisor's end: one for each worker. `run` must be running for questions to be answered."""

    def __init__(self, channel: Channel, on_log: Callable[[str], object]) -> None:
        self._channel = channel
        self._on_log = on_log
        self._asked: dict[int, asyncio.Future[Message]] = {}
        self._number = 0
        self.ready = asyncio.Event()
        # Set each time the worker says that its loop turns; whoever looks clears it.
        self.turned = asyncio.Event()
        # Set also when the worker is gone: either way it accepts no more.
        self.draining = asyncio.Event()

    async def run(self) -> None:
        """Take in what the worker says, until it is gone."""
        try:
            while (message := await self._channel.receive()) is not None:
                if message.get("ready"):
                    self.ready.set()
                if message.get("turned"):
                    self.turned.set()
                if message.get("draining"):
                    self.draining.set()
                if (text := message.get("log")) is not None:
                    self._on_log(str(text))
                answer = message.get("snapshot", message.get("marks"))
                if answer is not None:
                    asked = self._asked.pop(message.get("id", 0), None)
                    if asked is not None and not asked.done():
                        asked.set_result(answer)
        finally:
            for asked in self._asked.values():
                asked.cancel()
            self._asked.clear()
            self.draining.set()
            await self._channel.close()

    async def snapshot(self, seconds: float) -> Message | None:
        """The worker's counters; None when it doesn't answer in time, or is gone."""
        number = self._next()
        return await self._ask(number, {"snapshot_request": number}, seconds)

    async def marks(self, keys: list[str], seconds: float) -> Message | None:
        """What the worker's marks say of these keys, in hexadecimal; None as above."""
        number = self._next()
        return await self._ask(number, {"marks_request": keys, "id": number}, seconds)

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _ask(self, number: int, message: Message, seconds: float) -> Message | None:
        asked = self._asked[number] = asyncio.get_running_loop().create_future()
        self._channel.send(message)
        done, _ = await asyncio.wait([asked], timeout=seconds)
        self._asked.pop(number, None)
        return asked.result() if done and not asked.cancelled() else None

    def drain(self, seconds: float) -> None:
        """Stop accepting, finish the open requests within that time, and exit."""
        self._channel.send({"drain": {"seconds": seconds}})

    def reopen_logs(self) -> None:
        self._channel.send({"reopen_logs": True})


def _ignore(*_: object) -> None:
    pass
