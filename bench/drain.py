"""A load generator for large answers, which throws their bytes away in the kernel: `python -m bench.drain`.

Lives here: one process, a few connections, each asking again when its answer is whole. Doesn't know: what
the answers should be (that was checked before).

wrk copies and scans every byte, which costs its core several times what sending the byte costs the server's:
the generator would set the pace. MSG_TRUNC on a TCP socket discards what was received without a copy.
"""

import argparse
import json
import select
import socket
import time
from pathlib import Path

_SLICE = bytearray(4 * 1024 * 1024)


class _Connection:
    """One connection: a request, then the rest of its answer to be thrown away."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        self._head = b""
        self._left = 0
        self._began = 0.0

    def ask(self, request: bytes) -> None:
        self.socket.sendall(request)
        self._head, self._left, self._began = b"", 0, time.monotonic()

    def receive(self) -> tuple[int, float | None]:
        """Bytes that came, and the seconds that the answer took once it is whole."""
        if self._left:
            count = self.socket.recv_into(_SLICE, min(self._left, len(_SLICE)), socket.MSG_TRUNC)
            if count == 0:
                raise ConnectionError("the server closed within an answer")
            self._left -= count
        else:
            data = self.socket.recv(4096)
            if not data:
                raise ConnectionError("the server closed before an answer")
            count = len(data)
            self._head += data
            head, blank, body = self._head.partition(b"\r\n\r\n")
            if not blank:
                return count, None
            if b" 200 " not in head[:14]:
                raise ConnectionError(f"not a 200: {head[:60]!r}")
            lengths = [line[15:] for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:"]
            self._left = int(lengths[0]) - len(body)
        return count, None if self._left else time.monotonic() - self._began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("connections", type=int)
    parser.add_argument("first", type=int, help="the number in the first request's fields")
    parser.add_argument("heads", type=Path, help="JSON: a list of [before, between, after]")
    options = parser.parse_args()
    heads = [[text.encode("latin-1") for text in head] for head in json.loads(options.heads.read_text())]
    asked = total = errors = 0
    took: list[float] = []

    def request() -> bytes:
        nonlocal asked
        before, between, after = heads[asked % len(heads)]
        number = b"%d" % (options.first + asked)
        asked += 1
        return before + number + between + number + after

    connections = [_Connection(options.port) for _ in range(options.connections)]
    by_fd = {connection.socket.fileno(): connection for connection in connections}
    poller = select.epoll()
    for fd in by_fd:
        poller.register(fd, select.EPOLLIN)
    began = time.monotonic()
    for connection in connections:
        connection.ask(request())
    while (now := time.monotonic()) < began + options.seconds:
        for fd, _ in poller.poll(1):
            connection = by_fd[fd]
            try:
                count, seconds = connection.receive()
            except (OSError, ValueError, IndexError):
                errors += 1
                poller.unregister(fd)
                continue
            total += count
            if seconds is not None:
                took.append(seconds * 1e6)
                connection.ask(request())
    took.sort()
    result = {
        "requests": len(took), "bytes": total, "duration": now - began, "errors": errors,
        "p50": took[len(took) // 2] if took else 0.0, "p99": took[len(took) * 99 // 100] if took else 0.0,
    }  # fmt: skip
    print("RESULT", json.dumps(result))


if __name__ == "__main__":
    main()
