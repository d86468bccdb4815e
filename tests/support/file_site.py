"""A directory of files behind a StaticSite, asked like a client asks."""

import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from uncork.edge.answers import Answer, Body
from uncork.edge.static import FileAnswer, StaticOptions, StaticSite
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request

HOUR = 3600.0


@dataclass(frozen=True)
class Got:
    """An answer whose body was read and whose files were let go."""

    status: int
    reason: str
    fields: Fields
    body: bytes
    from_memory: bool
    answer: Answer

    def __getitem__(self, name: str) -> str | None:
        value = self.fields.get(name.encode())
        return None if value is None else value.decode()

    def unchanged(self) -> bool:
        assert isinstance(self.answer, FileAnswer)
        return self.answer.watched.unchanged()


def request(path: str | bytes, method: str = "GET", query: bytes | None = None, **fields: str) -> Request:
    """`request("/a", if_none_match='"x"')`"""
    raw = path if isinstance(path, bytes) else path.encode()
    items = [(name.replace("_", "-").encode(), value.encode()) for name, value in fields.items()]
    return Request(method.encode(), b"http", b"example.org", raw, query, b"1.1", Fields(items))


def read(answer: Answer) -> Got:
    """Reads and releases an answer."""
    body = content(answer.body)
    answer.release()
    return Got(
        answer.status, answer.reason.value, answer.fields, body, isinstance(answer.body, bytes), answer
    )


def content(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    if isinstance(body, list):
        return b"".join(content(part) for part in body)
    found = os.pread(body.file.fd, body.count, body.offset)
    assert len(found) == body.count
    return found


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class FileSite:
    """`/static/` stands for `root`; files written through it are an hour old unless told otherwise.

    At the end of the block no descriptor may be left open.
    """

    def __init__(self, root: Path, **options: object) -> None:
        root.mkdir(exist_ok=True)
        self.root = root
        self.now = time.time()
        prefixes = options.pop("prefixes", ((b"/static/", str(root)),))
        self.options = StaticOptions(prefixes, **options)  # type: ignore[arg-type]
        self.static = StaticSite(self.options)

    def __enter__(self) -> "FileSite":
        self._before = open_descriptors()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            assert open_descriptors() <= self._before

    def write(self, name: str, content: bytes = b"content", age: float = HOUR) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self.aged(path, age)
        return path

    def aged(self, path: Path, age: float = HOUR) -> None:
        """As if it had been modified `age` seconds ago."""
        os.utime(path, (self.now - age, self.now - age))

    def ask(self, request: Request) -> Answer | None:
        mount = self.static.find(request.path)
        return None if mount is None else self.static.respond(mount, request, self.now)

    def find(
        self, path: str | bytes, method: str = "GET", query: bytes | None = None, **fields: str
    ) -> Got | None:
        answer = self.ask(request(path, method, query, **fields))
        return None if answer is None else read(answer)

    def get(self, path: str | bytes, method: str = "GET", query: bytes | None = None, **fields: str) -> Got:
        found = self.find(path, method, query, **fields)
        assert found is not None, f"no file for {path!r}"
        return found
