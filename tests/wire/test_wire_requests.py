"""Request lines, field lines and framing, by rows that name their section."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.fields import Fields
from uncork.wire.limits import Limits
from uncork.wire.requests import (
    NO_CONTENT,
    Framing,
    Refused,
    RequestLine,
    framing,
    keeps_alive,
    parse_field_line,
    parse_request_line,
)

LIMITS = Limits()


def status_of(call, *arguments) -> int:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.status


@pytest.mark.parametrize(
    ("line", "method", "target", "version"),
    [
        (b"GET / HTTP/1.1", b"GET", b"/", b"1.1"),
        (b"GET / HTTP/1.0", b"GET", b"/", b"1.0"),
        # A higher minor version is what we speak. Source: RFC 9110 §2.5
        (b"GET / HTTP/1.7", b"GET", b"/", b"1.1"),
        (b"OPTIONS * HTTP/1.1", b"OPTIONS", b"*", b"1.1"),
        (b"GET http://a/b?c HTTP/1.1", b"GET", b"http://a/b?c", b"1.1"),
        # A method is a token, and case-sensitive. Source: RFC 9110 §9.1
        (b"get / HTTP/1.1", b"get", b"/", b"1.1"),
        (b"M-SEARCH!#$%&'*+.^_`|~9 / HTTP/1.1", b"M-SEARCH!#$%&'*+.^_`|~9", b"/", b"1.1"),
        # What browsers send raw
        (b"GET /caf\xc3\xa9?{a|b} HTTP/1.1", b"GET", b"/caf\xc3\xa9?{a|b}", b"1.1"),
    ],
)
def test_request_lines(line: bytes, method: bytes, target: bytes, version: bytes) -> None:
    """Source: RFC 9112 §3"""
    assert parse_request_line(line, LIMITS) == RequestLine(method, target, version)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"GET /", 400),  # HTTP/0.9
        (b"GET  / HTTP/1.1", 400),
        (b"GET /  HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET\t/\tHTTP/1.1", 400),
        (b"GET / a HTTP/1.1", 400),
        (b"GET /\x00 HTTP/1.1", 400),
        (b"GET /\x7f HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1.11", 400),
        (b"GET / HTTP/01.1", 400),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/1.1\r", 400),
        (b"GET / HTTP/1.1\nHost: a", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"/ HTTP/1.1", 400),
        (b"\x16\x03\x01\x02\x00", 400),  # a TLS hello
        # Source: RFC 9110 §15.6.6
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"PRI * HTTP/2.0", 505),
        # Source: RFC 9112 §3
        (b"GET /" + b"a" * LIMITS.target_bytes + b" HTTP/1.1", 414),
        (b"GET /" + b"a" * (LIMITS.target_bytes + 100), 414),
    ],
)
def test_request_lines_that_are_refused(line: bytes, status: int) -> None:
    assert status_of(parse_request_line, line, LIMITS) == status


def test_the_target_limit_is_exact() -> None:
    longest = b"/" + b"a" * (LIMITS.target_bytes - 1)
    assert parse_request_line(b"GET " + longest + b" HTTP/1.1", LIMITS).target == longest


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        (b"Host: a", b"host", b"a"),
        (b"Host:a", b"host", b"a"),
        (b"Host: \t a b\t ", b"host", b"a b"),
        (b"X:", b"x", b""),
        (b"X: a:b", b"x", b"a:b"),
        (b"X: \xff\x80", b"x", b"\xff\x80"),  # obs-text
        (b"1!#$%&'*+-.^_`|~z: v", b"1!#$%&'*+-.^_`|~z", b"v"),
    ],
)
def test_field_lines(line: bytes, name: bytes, value: bytes) -> None:
    """Source: RFC 9112 §5, RFC 9110 §5.5"""
    assert parse_field_line(line) == (name, value)


@pytest.mark.parametrize(
    "line",
    [
        b"Host",
        b": a",
        b"Host : a",  # RFC 9112 §5.1
        b" Host: a",  # obs-fold, RFC 9112 §5.2
        b"\tfolded",
        b"Ho st: a",
        b"H\xc3\xb6st: a",
        b"X: a\x00b",  # RFC 9110 §5.5
        b"X: a\rb",
        b"X: a\nY: b",
        b"X: a\x7f",
        b"X: a\x0b",
        b"",
    ],
)
def test_field_lines_that_are_refused(line: bytes) -> None:
    assert status_of(parse_field_line, line) == 400


def fields(*items: tuple[bytes, bytes]) -> Fields:
    return Fields(items)


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((), NO_CONTENT),
        (((b"content-length", b"0"),), Framing(0)),
        (((b"content-length", b"007"),), Framing(7)),
        (((b"transfer-encoding", b"chunked"),), Framing(chunked=True)),
        (((b"transfer-encoding", b"Chunked"),), Framing(chunked=True)),
    ],
)
def test_framing(items: tuple[tuple[bytes, bytes], ...], expected: Framing) -> None:
    """Source: RFC 9112 §6.3"""
    assert framing(b"1.1", fields(*items), LIMITS) == expected


@pytest.mark.parametrize(
    ("version", "items", "status"),
    [
        # Two opinions: RFC 9112 §6.1, §6.3
        (b"1.1", ((b"transfer-encoding", b"chunked"), (b"content-length", b"5")), 400),
        (b"1.1", ((b"content-length", b"5"), (b"content-length", b"5")), 400),
        (b"1.1", ((b"content-length", b"5"), (b"content-length", b"6")), 400),
        (b"1.1", ((b"content-length", b"5, 5"),), 400),
        (b"1.0", ((b"transfer-encoding", b"chunked"),), 400),
        # Not 1*DIGIT: RFC 9110 §8.6
        (b"1.1", ((b"content-length", b"-1"),), 400),
        (b"1.1", ((b"content-length", b"+1"),), 400),
        (b"1.1", ((b"content-length", b"0x1"),), 400),
        (b"1.1", ((b"content-length", b"1_0"),), 400),
        (b"1.1", ((b"content-length", b"\xb2"),), 400),
        (b"1.1", ((b"content-length", b""),), 400),
        (b"1.1", ((b"content-length", b"9" * 19),), 400),
        (b"1.1", ((b"content-length", b"%d" % (LIMITS.body_bytes + 1)),), 413),
        # RFC 9112 §6.1: an unknown transfer coding
        (b"1.1", ((b"transfer-encoding", b"gzip, chunked"),), 501),
        (b"1.1", ((b"transfer-encoding", b"chunked"), (b"transfer-encoding", b"identity")), 501),
        (b"1.1", ((b"transfer-encoding", b"chunked;a=b"),), 501),
        (b"1.1", ((b"transfer-encoding", b"\x0bchunked"),), 501),
        (b"1.1", ((b"transfer-encoding", b""),), 501),
    ],
)
def test_framing_that_is_refused(version: bytes, items: tuple[tuple[bytes, bytes], ...], status: int) -> None:
    assert status_of(framing, version, fields(*items), LIMITS) == status


@pytest.mark.parametrize(
    ("version", "options", "persists"),
    [
        (b"1.1", None, True),
        (b"1.0", None, False),
        (b"1.1", b"close", False),
        (b"1.1", b"Close", False),
        (b"1.1", b"keep-alive", True),
        (b"1.0", b"Keep-Alive", True),
        (b"1.0", b"foo, keep-alive", True),
        (b"1.1", b"keep-alive,\tclose", False),
        (b"1.0", b"keep-alive, close", False),
        (b"1.1", b"closed", True),
        (b"1.1", b"", True),
    ],
)
def test_persistence(version: bytes, options: bytes | None, persists: bool) -> None:
    """Source: RFC 9112 §9.3"""
    items = () if options is None else ((b"connection", options),)
    assert keeps_alive(version, fields(*items)) is persists


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(line: bytes) -> None:
    for parse, arguments in ((parse_request_line, (line, LIMITS)), (parse_field_line, (line,))):
        try:
            parse(*arguments)
        except Refused as refused:
            assert refused.status in (400, 414, 505)
        else:
            assert b"\r" not in line and b"\n" not in line and b"\0" not in line
