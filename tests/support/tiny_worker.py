"""A worker that keeps to the supervisor's contract and serves next to nothing: run as a program.

GET /               "INDEX GENERATION PID ORIGIN ORIGIN…"
GET /slow/SECONDS   the same, after that time
GET /crash          ends the process at once
It answers one request a connection. `TINY_WORKER_FAILS=1` has it exit before it is ready.
"""

import asyncio
import os
import socket
import sys

from uncork.edge.channel import WorkerChannel
from uncork.edge.setup import Setup


class TinyWorker:
    def __init__(self, setup: Setup, channel: WorkerChannel) -> None:
        self.setup = setup
        self.channel = channel
        self.origins = list(setup.origins)
        self.requests = 0
        self.reopened = 0
        self.open: set[asyncio.Task[None]] = set()
        self.servers: list[asyncio.Server] = []
        self.drained = asyncio.Event()
        channel.on_drain = self.drain
        channel.on_snapshot = lambda: {
            "requests": self.requests,
            "reopened": self.reopened,
            "limits": {"fields": setup.limits.fields},
            "static": [f"{mount.prefix}={mount.directory}" for mount in setup.static],
        }
        channel.on_reopen = self.reopen

    def reopen(self) -> None:
        self.reopened += 1
        self.channel.log("opened the logs anew")

    def drain(self, seconds: float) -> None:
        for server in self.servers:
            server.close()
        asyncio.get_running_loop().call_later(seconds, self.drained.set)
        if not self.open:
            self.drained.set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.open.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            path = head.split(b" ")[1].decode()
            if path == "/crash":
                os._exit(3)
            if path.startswith("/slow/"):
                await asyncio.sleep(float(path.removeprefix("/slow/")))
            self.requests += 1
            setup = self.setup
            body = f"{setup.index} {setup.generation} {os.getpid()} {' '.join(self.origins)}".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open.discard(task)
            if not self.open and not all(server.is_serving() for server in self.servers):
                self.drained.set()


async def main() -> None:
    setup = Setup.from_environment()
    channel = await WorkerChannel.from_environment()
    worker = TinyWorker(setup, channel)
    for listener in setup.listeners:
        sock = socket.socket(fileno=listener.fd)
        worker.servers.append(await asyncio.start_server(worker.serve, sock=sock, backlog=4096))
    await channel.ready()
    running = asyncio.create_task(channel.run())
    await worker.drained.wait()
    running.cancel()


if __name__ == "__main__":
    if os.environ.get("TINY_WORKER_FAILS"):
        sys.exit("tiny worker: told to fail")
    asyncio.run(main())
