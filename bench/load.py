"""The client's side: a browser's request heads, a client that reads answers whole, load, idle connections.

Lives here: what is sent and what came back. Doesn't know: which server answers, or what it costs.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Fourteen lines, as a current Chrome sends them for a link that was followed within a site.
_BEFORE_REFERER = (
    "Host: 127.0.0.1:{port}\r\n"
    "Connection: {connection}\r\n"
    'sec-ch-ua: "Chromium";v="142", "Google Chrome";v="142", "Not_A Brand";v="99"\r\n'
    "sec-ch-ua-mobile: ?0\r\n"
    'sec-ch-ua-platform: "Linux"\r\n'
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/142.0.0.0 Safari/537.36\r\n"
    "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
    ",application/signed-exchange;v=b3;q=0.7\r\n"
    "Sec-Fetch-Site: same-origin\r\n"
    "Sec-Fetch-Mode: navigate\r\n"
    "Sec-Fetch-Dest: document\r\n"
    "Referer: http://127.0.0.1:{port}/events/?page="
)
_AFTER_REFERER = (
    "\r\n"
    "Accept-Encoding: gzip, deflate, br, zstd\r\n"
    "Accept-Language: en-GB,en-US;q=0.9,en;q=0.8\r\n"
    "Cookie: _ga=GA1.1.1204417733.1762950120; consent=necessary; csrftoken=8sJ2mVfQwPzYkB4tLr7NcX; _ga_N5QK="
)


@dataclass(frozen=True, slots=True)
class Head:
    """A request head in three pieces: between them go a number in `Referer` and one in `Cookie`."""

    before: bytes
    between: bytes
    after: bytes

    def filled(self, number: int) -> bytes:
        return b"%b%d%b%d%b" % (self.before, number, self.between, number, self.after)


def head(path: str, port: int, *, close: bool = False, etag: bytes | None = None) -> Head:
    """The head of a GET for `path`; with `etag` (as the server spelled it) a conditional one."""
    connection = "close" if close else "keep-alive"
    line = f"GET {path} HTTP/1.1\r\n"
    condition = b"" if etag is None else b"\r\nIf-None-Match: " + etag
    return Head(
        (line + _BEFORE_REFERER.format(port=port, connection=connection)).encode(),
        _AFTER_REFERER.encode(),
        condition + b"\r\n\r\n",
    )


# Reading answers whole: for checks and warming, never for figures.


class BadAnswer(Exception):
    """An answer that can't be read, or isn't what the workload is about."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    fields: dict[bytes, bytes]
    """By lower-case name; of several with one name, the last."""
    body: bytes
    wire_size: int
    """Bytes of head and body as they came."""


