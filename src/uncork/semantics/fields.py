"""Field lines and the few generic rules of their values.

Lives here: the ordered multi-map of a message's fields, lists (`#rule`), tokens, canonical spelling.
Doesn't know: what any one field means, and where a line ends on the wire.
Names are lower-case bytes everywhere inside Uncork; values are bytes without surrounding white space.
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache

Field = tuple[bytes, bytes]

# token = 1*tchar. Source: RFC 9110 §5.6.2
token = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")

# A list member may hold a quoted string, and that may hold commas. Source: RFC 9110 §5.6.1, §5.6.4
list_member = re.compile(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)


class Fields:
    """The fields of one message: ordered, immutable, looked up by lower-case name.

    `Fields([(b"vary", b"a"), (b"vary", b"b")]).get(b"vary")` is `b"a, b"`. Source: RFC 9110 §5.2, §5.3
    """

    __slots__ = ("_index", "_items")

    def __init__(self, items: Iterable[Field] = ()) -> None:
        self._items = tuple(items)
        self._index: dict[bytes, bytes] | None = None  # made when it is first asked

    def get(self, name: bytes) -> bytes | None:
        """The combined value, or None when there is no such line. Not for `set-cookie`: see `getall`."""
        return (self._index or self._indexed()).get(name)

    def _indexed(self) -> dict[bytes, bytes]:
        index: dict[bytes, bytes] = {}
        for name, value in self._items:
            known = index.get(name)
            index[name] = value if known is None else known + b", " + value
        self._index = index
        return index

    def getall(self, name: bytes) -> tuple[bytes, ...]:
        """The value of every line of that name, in order."""
        return tuple(value for known, value in self._items if known == name)

    def without(self, *names: bytes) -> "Fields":
        """A copy that lacks the lines of these names; the same object when none is there."""
        if not any(name in self for name in names):
            return self
        return Fields(item for item in self._items if item[0] not in names)

    def with_(self, name: bytes, value: bytes) -> "Fields":
        """A copy in which this line is the only one of its name, at the end."""
        return Fields((*(item for item in self._items if item[0] != name), (name, value)))

    def __contains__(self, name: object) -> bool:
        return name in (self._index or self._indexed())

    def __iter__(self) -> Iterator[Field]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fields) and self._items == other._items

    def __hash__(self) -> int:
        return hash(self._items)

    def __repr__(self) -> str:
        return f"Fields({list(self._items)!r})"


def members(value: bytes | None) -> list[bytes]:
    """The members of a list-valued field, without empty ones. Source: RFC 9110 §5.6.1.2"""
    if not value:
        return []
    # A value without quotes, which most are, can be split as it is.
    parts = list_member.findall(value) if b'"' in value else value.split(b",")
    return [found for part in parts if (found := part.strip(b" \t"))]


def names(value: bytes | None) -> list[bytes]:
    """The members of a list of field names or other case-insensitive tokens, in lower case."""
    return [member.lower() for member in members(value)]


_IRREGULAR = {
    b"cdn-cache-control": b"CDN-Cache-Control",
    b"etag": b"ETag",
    b"te": b"TE",
    b"dnt": b"DNT",
    b"www-authenticate": b"WWW-Authenticate",
    b"x-xss-protection": b"X-XSS-Protection",
    b"x-ua-compatible": b"X-UA-Compatible",
    b"content-md5": b"Content-MD5",
    b"sec-websocket-key": b"Sec-WebSocket-Key",
    b"sec-websocket-accept": b"Sec-WebSocket-Accept",
    b"sec-websocket-version": b"Sec-WebSocket-Version",
    b"sec-websocket-protocol": b"Sec-WebSocket-Protocol",
    b"sec-websocket-extensions": b"Sec-WebSocket-Extensions",
}


@lru_cache(1024)
def spelled(name: bytes) -> bytes:
    """How a name is written to an HTTP/1.1 peer: `content-type` as `Content-Type`, `etag` as `ETag`."""
    return _IRREGULAR.get(name) or b"-".join(part.capitalize() for part in name.split(b"-"))
