"""What the edge has decided to send, before it is bytes on a connection.

Lives here: an answer with its body in memory, in open files, or both, and who closes those files.
Doesn't know: sockets, and how the answer was found.
"""

import os
from dataclasses import dataclass, field
from enum import Enum

from uncork.semantics.fields import Fields


class OpenFile:
    """An open regular file, closed when the last of its holders lets go.

    Whoever creates it holds it; `acquire` adds a holder and `release` takes one away. Size and times are
    those of the moment it was opened.
    """

    __slots__ = ("_holders", "fd", "mtime_ns", "size")

    def __init__(self, fd: int) -> None:
        status = os.fstat(fd)
        self.fd = fd
        self.size = status.st_size
        self.mtime_ns = status.st_mtime_ns
        self._holders = 1

    def acquire(self) -> "OpenFile":
        self._holders += 1
        return self

    def release(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class FilePart:
    """`count` bytes of a file from `offset`, to be sent with sendfile(2)."""

    file: OpenFile
    offset: int
    count: int


Body = bytes | FilePart | list[bytes | FilePart]


def body_length(body: Body) -> int:
    """Its length in bytes."""
    if isinstance(body, bytes):
        return len(body)
    if isinstance(body, FilePart):
        return body.count
    return sum(len(part) if isinstance(part, bytes) else part.count for part in body)


@dataclass(slots=True)
class Answer:
    """A whole response: `fields` lack Date and Connection; Content-Length is added by the sender unless
    it is there (it is for HEAD, whose body is b"").

    `reason` names why it is this answer, for logs and Cache-Status. `release` must be called once, by
    whoever sent the answer or gave it up.
    """

    status: int
    reason: Enum
    fields: Fields = field(default_factory=Fields)
    body: Body = b""

    def release(self) -> None:
        for part in self.body if isinstance(self.body, list) else (self.body,):
            if isinstance(part, FilePart):
                part.file.release()
