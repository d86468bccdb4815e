"""A worker that keeps to the supervisor's contract and serves next to nothing: run as a program.

GET /               "INDEX GENERATION PID ORIGIN ORIGIN…"
GET /slow/SECONDS   the same, after that time; it says when that has begun
GET /crash          ends the process at once
GET /hang           has its loop turn no more
It answers one request a connection. It exits before it is ready when told of a limit of 13 fields, or while
there is a file of the name that `TINY_WORKER_FAILS` says.
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
        self.requests = 0
        self.reopened = 0
        self.loop = asyncio.get_running_loop()
        self.open: set[asyncio.Task[None]] = set()
        self.listeners = [socket.socket(fileno=listener.fd) for listener in setup.listeners]
        self.drained = asyncio.Event()
        for sock in self.listeners:
            self.loop.add_reader(sock, self.accept, sock)
        self.beat()
        channel.on_drain = self.drain
        channel.on_snapshot = lambda: {
            "requests": self.requests,
            "reopened": self.reopened,
            "limits": {"fields": setup.limits.fields},
            "static": [f"{mount.prefix}={mount.directory}" for mount in setup.static],
        }
        channel.on_reopen = self.reopen

    def beat(self) -> None:
        self.channel.turned()
        self.loop.call_later(0.5, self.beat)

    def reopen(self) -> None:
        self.reopened += 1
        self.channel.log("opened the logs anew")

    def drain(self, seconds: float) -> None:
        while self.listeners:
            sock = self.listeners.pop()
            self.loop.remove_reader(sock)
            sock.close()
        self.loop.call_later(seconds, self.drained.set)
        self.finish()

    def finish(self) -> None:
        if not self.open and not self.listeners:
            self.drained.set()

    def accept(self, sock: socket.socket) -> None:
        try:
            connection, _ = sock.accept()
        except OSError:
            return
        connection.setblocking(False)
        task = asyncio.create_task(self.serve(connection))
        self.open.add(task)
        task.add_done_callback(self.open.discard)
        task.add_done_callback(lambda _: self.finish())

    async def serve(self, connection: socket.socket) -> None:
        with connection:
            head = b""
            while b"\r\n\r\n" not in head:
                data = await self.loop.sock_recv(connection, 65536)
                if not data:
                    return
                head += data
            path = head.split(b" ")[1].decode()
            if path == "/crash":
                os._exit(3)
            if path == "/hang":
                self.channel.log("hangs")
                while True:
                    pass
            if path.startswith("/slow/"):
                self.channel.log("a slow request is under way")
                await asyncio.sleep(float(path.removeprefix("/slow/")))
            self.requests += 1
            setup = self.setup
            body = f"{setup.index} {setup.generation} {os.getpid()} {' '.join(setup.origins)}".encode()
            answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%b" % (
                len(body),
                body,
            )
            await self.loop.sock_sendall(connection, answer)


async def main() -> None:
    setup = Setup.from_environment()
    if setup.limits.fields == 13:
        sys.exit("tiny worker: 13")
    channel = await WorkerChannel.from_environment()
    worker = TinyWorker(setup, channel)
    await channel.ready()
    running = asyncio.create_task(channel.run())
    await worker.drained.wait()
    running.cancel()


if __name__ == "__main__":
    if os.path.exists(os.environ.get("TINY_WORKER_FAILS", "")):
        sys.exit("tiny worker: told to fail")
    asyncio.run(main())
