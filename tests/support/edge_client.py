"""A client of the edge that sends bytes as they are and reads answers strictly, and the edge as a process."""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from support.uncork_process import REAL, Uncork, run_uncork

# A test that hangs fails after so many seconds.
PATIENCE = 20.0


@dataclass
class Reply:
    status: int
    lines: list[tuple[str, str]]
    body: bytes
    interim: list[int]

    def __getitem__(self, name: str) -> str | None:
        found = [value for known, value in self.lines if known == name.lower()]
        return ", ".join(found) if found else None

    def all(self, name: str) -> list[str]:
        return [value for known, value in self.lines if known == name.lower()]

    @property
    def cache(self) -> str:
        """Our member of Cache-Status."""
        return (self["cache-status"] or "").rpartition(",")[2].strip()

    @property
    def hit(self) -> bool:
        return self.cache.startswith("Uncork; hit")


class Client:
    """One connection."""

    def __init__(self, address: str) -> None:
        if address.startswith("unix:"):
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.settimeout(PATIENCE)
            self.sock.connect(address.removeprefix("unix:"))
        else:
            host, _, port = address.rpartition(":")
            self.sock = socket.create_connection((host, int(port)), timeout=PATIENCE)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.seen = b""

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def ask(
        self, path: str, *lines: str, method: str = "GET", host: str = "h", content: bytes = b""
    ) -> Reply:
        """Send a request and read its answer."""
        self.request(path, *lines, method=method, host=host, content=content)
        return self.reply(method)

    def request(
        self, path: str, *lines: str, method: str = "GET", host: str = "h", content: bytes = b""
    ) -> None:
        more = [f"Content-Length: {len(content)}"] if content else []
        head = "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {host}", *lines, *more, "", ""])
        self.send(head.encode("latin-1") + content)

    def more(self) -> bool:
        data = self.sock.recv(65536)
        self.seen += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """What comes up to and with the mark."""
        while mark not in self.seen:
            assert self.more(), f"closed without {mark!r}: {self.seen[:500]!r}"
        found, mark, self.seen = self.seen.partition(mark)
        return found + mark

    def exactly(self, count: int) -> bytes:
        found = bytearray(self.seen)
        while len(found) < count:
            data = self.sock.recv(1 << 18)
            assert data, f"closed after {len(found)} of {count} bytes"
            found += data
        self.seen = bytes(found[count:])
        return bytes(found[:count])

    def head(self) -> Reply:
        first, *lines = self.until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        pairs = [line.split(": ", 1) if ": " in line else (line[:-1], "") for line in lines]
        return Reply(int(status), [(name.lower(), value) for name, value in pairs], b"", [])

    def chunk(self) -> bytes:
        """The next chunk; b"" for the last."""
        size = int(self.until(b"\r\n"), 16)
        data = self.exactly(size)
        assert self.exactly(2) == b"\r\n"
        return data

    def reply(self, method: str = "GET") -> Reply:
        """A whole answer. Source: RFC 9112 §6.3"""
        interim = []
        found = self.head()
        while 100 <= found.status < 200 and found.status != 101:
            interim.append(found.status)
            found = self.head()
        found.interim = interim
        for name in ("date", "content-length", "etag", "age", "vary", "content-type", "cache-status"):
            assert len(found.all(name)) <= 1, f"{name} comes twice: {found.lines}"
        if method == "HEAD" or found.status in (101, 204, 304):
            return found
        if found["transfer-encoding"] is not None:
            assert found["transfer-encoding"] == "chunked" and found["content-length"] is None
            while data := self.chunk():
                found.body += data
        elif (length := found["content-length"]) is not None:
            found.body = self.exactly(int(length))
        else:
            found.body = self.rest()
        return found

    def rest(self) -> bytes:
        """What comes until the end, which must not be a reset."""
        while self.more():
            pass
        data, self.seen = self.seen, b""
        return data

    def ended(self) -> bool:
        """Whether nothing more comes but the end."""
        return self.rest() == b""

    def reset(self) -> None:
        """Close with a reset."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class Edge(Uncork):
    """`uncork serve` or `uncork static` with its real workers."""

    def __init__(self, *arguments: str, cwd: Path, workers: int = 1, bind: str = "127.0.0.1:0") -> None:
        self.state_dir = cwd / "state"
        super().__init__(
            *arguments,
            *("--bind", bind, "--workers", str(workers), "--state-dir", str(self.state_dir)),
            cwd=cwd,
            program=REAL,
        )
        self.cwd = cwd

    def connect(self) -> Client:
        return Client(self.address)

    def ask(
        self, path: str, *lines: str, method: str = "GET", host: str = "h", content: bytes = b""
    ) -> Reply:
        """A request over a connection of its own."""
        with self.connect() as client:
            return client.ask(path, *lines, method=method, host=host, content=content)

    def purge(self, *arguments: str) -> None:
        found = run_uncork("purge", *arguments, "--state-dir", str(self.state_dir), cwd=self.cwd)
        assert found.returncode == 0, found.stderr

    def shown(self) -> str:
        """What `uncork status` prints."""
        found = run_uncork("status", "--state-dir", str(self.state_dir), cwd=self.cwd)
        assert found.returncode == 0, found.stderr
        return found.stdout

    def workers(self) -> list[int]:
        return [worker["pid"] for worker in self.status(self.state_dir)["workers"]]

    def snapshot(self) -> dict:
        (worker,) = self.status(self.state_dir)["workers"]
        return worker["snapshot"]


def serve(cwd: Path, origin: str, *more: str, workers: int = 1, bind: str = "127.0.0.1:0") -> Edge:
    return Edge("serve", "--origin", origin, *more, cwd=cwd, workers=workers, bind=bind)


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def resident_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError("no such process")


def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait for what another process does without telling."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it never came to pass"
        time.sleep(0.02)


def head(*lines: str, method: str = "GET", path: str = "/", version: str = "1.1") -> bytes:
    """The bytes of a request head, with no field but these."""
    return "\r\n".join([f"{method} {path} HTTP/{version}", *lines, "", ""]).encode("latin-1")
