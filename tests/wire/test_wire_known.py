"""What is remembered of heads never changes what is read: the same head, read line by line, is the judge."""

import random
import tracemalloc
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.wire.known import VALUE_BYTES, Head, KnownHeads, Shape, cut
from uncork.wire.limits import Limits
from uncork.wire.requests import Refused, parse_field_line

LIMITS = Limits(fields=12)

Outcome = tuple[bytes, dict[bytes, list[bytes]]] | int


def read_plainly(head: bytes) -> Outcome:
    """(request line, values by name) of a head, or the status that refuses it: RFC 9112 §2.2, §5."""
    line, *lines = head[:-4].split(b"\r\n")
    try:
        if len(lines) > LIMITS.fields:
            raise Refused(431, "too many")
        return line, by_name(parse_field_line(line) for line in lines)
    except Refused as refused:
        return refused.status


def by_name(items) -> dict[bytes, list[bytes]]:
    found = defaultdict(list)
    for name, value in items:
        found[name].append(value)
    return dict(found)


def read(known: KnownHeads, head: bytes) -> Outcome:
    try:
        found = known.read(head)
    except Refused as refused:
        return refused.status
    fields = found.fields()
    assert by_name(found.block.items + found.volatile) == by_name(fields)
    return found.line, by_name(fields)


ordinary = st.sampled_from(
    [
        b"Host: example.org",
        b"host:example.org",
        b"Accept: text/html,*/*;q=0.8",
        b"Accept-Encoding: gzip, br",
        b"Connection: keep-alive",
        b"X-Empty:",
        b"X-Cookie: Cookie: a=b",
        b"X: \xff",
    ]
)
value = st.sampled_from([b"", b"a=b", b" a=b ", b"\ta", b"a: b", b'"x"', b"\xe9", b"Cookie: c"])
volatile_name = st.sampled_from(
    [
        *(b"Cookie", b"cookie", b"Referer", b"referer"),
        *(b"If-None-Match", b"if-none-match", b"If-Modified-Since", b"if-modified-since"),
        *(
            b"X-Forwarded-For",
            b"x-forwarded-for",
            b"X-Request-ID",
            b"X-Request-Id",
            b"CF-RAY",
            b"traceparent",
        ),
    ]
)
unusual_name = st.sampled_from(
    [
        b"COOKIE",
        b"cooKie",
        b"REFERER",
        b"If-none-match",
        b"IF-MODIFIED-SINCE",
        b"Cookie2",
        b"XCookie",
        b"cf-RAY",
    ]
)
usual_line = st.builds(lambda n, v: n + b": " + v, volatile_name, value)
unusual_line = st.one_of(
    st.builds(lambda n, v: n + b": " + v, unusual_name, value),
    st.builds(lambda n, s, v: n + b":" + s + v, volatile_name, st.sampled_from([b"", b"  ", b"\t"]), value),
)
broken_line = st.sampled_from(
    [
        *(b"Cookie : a", b" Cookie: a", b"Cookie", b"Cookie: a\x00", b"Cookie: a\rReferer: b"),
        *(b"Cookie: a\nHost: b", b"Referer: \x7f", b"X : y", b"no colon", b"Cookie: a\r"),
    ]
)
any_line = st.one_of(ordinary, ordinary, usual_line, usual_line, unusual_line, broken_line)
good_line = st.one_of(ordinary, usual_line, unusual_line)


@st.composite
def heads(draw: st.DrawFn, line=any_line) -> bytes:
    lines = draw(st.lists(line, max_size=14))
    request_line = draw(st.sampled_from([b"GET / HTTP/1.1", b"POST /a HTTP/1.0", b"Cookie: a", b"broken"]))
    head = b"\r\n".join([request_line, *lines]) + b"\r\n\r\n"
    return head[: head.find(b"\r\n\r\n") + 4]


@given(heads())
def test_a_head_is_the_same_new_and_known(head: bytes) -> None:
    known = KnownHeads(LIMITS)
    expected = read_plainly(head)
    for _ in range(4):  # new, on its first sight, kept, looked up
        assert read(known, head) == expected


@given(st.lists(heads(), max_size=8), st.randoms(use_true_random=False))
def test_what_was_read_before_makes_no_difference(some: list[bytes], order: random.Random) -> None:
    known = KnownHeads(LIMITS)
    sequence = some * 3
    order.shuffle(sequence)
    for head in sequence:
        assert read(known, head) == read_plainly(head)


@given(heads(), st.data())
def test_a_head_that_differs_in_one_byte_is_another(head: bytes, data: st.DataObject) -> None:
    known = KnownHeads(LIMITS)
    for _ in range(3):
        read(known, head)
    at = data.draw(st.integers(0, len(head) - 5))
    byte = data.draw(st.sampled_from(b"\r\n \t:aC\x00"))
    other = head[:at] + bytes((byte,)) + head[at + 1 :]
    if b"\r\n\r\n" not in other[:-4] and not other.startswith(b"\r\n"):
        assert read(known, other) == read_plainly(other)


