"""The access log: one line a request, formatted late and written in batches.

Lives here: the combined and the JSON format, the file, and its reopening.
Doesn't know: why a request was answered so (it is told).

The fast path appends a tuple; a few hundred tuples are formatted and written at once, four times a second
or when they have become many.
"""

import json
import os
import sys
import time
from functools import lru_cache

from uncork.edge.hot import Hot
from uncork.edge.setup import LogFormat
from uncork.semantics.fields import Field
from uncork.wire.known import Shape

# So many lines at most wait to be written.
_MOST_WAITING = 4096

_Entry = tuple[float, str, bytes, int, int, tuple[Field, ...], tuple[Field, ...], str, float]


class AccessLog:
    """`target` is a path, or `-` for standard output. Raises OSError when it can't be opened."""

    def __init__(self, target: str, form: LogFormat) -> None:
        self._target = target
        self._form = form
        self._entries: list[_Entry] = []
        self.second = time.time()  # kept by the worker's tick
        self.lost = 0  # lines that could not be written
        self._fd = self._open()

    def _open(self) -> int:
        if self._target == "-":
            return sys.stdout.fileno()
        return os.open(self._target, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)

    def reopen(self) -> None:
        """After the file was moved away."""
        self.flush()
        if self._target != "-":
            old, self._fd = self._fd, self._open()
            os.close(old)

    def hot(
        self, peer: str, line: bytes, hot: Hot, not_modified: bool, shape: Shape, values: list[bytes]
    ) -> None:
        """A request that the fast path answered."""
        status, size = (304, 0) if not_modified else (hot.status, hot.length)
        volatile = tuple(zip(shape.names, values, strict=True))
        items = shape.block.items
        self._entries.append((self.second, peer, line, status, size, items, volatile, hot.reason, 0.0))
        if len(self._entries) > _MOST_WAITING:
            self.flush()

    def add(
        self,
        peer: str,
        line: bytes,
        status: int,
        size: int,
        items: tuple[Field, ...],
        volatile: tuple[Field, ...],
        outcome: str,
        seconds: float,
    ) -> None:
        """Any other request. `seconds` is how long it took."""
        self._entries.append((self.second, peer, line, status, size, items, volatile, outcome, seconds))
        if len(self._entries) > _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits. A line that can't be written is lost, and counted."""
        entries, self._entries = self._entries, []
        if not entries:
            return
        form = _combined if self._form is LogFormat.COMBINED else _json
        data = "".join([form(entry) for entry in entries]).encode("utf-8", "surrogateescape")
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.lost += len(entries)


@lru_cache(4)
def _clf_time(second: int) -> str:
    """In UTC: no local time near an HTTP date."""
    return time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(second))


@lru_cache(4096)
def _text(value: bytes) -> str:
    """Bytes from a client, in one line and with no quote of their own."""
    text = value.decode("latin-1")
    if text.isprintable() and '"' not in text and "\\" not in text and text.isascii():
        return text
    return "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\' else f"\\x{ord(c):02x}" for c in text
    )


@lru_cache(4096)
def _user_agent(items: tuple[Field, ...]) -> str:
    for name, value in items:
        if name == b"user-agent":
            return _text(value)
    return "-"


def _referer(volatile: tuple[Field, ...]) -> str:
    for name, value in volatile:
        if name == b"referer":
            text = value.decode("latin-1")
            return text if text.isascii() and text.isprintable() and '"' not in text else _text(value)
    return "-"


def _combined(entry: _Entry) -> str:
    when, peer, line, status, size, items, volatile, _, _ = entry
    return (
        f'{peer} - - [{_clf_time(int(when))}] "{_text(line)}" {status} {size} '
        f'"{_referer(volatile)}" "{_user_agent(items)}"\n'
    )


def _json(entry: _Entry) -> str:
    when, peer, line, status, size, items, volatile, outcome, seconds = entry
    return (
        json.dumps(
            {
                "time": round(when, 3),
                "peer": peer,
                "request": line.decode("latin-1"),
                "status": status,
                "bytes": size,
                "referer": _referer(volatile),
                "user_agent": _user_agent(items),
                "outcome": outcome,
                "seconds": round(seconds, 6),
            }
        )
        + "\n"
    )
