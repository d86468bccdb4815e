"""The access log: one line a request, written in batches.

Lives here: the combined and the JSON format, the file, and its reopening.
Doesn't know: why a request was answered so (it is told).

A line of the fast path is put together from texts that were made before: the memo's request line and
status, the block's user agent, the second's time. Lines are written when a second begins, or when they
have become many.
"""

import json
import os
import sys
import time

from uncork.edge.hot import Hot
from uncork.edge.setup import LogFormat
from uncork.edge.trust import TrustedProxies
from uncork.semantics.fields import Field, Fields
from uncork.wire.known import Shape

# So many lines at most wait to be written: some 100 KB.
_MOST_WAITING = 512

# What may stand in a quoted text as it is.
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if byte not in b'"\\')


class AccessLog:
    """`target` is a path, or `-` for standard output. Raises OSError when it can't be opened. A request that
    came through one of the `proxies` is logged with the address of its client."""

    def __init__(self, target: str, form: LogFormat, proxies: TrustedProxies) -> None:
        self._proxies = proxies
        self._target = target
        self._json = form is LogFormat.JSON
        self._lines: list[bytes] = []
        self._wall = 0.0
        self._stamp = b""
        self.lost = 0  # lines that could not be written
        self._fd = self._open()
        self.tick(time.time())

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

    def tick(self, wall: float) -> None:
        """A second has begun. In UTC: no local time near an HTTP date."""
        self.flush()
        self._wall = wall
        self._stamp = time.strftime(" - - [%d/%b/%Y:%H:%M:%S +0000] ", time.gmtime(wall)).encode()

    def hot(
        self, peer: bytes, line: bytes, hot: Hot, not_modified: bool, shape: Shape, values: list[bytes]
    ) -> None:
        """A request that the fast path answered."""
        if self._json:
            status, size = (304, 0) if not_modified else (hot.status, hot.length)
            self.add(peer, line, status, size, shape.block.items, shape.volatile(values), hot.reason, 0.0)
            return
        if shape.forwarded_for:
            peer = self._proxies.client(peer, b",".join([values[at] for at in shape.forwarded_for]))
        text = hot.logged_not_modified if not_modified else hot.logged
        if not text:
            text = hot.logged = b'"%s" %d %d "' % (_quoted(line), hot.status, hot.length)
            hot.logged_not_modified = b'"%s" 304 0 "' % _quoted(line)
            if not_modified:
                text = hot.logged_not_modified
        agent = shape.note
        if agent is None:
            agent = shape.note = b'" "%s"\n' % _value(b"user-agent", shape.block.items)
        referer = shape.referer
        named = b"-" if referer < 0 else values[referer]
        if named.translate(None, _PLAIN):
            named = _quoted(named)
        lines = self._lines
        lines.append(b"".join((peer, self._stamp, text, named, agent)))
        if len(lines) > _MOST_WAITING:
            self.flush()

    def add(
        self,
        peer: bytes,
        line: bytes,
        status: int,
        size: int,
        items: tuple[Field, ...],
        volatile: tuple[Field, ...],
        outcome: str,
        seconds: float,
        reason: str = "",
    ) -> None:
        """Any other request. `seconds` is how long it took, `reason` why its response isn't stored."""
        peer = self._proxies.client(peer, Fields((*items, *volatile)).get(b"x-forwarded-for"))
        referer, agent = _value(b"referer", (*volatile, *items)), _value(b"user-agent", items)
        if self._json:
            entry = {
                "time": round(self._wall, 3),
                "peer": peer.decode(),
                "host": _value(b"host", items).decode(),
                "request": line.decode("latin-1"),
                "status": status,
                "bytes": size,
                "referer": referer.decode(),
                "user_agent": agent.decode(),
                "outcome": outcome,
                "seconds": round(seconds, 6),
            }
            if reason:
                entry["reason"] = reason
            self._lines.append(json.dumps(entry).encode() + b"\n")
        else:
            self._lines.append(
                b'%s%s"%s" %d %d "%s" "%s"\n'
                % (peer, self._stamp, _quoted(line), status, size, referer, agent)
            )
        if len(self._lines) > _MOST_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what waits. Lines that can't be written are lost, and counted."""
        if not self._lines:
            return
        lines = self._lines
        data = b"".join(lines)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.lost += len(lines)
        lines.clear()


def _value(name: bytes, fields: tuple[Field, ...]) -> bytes:
    """The quoted value of a field, `-` when there is none."""
    for known, value in fields:
        if known == name:
            return _quoted(value)
    return b"-"


def _quoted(value: bytes) -> bytes:
    """Bytes from a client, in one line and with no quote of their own."""
    if not value.translate(None, _PLAIN):
        return value
    return b"".join([b"%c" % byte if byte in _PLAIN else b"\\x%02x" % byte for byte in value])
