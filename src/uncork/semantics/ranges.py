"""Byte ranges: which bytes a `Range` asks for, and how the parts are labelled.

Lives here: the `bytes` unit, its bounds against requests that ask for too much, multipart/byteranges.
Doesn't know: whether a range applies at all (GET only, and see If-Range in conditional.py), and files.
Ranges are half-open here, `(start, stop)`, and inclusive on the wire.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

# Ranges in one request that are looked at. A PDF reader asks for a handful; each part costs a header of
# its own and a system call. More than this is answered with the whole. Source: RFC 9110 §14.2, §17.15
MOST_RANGES = 64

# Two ranges with fewer bytes than this between them cost less as one: a part has a boundary, two fields
# and their line ends. Source: RFC 9110 §15.3.7.2
PART_OVERHEAD = 80

Range = tuple[int, int]


class NoRange(Enum):
    """IGNORED: answer as if there were no Range. UNSATISFIABLE: 416."""

    IGNORED = "ignored"
    UNSATISFIABLE = "unsatisfiable"


IGNORED: Final = NoRange.IGNORED
UNSATISFIABLE: Final = NoRange.UNSATISFIABLE

# ranges-specifier = range-unit "=" range-set. Source: RFC 9110 §14.1, §14.1.1
ranges_specifier = re.compile(rb"(?i:bytes)=(.*)", re.DOTALL)
# int-range = first-pos "-" [ last-pos ] ; suffix-range = "-" suffix-length. Source: RFC 9110 §14.1.1
range_spec = re.compile(rb"([0-9]*)-([0-9]*)")


def parse_ranges(value: bytes, length: int) -> list[Range] | NoRange:
    """The ranges that a `Range` selects of a representation of `length` bytes, as (start, stop).

    They are in the order of the request, without the unsatisfiable; those that overlap or nearly touch
    are made one, so that all of them together are never more than the whole. One range is sent as it is,
    several as multipart/byteranges. Another unit, a syntax error and too many ranges are IGNORED.
    Source: RFC 9110 §14.1.2, §14.2, §15.3.7, §15.5.17
    """
    specifier = ranges_specifier.fullmatch(value)
    if specifier is None:
        return IGNORED
    specs = specifier[1].split(b",")
    if len(specs) > MOST_RANGES:
        return IGNORED

    ranges: list[Range] = []
    valid = empty_suffix = False
    for spec in specs:
        spec = spec.strip(b" \t")
        if not spec:
            continue  # a list may have empty members. Source: RFC 9110 §5.6.1.2
        found = range_spec.fullmatch(spec)
        if found is None:
            return IGNORED
        first, last = found.groups()
        if first:
            start = _position(first)
            stop = _position(last) + 1 if last else length
            if last and stop <= start:
                return IGNORED
            stop = min(stop, length)
        elif last:
            suffix = _position(last)
            start, stop = max(length - suffix, 0), length
            empty_suffix = empty_suffix or (length == 0 and suffix > 0)
        else:
            return IGNORED
        valid = True
        if start < stop:
            ranges.append((start, stop))

    if not ranges:
        # The last bytes of nothing can be had, but no Content-Range can say so: that is a 200.
        return IGNORED if empty_suffix or not valid else UNSATISFIABLE
    return ranges if len(ranges) == 1 else _coalesced(ranges)


def _position(digits: bytes) -> int:
    """A number that may be absurdly long (int() refuses 4,300 digits): no length reaches 20 digits."""
    return int(digits) if len(digits) < 20 else int(digits.lstrip(b"0")[:20] or b"0")


def _coalesced(ranges: list[Range]) -> list[Range]:
    """One range for those that overlap or nearly touch, each at the place of its earliest member."""
    merged: list[tuple[int, int, int]] = []  # start, stop, place in the request
    for start, stop, place in sorted((start, stop, place) for place, (start, stop) in enumerate(ranges)):
        if merged and start < merged[-1][1] + PART_OVERHEAD:
            known_start, known_stop, known_place = merged[-1]
            merged[-1] = (known_start, max(known_stop, stop), min(known_place, place))
        else:
            merged.append((start, stop, place))
    merged.sort(key=lambda item: item[2])
    return [(start, stop) for start, stop, _ in merged]


def content_range(start: int, stop: int, length: int) -> bytes:
    """`Content-Range` of a 206, or of one of its parts. Source: RFC 9110 §14.4"""
    return b"bytes %d-%d/%d" % (start, stop - 1, length)


def unsatisfied_range(length: int) -> bytes:
    """`Content-Range` of a 416. Source: RFC 9110 §14.4, §15.5.17"""
    return b"bytes */%d" % length


@dataclass(frozen=True, slots=True)
class Multipart:
    """The content of a 206 with several ranges: `heads[0]`, the bytes of the first range, `heads[1]`, …,
    `tail`. It has no Content-Range of its own. Source: RFC 9110 §14.6, §15.3.7.2"""

    content_type: bytes
    heads: tuple[bytes, ...]
    tail: bytes
    length: int  # bytes, the ranges included


def multipart_byteranges(
    ranges: Sequence[Range], length: int, content_type: bytes | None, boundary: bytes
) -> Multipart:
    """Label the parts. `content_type` is the representation's own, `boundary` 1 to 70 letters and digits
    that nobody can guess and so put into the content. Source: RFC 9110 §14.6, RFC 2046 §5.1.1"""
    opening = b"\r\n--%s\r\n" % boundary
    if content_type is not None:
        opening += b"Content-Type: %s\r\n" % content_type
    heads = [
        b"%sContent-Range: %s\r\n\r\n" % (opening, content_range(start, stop, length))
        for start, stop in ranges
    ]
    heads[0] = heads[0].removeprefix(b"\r\n")
    tail = b"\r\n--%s--\r\n" % boundary
    total = sum(map(len, heads)) + sum(stop - start for start, stop in ranges) + len(tail)
    return Multipart(b"multipart/byteranges; boundary=" + boundary, tuple(heads), tail, total)
