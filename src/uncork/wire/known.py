"""Request heads, read with the help of what was read before.

Lives here: the split of a head into what a browser repeats and what it varies; what is remembered, and
its bounds. Doesn't know: what the fields mean to the edge, sockets.

A browser sends the same field lines with every request, but for `Cookie`, `Referer` and the conditions; a
proxy in front adds the client's address and numbers of its own.
There are three ways to read a head, each for what the one before it doesn't know:

1. By the `Shape` of the connection's last head: the texts between the values that vary are compared in
   place (1 µs for 14 lines of which two vary).
2. By its block: the head is cut at the lines that vary, what remains is joined and looked up as one
   key: its `Block` is the parse of bytes that were seen before (1.6 µs).
3. Line by line, and each line is looked up.

Everything is parsed by `wire.requests`, once; a look-up finds what that parser said, so there is no
second opinion.

A client can't fill it: a block is kept on its second sight (a fixed array remembers the first), both
tables have a bounded number of entries of bounded size, and when one is full the older half goes.
"""

import re
from collections.abc import Iterable
from typing import Any

from uncork.semantics.fields import Field, Fields
from uncork.wire.limits import Limits
from uncork.wire.requests import Refused, Target, Terms, parse_field_line, read_target, read_terms

# The lines that differ from request to request: a browser's, and what nginx, load balancers and CDNs in front
# tell of each. In the spellings that they use.
_VOLATILE_SPELLED = (
    b"Cookie", b"Referer", b"If-None-Match", b"If-Modified-Since",
    b"X-Forwarded-For", b"X-Real-IP", b"X-Real-Ip", b"X-Request-ID", b"X-Request-Id", b"X-Request-Start",
    b"X-Amzn-Trace-Id", b"X-Amz-Cf-Id", b"X-Cloud-Trace-Context", b"Traceparent",
    b"CF-Ray", b"CF-RAY", b"Cf-Ray", b"CF-Connecting-IP", b"Cf-Connecting-Ip", b"Uncork-Peer",
)  # fmt: skip
VOLATILE_NAMES = frozenset(name.lower() for name in _VOLATILE_SPELLED)


def _by_first_letter(names: Iterable[bytes]) -> bytes:
    """An expression for any of the names. One after the other, they would be tried at each line."""
    rests: dict[bytes, list[bytes]] = {}
    for name in sorted(names):
        rests.setdefault(name[:1], []).append(name[1:])
    return b"|".join([b"%b(?:%b)" % (first, b"|".join(rest)) for first, rest in rests.items()])


# The value's grammar is that of `requests.field_line` but for white space at its ends.
volatile_line = re.compile(
    rb"\r\n(%b): ([\t\x20-\x7e\x80-\xff]*)(?=\r\n)" % _by_first_letter({*_VOLATILE_SPELLED, *VOLATILE_NAMES})
)

_CRLF = b"\r\n"
# 2 × 1,024 blocks of at most 4 KiB, each with two shapes at most: what a thousand different browsers send. At
# the very most 25 MiB.
_MOST_BLOCKS = 1024
_LONGEST_BLOCK = 4096
_MOST_SHAPES = 2
_MOST_LINES = 4096
_LONGEST_LINE = 512
_FIRST_SIGHTS = 4096


# For bytes.translate: what a field value may hold. The rest, control characters, is what it leaves.
VALUE_BYTES = bytes([9, *range(0x20, 0x7F), *range(0x80, 0x100)])

NO_CONDITION, OTHER_CONDITION = -1, -2


class Shape:
    """A block together with the places of the volatile lines in it.

    A head has this shape when it is its request line, then for each of `pieces` that text (from the CRLF
    before it to the colon and space of a volatile line) and a value, then `tail`, and no more.
    `condition` is the index of the value of If-None-Match; OTHER_CONDITION when there are other conditions
    than that one, NO_CONDITION when there are none. `referer` is the index of that value, or -1, and `cookie`
    that of the only Cookie line; `forwarded_for` are those of X-Forwarded-For. `note` is the edge's to set.
    Beside If-None-Match, If-Modified-Since is ignored (RFC 9110 §13.1.3).
    """

    __slots__ = (
        "block",
        "condition",
        "cookie",
        "forwarded_for",
        "names",
        "note",
        "pieces",
        "referer",
        "tail",
        "tail_size",
    )

    def __init__(self, block: "Block", texts: tuple[bytes, ...], names: tuple[bytes, ...]) -> None:
        self.block = block
        self.names = tuple(name.lower() for name in names)
        pieces = [text + b"\r\n" + name + b": " for text, name in zip(texts, names, strict=False)]
        self.pieces = tuple((piece, len(piece)) for piece in pieces)
        self.tail = texts[-1]
        self.tail_size = len(self.tail)
        self.note: bytes | None = None
        self.referer = self.names.index(b"referer") if b"referer" in self.names else -1
        self.cookie = self.names.index(b"cookie") if self.names.count(b"cookie") == 1 else -1
        self.forwarded_for = [at for at, name in enumerate(self.names) if name == b"x-forwarded-for"]
        tags = self.names.count(b"if-none-match")
        if tags == 1:
            self.condition = self.names.index(b"if-none-match")
        else:
            conditional = tags or b"if-modified-since" in self.names
            self.condition = OTHER_CONDITION if conditional else NO_CONDITION

    def volatile(self, values: list[bytes]) -> tuple[Field, ...]:
        """The volatile lines as fields, from their values as sent."""
        return tuple([(name, value.strip(b" \t")) for name, value in zip(self.names, values, strict=True)])


