"""Byte ranges: RFC 9110 §14."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.ranges import (
    IGNORED,
    MOST_RANGES,
    PART_OVERHEAD,
    UNSATISFIABLE,
    NoRange,
    content_range,
    multipart_byteranges,
    parse_ranges,
    unsatisfied_range,
)

LENGTH = 10_000


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # §14.1.2: the examples, of a representation of 10,000 bytes
        (b"bytes=0-499", [(0, 500)]),
        (b"bytes=500-999", [(500, 1000)]),
        (b"bytes=-500", [(9500, 10000)]),
        (b"bytes=9500-", [(9500, 10000)]),
        (b"bytes=0-0,-1", [(0, 1), (9999, 10000)]),
        (b"bytes= 0-999, 4500-5499, -1000", [(0, 1000), (4500, 5500), (9000, 10000)]),
        (b"bytes=500-600,601-999", [(500, 1000)]),
        (b"bytes=500-700,601-999", [(500, 1000)]),
        # the smallest ranges there are
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=-1", [(9999, 10000)]),
        (b"bytes=9999-9999", [(9999, 10000)]),
        (b"bytes=0-", [(0, 10000)]),
        # §14.1.2: a last position past the end, a suffix longer than the whole
        (b"bytes=0-9999999", [(0, 10000)]),
        (b"bytes=9999-10000", [(9999, 10000)]),
        (b"bytes=-10001", [(0, 10000)]),
        # §14.1: names of units are case-insensitive, an unknown one is ignored
        (b"Bytes=0-0", [(0, 1)]),
        (b"BYTES=0-0", [(0, 1)]),
        (b"lines=0-0", IGNORED),
        (b"seconds=1-2", IGNORED),
        (b"bytess=0-0", IGNORED),
        (b"=0-0", IGNORED),
        # §14.1.1: an invalid specifier
        (b"", IGNORED),
        (b"bytes", IGNORED),
        (b"bytes=", IGNORED),
        (b"bytes=,", IGNORED),
        (b"bytes=-", IGNORED),
        (b"bytes=0", IGNORED),
        (b"bytes=1-0", IGNORED),
        (b"bytes=0-1,5-2", IGNORED),
        (b"bytes=20000-10000", IGNORED),
        (b"bytes=0-1-2", IGNORED),
        (b"bytes=--1", IGNORED),
        (b"bytes=+1-2", IGNORED),
        (b"bytes=0x0-0x1", IGNORED),
        (b"bytes=0 - 1", IGNORED),
        (b"bytes =0-1", IGNORED),
        (b"bytes:0-1", IGNORED),
        (b"bytes=0-1;2-3", IGNORED),
        (b"bytes=0-1\n", IGNORED),
        (b"bytes=\xd9\xa0-\xd9\xa1", IGNORED),
        (b"bytes=1_0-2_0", IGNORED),
        # §5.6.1.2: empty members and white space in the list
        (b"bytes=,0-0 ,\t, 200-200,", [(0, 1), (200, 201)]),
        # §14.1.2: unsatisfiable, unless one is not
        (b"bytes=10000-", UNSATISFIABLE),
        (b"bytes=10000-10001", UNSATISFIABLE),
        (b"bytes=-0", UNSATISFIABLE),
        (b"bytes=10000-,-0", UNSATISFIABLE),
        (b"bytes=10000-,0-0", [(0, 1)]),
        # a number longer than int() takes
        (b"bytes=0-" + b"9" * 5000, [(0, 10000)]),
        (b"bytes=-" + b"9" * 5000, [(0, 10000)]),
        (b"bytes=" + b"9" * 5000 + b"-", UNSATISFIABLE),
        (b"bytes=" + b"0" * 5000 + b"1-1", [(1, 2)]),
        (b"bytes=-" + b"0" * 5000, UNSATISFIABLE),
        # §15.3.7.2: order of the request, but coalesced at the place of the first
        (b"bytes=5000-5009,0-9", [(5000, 5010), (0, 10)]),
        (b"bytes=5000-5009,0-9,5010-5019", [(5000, 5020), (0, 10)]),
        (b"bytes=5000-5009,0-9,4990-4999", [(4990, 5010), (0, 10)]),
        (b"bytes=0-99,20-29", [(0, 100)]),
        (b"bytes=0-9,10-,5-7", [(0, 10000)]),
        # a gap as long as what a part costs is a gap
        (b"bytes=0-9,90-99", [(0, 10), (90, 100)]),
        (b"bytes=0-9,89-99", [(0, 100)]),
        # §17.15: many and overlapping ranges
        (b"bytes=" + b",".join([b"0-"] * MOST_RANGES), [(0, 10000)]),
        (b"bytes=" + b",".join([b"0-"] * (MOST_RANGES + 1)), IGNORED),
        (b"bytes=" + b"," * 100_000, IGNORED),
    ],
)
def test_ranges_of_ten_thousand_bytes(value: bytes, expected: object) -> None:
    assert parse_ranges(value, LENGTH) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # §14.1.2: nothing has no first byte, and its last bytes can't be named in a Content-Range
        (b"bytes=0-0", UNSATISFIABLE),
        (b"bytes=0-", UNSATISFIABLE),
        (b"bytes=-0", UNSATISFIABLE),
        (b"bytes=-1", IGNORED),
        (b"bytes=0-,-1", IGNORED),
    ],
)
def test_ranges_of_nothing(value: bytes, expected: object) -> None:
    assert parse_ranges(value, 0) == expected


specs = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 1500), st.integers(0, 1500)).map(lambda pair: f"{min(pair)}-{max(pair)}"),
        st.integers(0, 1500).map("{}-".format),
        st.integers(0, 1500).map("-{}".format),
    ),
    min_size=1,
    max_size=8,
)


def wanted(spec: str, length: int) -> set[int]:
    """The positions that one range-spec selects, by its definition."""
    first, _, last = spec.partition("-")
    if not first:
        return set(range(length)[-int(last) :]) if int(last) else set()
    return {position for position in range(length) if int(first) <= position <= int(last or length)}


@given(specs, st.integers(0, 1200))
def test_all_that_is_asked_for_is_sent_once_and_little_else(specs: list[str], length: int) -> None:
    ranges = parse_ranges(b"bytes=" + ", ".join(specs).encode(), length)
    asked = set().union(*(wanted(spec, length) for spec in specs))
    if isinstance(ranges, NoRange):
        assert not asked
        assert ranges is UNSATISFIABLE or length == 0
        return
    assert all(0 <= start < stop <= length for start, stop in ranges)
    sent = [position for start, stop in ranges for position in range(start, stop)]
    assert len(sent) == len(set(sent)) <= length
    assert asked <= set(sent)
    # What was not asked for only fills gaps that cost less than a part.
    extra = sorted(set(sent) - asked)
    run = 0
    for before, position in zip([-2, *extra], extra, strict=False):
        run = run + 1 if position == before + 1 else 1
        assert run < PART_OVERHEAD
    # Two parts are never so near that one would have been cheaper.
    ordered = sorted(ranges)
    assert all(after[0] - before[1] >= PART_OVERHEAD for before, after in pairwise(ordered))


@given(specs, st.integers(1, 1200))
def test_parts_come_in_the_order_of_the_request(specs: list[str], length: int) -> None:
    """§15.3.7.2, for each part by the first of the specs that it holds."""
    ranges = parse_ranges(b"bytes=" + ",".join(specs).encode(), length)
    if not isinstance(ranges, NoRange):
        asked = [wanted(spec, length) for spec in specs]
        places = [
            min(
                place for place, positions in enumerate(asked) if positions and start <= min(positions) < stop
            )
            for start, stop in ranges
        ]
        assert places == sorted(places)


@given(st.binary(max_size=30) | st.text("bytes=0123-, ", max_size=30).map(str.encode), st.integers(0, 100))
def test_any_bytes_are_ranges_or_not_and_raise_nothing(value: bytes, length: int) -> None:
    ranges = parse_ranges(b"bytes=" + value, length)
    assert isinstance(ranges, NoRange) or sum(stop - start for start, stop in ranges) <= length


def test_labels() -> None:
    """§14.4: the examples."""
    assert content_range(42, 1234, 1234) == b"bytes 42-1233/1234"
    assert content_range(0, 1, 1) == b"bytes 0-0/1"
    assert unsatisfied_range(1234) == b"bytes */1234"


def test_a_multipart_is_laid_out_as_in_the_example() -> None:
    """§14.6"""
    content = bytes(range(256)) * 40
    ranges = [(500, 1000), (7000, 8000)]
    parts = multipart_byteranges(ranges, len(content), b"application/pdf", b"THIS_STRING_SEPARATES")
    assert parts.content_type == b"multipart/byteranges; boundary=THIS_STRING_SEPARATES"
    body = (
        b"".join(head + content[start:stop] for head, (start, stop) in zip(parts.heads, ranges, strict=True))
        + parts.tail
    )
    assert body == (
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: application/pdf\r\n"
        b"Content-Range: bytes 500-999/10240\r\n"
        b"\r\n" + content[500:1000] + b"\r\n"
        b"--THIS_STRING_SEPARATES\r\n"
        b"Content-Type: application/pdf\r\n"
        b"Content-Range: bytes 7000-7999/10240\r\n"
        b"\r\n" + content[7000:8000] + b"\r\n"
        b"--THIS_STRING_SEPARATES--\r\n"
    )
    assert parts.length == len(body)


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=5),
    st.none() | st.just(b"text/html; charset=utf-8"),
)
def test_the_length_of_a_multipart_is_known_beforehand(
    spans: list[tuple[int, int]], content_type: bytes | None
) -> None:
    ranges = [(start, start + size) for start, size in spans]
    parts = multipart_byteranges(ranges, 100, content_type, b"b")
    assert len(parts.heads) == len(ranges)
    assert parts.length == sum(map(len, parts.heads)) + sum(size for _, size in spans) + len(parts.tail)
    assert all((b"Content-Type" in head) == (content_type is not None) for head in parts.heads)