class Client:
    """One connection that is opened anew when the server has closed it."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self._address = ("127.0.0.1", port)
        self._timeout = timeout
        self._socket: socket.socket | None = None

    def exchange(self, request: bytes) -> Reply:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, self._timeout)
        self._socket.sendall(request)
        reply, reusable = _read_reply(self._socket)
        if not reusable:
            self.close()
        return reply

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def is_idle(self) -> bool:
        """Open at both ends, with nothing to read."""
        if self._socket is None:
            return False
        self._socket.setblocking(False)
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        finally:
            self._socket.settimeout(self._timeout)
        return False

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _read_reply(connection: socket.socket) -> tuple[Reply, bool]:
    stream = connection.makefile("rb")
    size = 0

    def line() -> bytes:
        nonlocal size
        read = stream.readline()
        size += len(read)
        if not read.endswith(b"\r\n"):
            raise BadAnswer(f"the answer ends within its head: {read!r}")
        return read[:-2]

    start = line()
    version, _, rest = start.partition(b" ")
    if not version.startswith(b"HTTP/1."):
        raise BadAnswer(f"not a status line: {start!r}")
    status = int(rest[:3])
    fields: dict[bytes, bytes] = {}
    while read := line():
        name, _, value = read.partition(b":")
        fields[name.lower()] = value.strip()
    reusable = version == b"HTTP/1.1" and fields.get(b"connection", b"").lower() != b"close"
    if status == 304:
        body = b""
    elif fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        chunks = []
        while count := int(line().split(b";")[0], 16):
            chunks.append(stream.read(count))
            size += count
            line()
        line()
        body = b"".join(chunks)
    elif (length := fields.get(b"content-length")) is not None:
        body = stream.read(int(length))
        size += len(body)
        if len(body) != int(length):
            raise BadAnswer(f"{len(body)} bytes of a body of {int(length)}")
    else:
        body = stream.read()
        size += len(body)
        reusable = False
    return Reply(status, fields, body, size), reusable


# Load


@dataclass(frozen=True, slots=True)
class Result:
    """What the generator saw. Latencies in microseconds, duration and `cpu` (its own) in seconds."""

    requests: int
    bytes: int
    duration: float
    p50: float
    p99: float
    errors: int
    cpu: float


def _lua(text: bytes) -> str:
    """`text` as a Lua string literal."""
    return '"' + "".join(chr(b) if 32 <= b < 127 and b not in b'"\\' else f"\\{b:03}" for b in text) + '"'


_DONE = """
function done(summary, latency, requests)
    local e = summary.errors
    io.write(string.format(
        'RESULT {"requests": %d, "bytes": %.0f, "duration": %.6f, "p50": %.1f, "p99": %.1f, "errors": %d}\\n',
        summary.requests, summary.bytes, summary.duration / 1e6,
        latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def script(heads: Sequence[Head], varied: bool, first_number: int) -> str:
    """A wrk script that asks for `heads` in rotation.

    The same request strings over and over, or (varied) each with a number that no other request has. The
    numbers are written into every request as it is sent, rather than into a pool made beforehand: a server
    that remembers header blocks could remember a pool. It costs the generator less than a microsecond.
    """
    if not varied:
        table = ",\n".join(_lua(one.filled(first_number)) for one in heads)
        return f"""local requests = {{{table}}}
local i, count = 0, #requests
function request()
    i = i % count + 1
    return requests[i]
end
{_DONE}"""
    before = ",\n".join(_lua(one.before) for one in heads)
    after = ",\n".join(_lua(one.after) for one in heads)
    return f"""local before = {{{before}}}
local after = {{{after}}}
local between = {_lua(heads[0].between)}
local i, count, number = 0, #before, {first_number}
function request()
    i = i % count + 1
    number = number + 1
    return before[i] .. number .. between .. number .. after[i]
end
{_DONE}"""


@dataclass(frozen=True, slots=True)
class Load:
    """What a run asks for, over how many connections; `first_number` goes into the first request's fields."""

    heads: Sequence[Head]
    varied: bool
    first_number: int
    connections: int
    drained: bool
    """Answers so large that wrk, which reads them, would set the pace: they are thrown away unread."""

    def run(self, port: int, directory: Path, *, seconds: float, core: int) -> Result:
        """One run of one thread on `core`. Raises `BadAnswer` if it gives no result."""
        if self.drained:
            return self._run_drain(port, directory / "heads.json", seconds, core)
        return self._run_wrk(port, directory / "wrk.lua", seconds, core)

    def _run_wrk(self, port: int, lua: Path, seconds: float, core: int) -> Result:
        lua.write_text(script(self.heads, self.varied, self.first_number))
        argv = ["wrk", "-t1", f"-c{self.connections}", f"-d{max(1, round(seconds))}s"]
        return _run([*argv, "--timeout", "20s", "-s", str(lua), f"http://127.0.0.1:{port}/"], core)

    def _run_drain(self, port: int, heads: Path, seconds: float, core: int) -> Result:
        assert self.varied, "the drain numbers every request"
        pieces = [[one.before, one.between, one.after] for one in self.heads]
        heads.write_text(json.dumps([[text.decode("latin-1") for text in three] for three in pieces]))
        argv = [sys.executable, "-m", "bench.drain", str(port), str(max(1, round(seconds)))]
        return _run([*argv, str(self.connections), str(self.first_number), str(heads)], core)


def _run(argv: Sequence[str], core: int) -> Result:
    with subprocess.Popen(
        ["taskset", "-c", str(core), *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        assert child.stdout is not None
        output = child.stdout.read().decode(errors="replace")
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    for line in output.splitlines():
        if line.startswith("RESULT "):
            return Result(**json.loads(line[len("RESULT ") :]), cpu=usage.ru_utime + usage.ru_stime)
    raise BadAnswer(f"the load gave no result (status {child.returncode}):\n{output[-2000:]}")


class IdleConnections:
    """Connections that have had one answer each and stay open."""

    def __init__(self, port: int, requests: Sequence[bytes]) -> None:
        self._clients: list[Client] = []
        for request in requests:
            client = Client(port)
            self._clients.append(client)
            reply = client.exchange(request)
            if reply.status != 200:
                raise BadAnswer(f"status {reply.status} on connection {len(self._clients)}")
            if not client.is_open:
                raise BadAnswer(f"connection {len(self._clients)} was not kept open")

    def count_open(self) -> int:
        """How many the server has not closed meanwhile."""
        return sum(client.is_idle() for client in self._clients)

    def close(self) -> None:
        for client in self._clients:
            client.close()
        self._clients.clear()