@given(st.lists(heads(), min_size=2, max_size=3))
def test_two_heads_are_never_read_as_one(some: list[bytes]) -> None:
    """The fast path looks up the key of whatever came in one read: with a second head in it, or anything
    after the first blank line, it can't be the key of a head."""
    known = KnownHeads(LIMITS)
    keys = set()
    for head in some:
        for _ in range(3):
            read(known, head)
        rest = b"".join(cut(head)[::3])
        keys.add(rest[rest.find(b"\r\n") :])
    assert known.blocks.keys() <= keys
    for data in (b"".join(some), some[0] + b"Cookie: a\r\n\r\n", some[0] + b"\r\n", some[0][:-2] + some[1]):
        if b"\r\n\r\n" in data[:-4]:
            rest = b"".join(cut(data)[::3])
            assert rest[rest.find(b"\r\n") :] not in known.blocks


def match(shape: Shape, data: bytes) -> tuple[bytes, list[bytes]] | None:
    """A head read by its shape, as its definition says."""
    end = at = data.find(b"\r\n")
    values = []
    for piece, size in shape.pieces:
        if not data.startswith(piece, at):
            return None
        at = data.find(b"\r\n", at + size)
        values.append(data[data.rfind(piece, 0, at) + size : at] if at >= 0 else b"")
        if at < 0 or values[-1].translate(None, VALUE_BYTES):
            return None
    return (data[:end], values) if data[at:] == shape.tail else None


@given(heads(good_line), heads(good_line))
def test_a_shape_reads_what_is_read_without_it(first: bytes, second: bytes) -> None:
    known = KnownHeads(LIMITS)
    try:
        for _ in range(3):
            block = known.read(first).block
    except Refused:
        return
    rest = b"".join(cut(first)[::3])
    if known.blocks.get(rest[rest.find(b"\r\n") :]) is not block:
        return  # of an unusual spelling: such a one has no shape
    shape = block.shape(cut(first), first.find(b"\r\n"))
    for data in (first, second):
        if (found := match(shape, data)) is not None:
            line, values = found
            head = Head(line, block, shape.volatile(values))
            plain = read_plainly(data)
            assert plain == 431 or (line, by_name(head.fields())) == plain
    assert match(shape, first) is not None
    assert match(shape, first + second) is None


@pytest.mark.parametrize("name", [b"Cookie", b"COOKIE"])
def test_lines_of_one_name_keep_their_order(name: bytes) -> None:
    """Source: RFC 9110 §5.3"""
    head = b"GET / HTTP/1.1\r\nCookie: a=1\r\nHost: h\r\n" + name + b": b=2\r\nCookie:c=3\r\n\r\n"
    known = KnownHeads(LIMITS)
    for _ in range(3):
        assert known.read(head).fields().getall(b"cookie") == (b"a=1", b"b=2", b"c=3")


def test_a_block_is_kept_on_its_second_sight() -> None:
    known = KnownHeads(LIMITS)
    head = b"GET /%d HTTP/1.1\r\nHost: h\r\nCookie: %d\r\n\r\n"
    first = known.read(head % (1, 1))
    assert not known.blocks
    second = known.read(head % (2, 2))
    assert len(known.blocks) == 1
    third = known.read(head % (3, 3))
    assert third.block is second.block is not first.block
    assert third.volatile == ((b"cookie", b"3"),) and third.line == b"GET /3 HTTP/1.1"


def test_the_memory_is_bounded_whatever_is_sent() -> None:
    """Random blocks, each of them twice and of the longest that is kept: an attack, or a year."""
    known = KnownHeads(Limits())
    rng = random.Random(4)
    tracemalloc.start()
    try:
        peaks = []
        for _ in range(3):
            for _ in range(2100):
                filler = b"".join(b"X: %s\r\n" % rng.randbytes(240).hex().encode() for _ in range(8))
                head = b"GET / HTTP/1.1\r\nHost: h\r\n" + filler + b"\r\n"
                known.read(head)
                known.read(head)
            peaks.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert len(known.blocks) <= 2048 and len(known._older_blocks) <= 2048 and len(known._lines) <= 4096
    assert peaks[2] < peaks[1] * 1.2
    assert peaks[2] < 100 * 1024 * 1024


def test_a_block_keeps_few_shapes() -> None:
    known = KnownHeads(Limits())
    heads = [b"GET / HTTP/1.1\r\nHost: h\r\n" + b"Cookie: a\r\n" * i + b"\r\n" for i in range(90)]
    block = None
    for head in [heads[0], *heads]:
        block = known.read(head).block
    assert block is not None
    for head in heads:
        block.shape(cut(head), head.find(b"\r\n"))
    assert len(block._shapes) <= 8
