"""Origins for tests: a script on real sockets, in the loop of the test."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from uncork.upstream.addresses import Address


class Peer:
    """One accepted connection, as the script of an origin uses it."""

    def __init__(self, sock: socket.socket, number: int) -> None:
        self.sock = sock
        self.number = number  # 0 for the first connection
        self._seen = b""

    async def head(self) -> bytes:
        """The next request head, with its empty line; b"" when the client closed."""
        while b"\r\n\r\n" not in self._seen:
            data = await self.some()
            if not data:
                return b""
            self._seen += data
        head, _, self._seen = self._seen.partition(b"\r\n\r\n")
        return head + b"\r\n\r\n"

    async def exactly(self, count: int) -> bytes:
        while len(self._seen) < count:
            data = await self.some()
            if not data:
                raise EOFError(f"{len(self._seen)} of {count} bytes")
            self._seen += data
        data, self._seen = self._seen[:count], self._seen[count:]
        return data

    async def some(self) -> bytes:
        return await asyncio.get_running_loop().sock_recv(self.sock, 65536)

    async def send(self, *parts: bytes) -> None:
        """Each part in a write of its own, with turns of the loop between them."""
        for part in parts:
            await asyncio.get_running_loop().sock_sendall(self.sock, part)
            if len(parts) > 1:
                await asyncio.sleep(0)
                await asyncio.sleep(0)

    async def closed(self) -> None:
        """Wait until the client closed; what it sends is thrown away."""
        try:
            while await self.some():
                pass
        except ConnectionError:
            pass

    def reset(self) -> None:
        """Close with a reset (TCP)."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


Script = Callable[[Peer], Awaitable[None]]


@asynccontextmanager
async def origin(script: Script, *, tcp: bool = False, backlog: int = 100):
    """Run `script(peer)` for each connection, which is closed when the script returns. Yields the Address.

    What a script raises (but for a connection that broke) is raised at the end.
    """
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task] = []
    peers: list[Peer] = []
    with TemporaryDirectory() as directory:
        if tcp:
            listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
            address = Address(host="127.0.0.1", port=listener.getsockname()[1])
        else:
            path = str(Path(directory) / "o.sock")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(path)
            listener.listen(backlog)
            address = Address(path=path)
        listener.setblocking(False)

        async def serve(peer: Peer) -> None:
            try:
                await script(peer)
            except (ConnectionError, OSError):
                pass
            finally:
                peer.sock.close()

        async def accept() -> None:
            while True:
                sock, _ = await loop.sock_accept(listener)
                peers.append(Peer(sock, len(peers)))
                tasks.append(loop.create_task(serve(peers[-1])))

        accepting = loop.create_task(accept())
        try:
            yield address
        finally:
            accepting.cancel()
            running = [task for task in tasks if not task.done()]
            for task in running:
                task.cancel()
            results = await asyncio.gather(accepting, *tasks, return_exceptions=True)
            listener.close()
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, asyncio.CancelledError):
                    raise result
