"""Response heads, read with the help of what was read before.

Lives here: the split of a head into what an origin repeats and what differs from response to response;
what is remembered, and its bounds. Doesn't know: how a head is parsed (`reading`), sockets.

What is found is what the parser said of a head that differed from this one in the values of its volatile
lines alone. Only heads of the plainest kind are kept: final, and followed by content whose length one line
tells. Everything else goes to the parser each time.
"""

import re

from uncork.semantics.fields import Fields

# The lines that differ from response to response, in the two spellings that servers use. A line that is
# continued on the next (obs-fold) is none of them. Source: RFC 9110 §5.5, RFC 9112 §5.2
volatile_line = re.compile(
    rb"\r\n(Date|date|Content-Length|content-length|ETag|etag|Last-Modified|last-modified|Expires|expires"
    rb"|Set-Cookie|set-cookie): ([\t\x20-\x7e\x80-\xff]*)(?=\r\n[^\t ])"
)
_VOLATILE_NAMES = frozenset(
    {b"date", b"content-length", b"etag", b"last-modified", b"expires", b"set-cookie"}
)
content_length = re.compile(rb"[0-9]{1,15}")

# A few kinds of pages have a head each: 256 of them, of at most 4 KiB.
_MOST_BLOCKS = 256
_LONGEST_HEAD = 4096
_FIRST_SIGHTS = 1024

Key = tuple[bytes, ...]


class Block:
    """The parse of the lines that an origin repeats. `names` are those of the volatile lines around them, in
    lower case and without that of Content-Length, which is the one at `length_at` among all. `keep`: the
    connection may carry another exchange. `onward` is the edge's to set: what it worked out for this block.
    """

    __slots__ = ("fields", "keep", "length_at", "names", "onward", "reason", "status")

    def __init__(self, status: int, reason: bytes, fields: Fields, names: Key, keep: bool) -> None:
        self.status = status
        self.reason = reason
        self.fields = fields
        self.length_at = names.index(b"content-length")
        self.names = tuple([name for name in names if name != b"content-length"])
        self.keep = keep
        self.onward: dict[object, bytes] = {}


class Head:
    """A head taken apart: `values` are those of the block's `names`, `length` is that of the content, as
    sent, and `size` that of the head itself, in bytes."""

    __slots__ = ("block", "length", "size", "values")

    def __init__(self, block: Block, values: Key, length: bytes, size: int) -> None:
        self.block = block
        self.values = values
        self.length = length
        self.size = size

    def fields(self) -> Fields:
        """All fields of the head; lines of one name in their order."""
        block = self.block
        length = (b"content-length", self.length)
        return Fields((*block.fields, *zip(block.names, self.values, strict=True), length))


class KnownHeads:
    """What was read before from one origin, bounded: an origin that never repeats itself fills nothing."""

    def __init__(self) -> None:
        self._blocks: dict[Key, Block] = {}
        self._first_sights = [0] * _FIRST_SIGHTS

    def read(self, data: bytes) -> Head | None:
        """The head at the start of these bytes, if it is known; content may follow it."""
        end = data.find(b"\r\n\r\n")
        if not 0 <= end <= _LONGEST_HEAD:
            return None
        parts = volatile_line.split(data[: end + 4])
        values = [value.strip(b" \t") for value in parts[2::3]]
        del parts[2::3]
        block = self._blocks.get(tuple(parts))
        if block is None:
            return None
        length = values.pop(block.length_at)
        if content_length.fullmatch(length) is None:
            return None
        return Head(block, tuple(values), length, end + 4)

    def keep(self, data: bytes, status: int, reason: bytes, fields: Fields, keep: bool) -> None:
        """Remember what the parser said of the head at the start of these bytes, on its second sight."""
        end = data.find(b"\r\n\r\n")
        if not 0 <= end <= _LONGEST_HEAD:
            return
        parts = volatile_line.split(data[: end + 4])
        del parts[2::3]
        key = tuple(parts)
        names = tuple([name.lower() for name in parts[1::2]])
        steady = Fields(item for item in fields if item[0] not in _VOLATILE_NAMES)
        if (
            names.count(b"content-length") != 1
            or len(steady) + len(names) != len(fields)
            or b"transfer-encoding" in steady
            or (steady.get(b"connection") or b"close").lower() not in (b"close", b"keep-alive")
        ):
            return
        mark = hash(key)
        place = mark % _FIRST_SIGHTS
        if self._first_sights[place] != mark:
            self._first_sights[place] = mark
            return
        if len(self._blocks) >= _MOST_BLOCKS:
            self._blocks.clear()
        self._blocks[key] = Block(status, reason, steady, names, keep)
