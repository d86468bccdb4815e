"""From the selected representation to an answer: what conditions and ranges of the request make of it.

Lives here: 200, 206, 304, 412 and 416 of a GET or HEAD, with their fields and the right bytes.
Doesn't know: where a representation comes from (a static file, a stored page), and connections.
"""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum

from uncork.edge.answers import Answer, Body, FilePart
from uncork.semantics.conditional import Precondition, evaluate, if_range_matches
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import Request
from uncork.semantics.ranges import (
    IGNORED,
    UNSATISFIABLE,
    Range,
    content_range,
    multipart_byteranges,
    parse_ranges,
    unsatisfied_range,
)


class Selected(Enum):
    """What was sent of a representation, and why not all of it."""

    WHOLE = "whole"
    RANGE = "range"
    RANGES = "ranges"
    NOT_MODIFIED = "not-modified"
    PRECONDITION_FAILED = "precondition-failed"
    RANGE_UNSATISFIABLE = "range-unsatisfiable"


# What a 304 leaves out: it says nothing about content that it doesn't carry. Source: RFC 9110 §15.4.5
_NOT_IN_304 = frozenset(
    {
        b"accept-ranges",
        b"content-disposition",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-type",
        b"x-content-type-options",
    }
)


@dataclass(frozen=True, slots=True)
class Representation:
    """What a plain GET would get with 200.

    `fields` lack ETag, Last-Modified, Accept-Ranges and Content-Length. `last_modified` is in seconds
    since the epoch. `content` is what its coding made of it, and is a hold on the file when it is one.
    """

    fields: tuple[Field, ...]
    content: bytes | FilePart
    etag: bytes | None
    last_modified: int | None

    @property
    def length(self) -> int:
        return len(self.content) if isinstance(self.content, bytes) else self.content.count


def answer(
    request: Request,
    representation: Representation,
    now: float,
    *,
    at_origin: bool = True,
    date: float | None = None,
) -> Answer:
    """The answer to a GET or HEAD that would get this representation.

    `now` is in seconds since the epoch, and `date` when the representation was known to be current, for
    one that is stored. If-Match and If-Unmodified-Since are the origin's to evaluate, so they count only
    `at_origin`. The hold on the file passes to the answer.
    Source: RFC 9110 §13.2, §14.2, §15.3.7, §15.4.5
    """
    fields = request.fields
    outcome = evaluate(
        request.method,
        fields,
        representation.etag,
        representation.last_modified,
        now,
        at_origin=at_origin,
    )
    if outcome is Precondition.FAILED:
        return _without_content(representation, 412, Selected.PRECONDITION_FAILED, ())
    if outcome is Precondition.NOT_MODIFIED:
        kept = fields_of_304(_fields(representation))
        return _without_content(representation, 304, Selected.NOT_MODIFIED, kept)
    if request.method == b"HEAD":
        length = b"%d" % representation.length
        return _without_content(
            representation, 200, Selected.WHOLE, (*_fields(representation), (b"content-length", length))
        )

    # A Range in any other method than GET is ignored. Source: RFC 9110 §14.2
    wanted = fields.get(b"range")
    if wanted is not None and if_range_matches(
        fields, representation.etag, representation.last_modified, now if date is None else date
    ):
        ranges = parse_ranges(wanted, representation.length)
        if ranges is UNSATISFIABLE:
            unsatisfied = (b"content-range", unsatisfied_range(representation.length))
            return _without_content(representation, 416, Selected.RANGE_UNSATISFIABLE, (unsatisfied,))
        if ranges is not IGNORED:
            return _partial(representation, ranges)
    return Answer(200, Selected.WHOLE, Fields(_fields(representation)), representation.content)


def _fields(representation: Representation) -> list[Field]:
    fields = [*representation.fields, (b"accept-ranges", b"bytes")]
    if representation.etag is not None:
        fields.append((b"etag", representation.etag))
    if representation.last_modified is not None:
        fields.append((b"last-modified", format_date(representation.last_modified)))
    return fields


def fields_of_304(fields: Iterable[Field]) -> list[Field]:
    """Those of a 200 that its 304 has: no Last-Modified beside an ETag, which says more.

    Source: RFC 9110 §15.4.5
    """
    fields = tuple(fields)
    left_out = _NOT_IN_304 | {b"last-modified"} if any(name == b"etag" for name, _ in fields) else _NOT_IN_304
    return [field for field in fields if field[0] not in left_out]


def _partial(representation: Representation, ranges: list[Range]) -> Answer:
    length = representation.length
    fields = _fields(representation)
    if len(ranges) == 1:
        start, stop = ranges[0]
        fields.append((b"content-range", content_range(start, stop, length)))
        body: Body = _part(representation.content, start, stop)
        selected = Selected.RANGE
    else:
        parts = multipart_byteranges(
            ranges, length, Fields(fields).get(b"content-type"), secrets.token_hex(16).encode()
        )
        fields = [field for field in fields if field[0] != b"content-type"]
        fields.append((b"content-type", parts.content_type))
        body = []
        for head, (start, stop) in zip(parts.heads, ranges, strict=True):
            body += [head, _part(representation.content, start, stop)]
        body.append(parts.tail)
        selected = Selected.RANGES
    _let_go(representation)
    return Answer(206, selected, Fields(fields), body)


def _part(content: bytes | FilePart, start: int, stop: int) -> bytes | FilePart:
    if isinstance(content, bytes):
        return content[start:stop]
    return FilePart(content.file.acquire(), content.offset + start, stop - start)


def _without_content(
    representation: Representation, status: int, selected: Selected, fields: Iterable[Field]
) -> Answer:
    _let_go(representation)
    return Answer(status, selected, Fields(fields))


def _let_go(representation: Representation) -> None:
    if isinstance(representation.content, FilePart):
        representation.content.file.release()
