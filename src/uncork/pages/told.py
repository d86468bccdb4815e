"""What a render read, by its names: what the application tells who explains a page.

Lives here: the four fields, which an edge never asks for. Doesn't know: who asks, and what is shown of it.

    Uncork-Tags: TAG ...            the tags whose slots are in the record
    Uncork-Places: INPUT=PLACE ...  FILE:LINE of the code that first read the input
    Uncork-Reasons: REASON=PLACE ...  why the page can't be shared, the reason that counts first
    Uncork-Fallbacks: WHAT=N ...    how often a read was recorded more coarsely than it was

Names are percent-encoded. What has no room in a field is counted by its last member, `+N`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes, unquote_to_bytes

from uncork.semantics.fields import Field, Fields

EXPLAIN = b"uncork-explain"
"""The request field that asks for it; its value is the name of the purge clock, which no client knows."""

TAGS = b"uncork-tags"
PLACES = b"uncork-places"
REASONS = b"uncork-reasons"
FALLBACKS = b"uncork-fallbacks"

MOST_BYTES = 32 * 1024
"""Of a field: readers of heads allow 64 KiB to a line."""


@dataclass(frozen=True, slots=True)
class Told:
    """`places` by the names of inputs, `reasons` by the values of `Unshared`. `left`: by the names of the
    fields, how many members had no room."""

    tags: tuple[bytes, ...] = ()
    places: Mapping[bytes, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    fallbacks: Mapping[str, int] = field(default_factory=dict)
    left: Mapping[bytes, int] = field(default_factory=dict)


def format_told(told: Told) -> list[Field]:
    """The fields of a response."""
    return [
        (name, value)
        for name, members in (
            (TAGS, [_quoted(tag) for tag in sorted(told.tags)]),
            (PLACES, [_pair(name, place) for name, place in told.places.items()]),
            (REASONS, [_pair(reason.encode(), place) for reason, place in told.reasons.items()]),
            (FALLBACKS, [_pair(_bytes(what), str(count)) for what, count in told.fallbacks.items()]),
        )
        if (value := _bounded(members))
    ]


def parse_told(fields: Fields) -> Told:
    """What a response tells; nothing of what can't be read."""
    found = {name: _members(fields.get(name)) for name in (TAGS, PLACES, REASONS, FALLBACKS)}
    places, reasons, fallbacks = [_pairs(found[name][0]) for name in (PLACES, REASONS, FALLBACKS)]
    return Told(
        tuple([unquote_to_bytes(tag) for tag in found[TAGS][0]]),
        {name: _text(place) for name, place in places},
        {_text(reason): _text(place) for reason, place in reasons},
        {_text(what): int(count) for what, count in fallbacks if count.isdigit()},
        {name: left for name, (_, left) in found.items() if left},
    )


def _quoted(name: bytes) -> bytes:
    return quote_from_bytes(name, safe=":!$&'()*,;@/?.~").encode()


def _pair(name: bytes, value: str) -> bytes:
    return _quoted(name) + b"=" + _quoted(_bytes(value))


def _bounded(members: Iterable[bytes]) -> bytes:
    kept: list[bytes] = []
    size = left = 0
    for member in members:
        size += len(member) + 1
        if size > MOST_BYTES:
            left += 1
        else:
            kept.append(member)
    return b" ".join([*kept, b"+%d" % left] if left else kept)


def _members(value: bytes | None) -> tuple[list[bytes], int]:
    found = (value or b"").split()
    if found and found[-1][:1] == b"+" and found[-1][1:].isdigit():
        return found[:-1], int(found[-1][1:])
    return found, 0


def _pairs(members: Iterable[bytes]) -> list[tuple[bytes, bytes]]:
    split = [member.partition(b"=") for member in members]
    return [(unquote_to_bytes(name), unquote_to_bytes(value)) for name, equals, value in split if equals]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")