class Block:
    """The parse of the field lines that a browser repeats. `note`, `onward` and `selected` are the edge's to
    set: what it worked out for this block."""

    __slots__ = ("_shapes", "fields", "items", "note", "onward", "selected", "terms")

    def __init__(self, items: tuple[Field, ...]) -> None:
        self.items = items
        self.fields = Fields(items)
        self.note: Any = None
        self.onward: bytes | None = None
        self.selected: dict[tuple[bytes, ...], Any] = {}
        self.terms: dict[bytes, Terms] = {}  # by version
        self._shapes: dict[tuple[bytes, ...], Shape] = {}

    def shape(self, parts: list[bytes], end: int) -> Shape:
        """The shape of a head that `cut` gave as `parts`, its request line being `end` bytes long."""
        texts = (parts[0][end:], *parts[3::3])
        names = tuple(parts[1::3])
        shape = self._shapes.get(texts + names)
        if shape is None:
            if len(self._shapes) >= _MOST_SHAPES:
                self._shapes.clear()
            shape = self._shapes[texts + names] = Shape(self, texts, names)
        return shape


class Head:
    """A request head taken apart: the raw request line, the block, and the volatile lines."""

    __slots__ = ("block", "line", "volatile")

    def __init__(self, line: bytes, block: Block, volatile: tuple[Field, ...]) -> None:
        self.line = line
        self.block = block
        self.volatile = volatile

    def fields(self) -> Fields:
        """All fields of the head. Lines of one name keep their order: a block holds no volatile name
        unless all lines of that name are in it."""
        return Fields(self.block.items + self.volatile)


def cut(head: bytes) -> list[bytes]:
    """A head, its blank line included, as [text, name, value, text, name, value, …, text].

    `b"".join(parts[::3])` is the head without its volatile lines. No `\\r\\n\\r\\n` can hide in what is
    cut out: a value holds no CR, and a line cut out after an empty line leaves the empty line behind.
    """
    return volatile_line.split(head)


class KnownHeads:
    """What was read before, bounded. `blocks` is looked up by the fast path itself: the key is a head
    without its request line and volatile lines, from the first CRLF to the blank line."""

    def __init__(self, limits: Limits) -> None:
        self.blocks: dict[bytes, Block] = {}
        self._older_blocks: dict[bytes, Block] = {}
        self._lines: dict[bytes, Field] = {}
        self._targets: dict[tuple[bytes, bytes | None], Target] = {}
        self._first_sights = [0] * _FIRST_SIGHTS
        self._limits = limits

    def read(self, head: bytes) -> Head:
        """Take a whole head apart, up to and with its blank line. Raises Refused: 400, 431."""
        return self.assemble(cut(head))

    def assemble(self, parts: list[bytes]) -> Head:
        """The same from what `cut` made of it."""
        rest = parts[0] if len(parts) == 1 else b"".join(parts[::3])
        end = rest.find(_CRLF)
        key = rest[end:]
        block = self.blocks.get(key)
        if block is None:
            block = self._older_blocks.pop(key, None)
            if block is not None:
                self._keep(key, block)
            else:
                block = self._parse(key, len(parts))
                if any(name in VOLATILE_NAMES for name, _ in block.items):
                    return _unusual(rest[:end], end, parts)
                self._keep_on_second_sight(key, block)
        if len(parts) == 1:
            return Head(rest[:end], block, ())
        if len(block.items) + len(parts) // 3 > self._limits.fields:
            raise Refused(431, "too many field lines")
        volatile = tuple((parts[i].lower(), parts[i + 1].strip(b" \t")) for i in range(1, len(parts), 3))
        return Head(rest[:end], block, volatile)

    def target(self, line: bytes, host: bytes | None) -> Target:
        """See `read_target`."""
        target = self._targets.get((line, host))
        if target is None:
            target = read_target(line, host, self._limits)
            if len(line) <= _LONGEST_LINE:
                if len(self._targets) >= _MOST_LINES:
                    self._targets.clear()
                self._targets[line, host] = target
        return target

    def terms(self, block: Block, version: bytes) -> Terms:
        """See `read_terms`: no volatile line has a say."""
        terms = block.terms.get(version)
        if terms is None:
            terms = block.terms[version] = read_terms(version, block.fields, self._limits)
        return terms

    def _parse(self, key: bytes, parts: int) -> Block:
        lines = key[2:-4].split(_CRLF) if len(key) > 4 else []
        if len(lines) + parts // 3 > self._limits.fields:
            raise Refused(431, "too many field lines")
        known = self._lines
        items = []
        for line in lines:
            item = known.get(line)
            if item is None:
                item = parse_field_line(line)
                if len(line) <= _LONGEST_LINE:
                    if len(known) >= _MOST_LINES:
                        known.clear()
                    known[line] = item
            items.append(item)
        return Block(tuple(items))

    def _keep_on_second_sight(self, key: bytes, block: Block) -> None:
        if len(key) > _LONGEST_BLOCK:
            return
        mark = hash(key)
        place = mark % _FIRST_SIGHTS
        if self._first_sights[place] == mark:
            self._keep(key, block)
        else:
            self._first_sights[place] = mark

    def _keep(self, key: bytes, block: Block) -> None:
        if len(self.blocks) >= _MOST_BLOCKS:
            self._older_blocks = dict(self.blocks)
            self.blocks.clear()  # the same object: the fast path holds on to it
        self.blocks[key] = block


def _unusual(line: bytes, end: int, parts: list[bytes]) -> Head:
    """A volatile name in an unusual spelling: all lines in their order as one block, never kept."""
    lines = parts[0][end:] + b"".join(
        [b"\r\n%s: %s%s" % tuple(parts[i : i + 3]) for i in range(1, len(parts), 3)]
    )
    return Head(line, Block(tuple([parse_field_line(item) for item in lines[2:-4].split(_CRLF)])), ())
