"""The chunked transfer coding, read piece by piece.

Lives here: a decoder that is fed bytes as they come. Doesn't know: sockets, limits on the whole content.
Chunk extensions are dropped; trailers are read, checked for their grammar, and dropped, as an
intermediary may (RFC 9110 §6.5.1). Source: RFC 9112 §7.1
"""

import re

from uncork.wire.requests import Refused, field_line

# chunk-size [ chunk-ext ]: 15 hexadecimal digits are more than any limit on content. A quoted value may
# hold anything but control characters.
chunk_line = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")

# One chunk line with its extensions; all trailers together.
_LONGEST_LINE = 1024
_LONGEST_TRAILERS = 8192


class ChunkedReader:
    """Feed it bytes; it returns content. When `done`, what followed the message is in `rest`."""

    __slots__ = ("_buffer", "_left", "_state", "_trailers", "done", "rest")

    _SIZE, _DATA, _DATA_END, _TRAILER = range(4)

    def __init__(self) -> None:
        self._buffer = b""
        self._left = 0
        self._state = self._SIZE
        self._trailers = 0
        self.done = False
        self.rest = b""

    def feed(self, data: bytes) -> bytes:
        """The content found in what was fed so far and not returned yet. Raises Refused: 400."""
        data = self._buffer + data if self._buffer else data
        content = []
        at = 0
        while True:
            if self._state == self._DATA:
                piece = data[at : at + self._left]
                content.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if self._left:
                    break
                self._state = self._DATA_END
            elif self._state == self._DATA_END:
                if len(data) - at < 2:
                    if data[at:] not in (b"", b"\r"):
                        raise Refused(400, "no CRLF after a chunk")
                    break
                if data[at : at + 2] != b"\r\n":
                    raise Refused(400, "no CRLF after a chunk")
                at += 2
                self._state = self._SIZE
            else:
                end = data.find(b"\r\n", at)
                longest = _LONGEST_LINE if self._state == self._SIZE else _LONGEST_TRAILERS
                if (len(data) if end < 0 else end) - at > longest:
                    raise Refused(400, "a chunk line or trailer is too long")
                if end < 0:
                    if b"\n" in data[at:]:
                        raise Refused(400, "a bare LF in the chunked coding")
                    break
                line = data[at:end]
                at = end + 2
                if self._state == self._SIZE:
                    self._read_size(line)
                elif line:
                    self._read_trailer(line)
                else:
                    self.done = True
                    self.rest = data[at:]
                    at = len(data)
                    break
        self._buffer = data[at:]
        return b"".join(content)

    def _read_size(self, line: bytes) -> None:
        match = chunk_line.fullmatch(line)
        if match is None:
            raise Refused(400, "malformed chunk size")
        self._left = int(match[1], 16)
        self._state = self._DATA if self._left else self._TRAILER

    def _read_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > _LONGEST_TRAILERS or field_line.fullmatch(line) is None:
            raise Refused(400, "malformed or too long trailers")
