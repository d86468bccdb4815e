"""A client of HTTP/1.1 that believes nothing: it reads a response strictly by its framing.

`Broken` is a connection that ended where RFC 9112 lets it end only by accident (a killed process);
`AssertionError` is a response that no server may send.
"""

import re
import socket
from dataclasses import dataclass, field
from types import TracebackType

STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9][0-9]) [^\r\n]*")
FIELD_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*")

SECONDS = 30.0


class Broken(Exception):
    """The connection ended before the response did."""


@dataclass
class Response:
    """`fields` have lower-case names; several lines of one name are joined with commas."""

    status: int
    fields: dict[str, str] = field(default_factory=dict)
    lines: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""

    def __getitem__(self, name: str) -> str | None:
        return self.fields.get(name)


class RawClient:
    """One connection at a time, opened when it is needed."""

    def __init__(self, address: str, timeout: float = SECONDS) -> None:
        host, _, port = address.rpartition(":")
        self.address = (host, int(port))
        self.timeout = timeout
        self.sock: socket.socket | None = None
        self.used = 0  # requests on this connection
        self._seen = b""

    def connect(self) -> socket.socket:
        if self.sock is None:
            self.sock = socket.create_connection(self.address, self.timeout)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._seen = b""
            self.used = 0
        return self.sock

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()
            self.sock = None

    def ask(self, target: str, method: str = "GET", body: bytes | None = None, **fields: str) -> Response:
        """`ask("/a", cookie="x=1")`. Raises Broken."""
        self.send(request(target, method, body, **fields))
        return self.response(method)

    def send(self, data: bytes) -> None:
        sock = self.connect()
        try:
            sock.sendall(data)
        except OSError as error:
            self.close()
            raise Broken(f"closed before the request: {error}") from None

    def response(self, method: str = "GET") -> Response:
        """The next response on this connection; those of the class 1xx are passed over."""
        while True:
            head = self._until(b"\r\n\r\n")
            first, *lines = head[:-4].split(b"\r\n")
            matched = STATUS_LINE.fullmatch(first)
            assert matched, first
            response = Response(int(matched[1]))
            for line in lines:
                found = FIELD_LINE.fullmatch(line)
                assert found, line
                name, value = found[1].decode().lower(), found[2].decode("latin-1")
                response.lines.append((name, value))
                response.fields[name] = ", ".join(
                    [response.fields[name], value] if name in response.fields else [value]
                )
            if response.status >= 200 or response.status == 101:
                break
        self._read_body(response, method)
        self.used += 1
        if "close" in (response["connection"] or "").lower():
            self.close()
        return response

    def _read_body(self, response: Response, method: str) -> None:
        length = response["content-length"]
        coding = response["transfer-encoding"]
        assert length is None or coding is None, "both framings"
        if method == "HEAD" or response.status in (204, 304) or response.status < 200:
            return
        if coding is not None:
            assert coding.lower() == "chunked", coding
            while size := int(self._until(b"\r\n")[:-2], 16):
                response.body += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            assert self._exactly(2) == b"\r\n"
        elif length is not None:
            assert length.isdecimal(), length
            response.body = self._exactly(int(length))
        else:
            assert response["connection"] == "close", "a body without an end"
            while data := self._some():
                response.body += data

    def _until(self, mark: bytes) -> bytes:
        while (at := self._seen.find(mark)) < 0:
            data = self._some()
            if not data:
                self.close()
                raise Broken(f"ended after {self._seen[-100:]!r}" if self._seen else "ended unanswered")
            self._seen += data
        at += len(mark)
        found, self._seen = self._seen[:at], self._seen[at:]
        return found

    def _exactly(self, count: int) -> bytes:
        parts = [self._seen[:count]]
        self._seen = self._seen[count:]
        missing = count - len(parts[0])
        while missing:
            data = self._some(missing)
            if not data:
                self.close()
                raise Broken(f"ended {missing} bytes early")
            parts.append(data)
            missing -= len(data)
        return b"".join(parts)

    def _some(self, most: int = 65536) -> bytes:
        assert self.sock is not None
        try:
            return self.sock.recv(most)
        except TimeoutError:
            self.close()
            raise AssertionError(f"no answer in {self.timeout:g} s") from None
        except ConnectionResetError:
            self.close()
            raise Broken("reset" if self._seen else "closed before an answer: reset") from None
        except OSError as error:
            self.close()
            raise Broken(str(error)) from None

    def __enter__(self) -> "RawClient":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def request(target: str, method: str = "GET", body: bytes | None = None, **fields: str) -> bytes:
    """The bytes of a request to example.org, unless told otherwise; `_` in a name stands for `-`."""
    lines = [f"{method} {target} HTTP/1.1"]
    named = {name.replace("_", "-"): value for name, value in fields.items()}
    named.setdefault("host", "example.org")
    if body is not None:
        named.setdefault("content-length", str(len(body)))
    lines += [f"{name}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")
