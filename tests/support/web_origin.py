"""An HTTP origin in threads of the test, for tests of the edge as a process: it answers by path, and counts.

origin.at("/a", reply(b"hello", "Cache-Control: max-age=60"))
origin.at("/b", lambda asked, line: line.send(b"HTTP/1.1 200 OK\\r\\n…"))
"""

import itertools
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

# A test that hangs fails after so many seconds.
PATIENCE = 20.0


def reply(body: bytes = b"", *lines: str, status: str = "200 OK") -> bytes:
    """A whole response with its length."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n" + "".join(f"{line}\r\n" for line in lines)
    return head.encode("latin-1") + b"\r\n" + body


@dataclass
class Asked:
    """A request as the origin got it."""

    method: str
    target: str
    lines: list[tuple[str, str]]
    content: bytes = b""

    def __getitem__(self, name: str) -> str | None:
        found = [value for known, value in self.lines if known == name.lower()]
        return ", ".join(found) if found else None

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


class Line:
    """The connection, as an answer uses it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.seen = b""

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def some(self, most: int = 65536) -> bytes:
        """More bytes of the client; b"" at their end."""
        if self.seen:
            data, self.seen = self.seen[:most], self.seen[most:]
            return data
        return self.sock.recv(most)

    def closed(self) -> bool:
        """Wait until the client has closed or reset the connection."""
        try:
            while self.some():
                pass
        except ConnectionError:
            pass
        return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.seen:
            data = self.sock.recv(65536)
            if not data:
                raise EOFError
            self.seen += data
        found, _, self.seen = self.seen.partition(mark)
        return found

    def head(self) -> Asked:
        first, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = [line.partition(":")[::2] for line in lines]
        return Asked(method, target, [(name.lower(), value.strip()) for name, value in pairs])

    def content(self, asked: Asked) -> bytes:
        if asked["transfer-encoding"] is not None:
            found = b""
            while size := int(self._until(b"\r\n"), 16):
                found += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            assert self._until(b"\r\n") == b""
            return found
        return self._exactly(int(asked["content-length"] or "0"))

    def _exactly(self, count: int) -> bytes:
        found = bytearray(self.seen)
        while len(found) < count:
            data = self.sock.recv(1 << 18)
            if not data:
                raise EOFError
            found += data
        self.seen = bytes(found[count:])
        return bytes(found[:count])


Answer = bytes | Callable[[Asked, Line], object]


@dataclass
class WebOrigin:
    """`stop` and `start` keep the port. A callable may send what it likes; returning "close" closes."""

    asked: list[Asked] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._answers: dict[str, Answer] = {}
        self._lazy: set[str] = set()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def path(self) -> str:
        """A path that no other test uses."""
        return f"/t{next(self._numbers)}"

    def at(self, path: str, answer: Answer, *, lazy: bool = False) -> None:
        """How a path is answered, whatever its query. `lazy`: the answer reads the content itself."""
        self._answers[path] = answer
        (self._lazy.add if lazy else self._lazy.discard)(path)

    def new(self, answer: Answer, *, lazy: bool = False) -> str:
        """A new path that is answered so."""
        path = self.path()
        self.at(path, answer, lazy=lazy)
        return path

    def count(self, path: str) -> int:
        """Requests for a path."""
        with self._lock:
            return sum(asked.path == path for asked in self.asked)

    def last(self, path: str) -> Asked:
        with self._lock:
            return [asked for asked in self.asked if asked.path == path][-1]

    def start(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self.port), backlog=512)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        """Nobody listens any longer, and what was open is closed."""
        assert self._listener is not None
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for sock in self._open:
                _shut(sock)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self._lock:
            self._open.add(sock)
        line = Line(sock)
        try:
            while True:
                asked = line.head()
                if asked.path not in self._lazy:
                    asked.content = line.content(asked)
                with self._lock:
                    self.asked.append(asked)
                answer = self._answers.get(asked.path, reply(b"nothing here", status="404 Not Found"))
                if isinstance(answer, bytes):
                    if asked.method == "HEAD":
                        answer = answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
                    line.send(answer)
                elif answer(asked, line) == "close":
                    return
        except (OSError, EOFError):
            pass
        finally:
            with self._lock:
                self._open.discard(sock)
            sock.close()


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
