"""Vary, validation, invalidation and Cache-Status: what caching reads and writes in fields."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.caching.freshness import Freshness
from uncork.caching.invalidation import Url, invalidated_groups, invalidated_urls, parse_groups
from uncork.caching.status import Forward, cache_status, joined
from uncork.caching.storable import CacheOptions, plan_storing
from uncork.caching.structured import parse_list
from uncork.caching.validation import fetching_fields, freshen, is_about, validating_fields
from uncork.caching.vary import WEIGHTED, matches, normalise, select, vary_names
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import HOP_BY_HOP, Request, Response

NOW = 1_700_000_000.0
LM = (b"last-modified", b"Wed, 01 Jan 2020 00:00:00 GMT")
LATER = (b"last-modified", b"Thu, 02 Jan 2020 00:00:00 GMT")


# Vary. Source: RFC 9110 §12.5.5, RFC 9111 §4.1


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], ()),
        ([b""], ()),
        ([b"Foo"], (b"foo",)),
        ([b"Foo, bar ,,FOO"], (b"bar", b"foo")),
        ([b"b", b"A"], (b"a", b"b")),
        ([b"*"], None),
        ([b"*, *"], None),
        ([b", *"], None),
        ([b"", b"*"], None),
        ([b"*, Foo"], None),
        ([b"Foo", b"*"], None),
        ([b"foo bar"], None),
        ([b'"foo"'], None),
    ],
)
def test_vary(lines: list[bytes], expected: tuple[bytes, ...] | None) -> None:
    assert vary_names(Fields((b"vary", line) for line in lines)) == expected


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        (b"accept-language", None, None),
        (b"accept-language", b"", b""),
        (b"accept-language", b"en, de", b"en,de"),
        (b"accept-language", b" eN ,\t De", b"en,de"),
        (b"accept-language", b"de, en", b"de,en"),
        (b"accept-language", b"en;q=1.0, de ; Q=0.80,fr;q=0.000", b"en,de;q=0.8,fr;q=0"),
        (b"accept-language", b"en;q=1.5", b"en;q=1.5"),
        (b"accept-encoding", b"GZIP;q=1., br", b"gzip,br"),
        (b"accept", b"Text/HTML;level=1;q=0.50", b"Text/HTML;level=1;q=0.5"),
        (b"accept", b"text/html;q=1;level=1", b"text/html;q=1;level=1"),
        (b"accept", b'a/b;x="1 ;  2, 3"; q=1.0', b'a/b;x="1 ;  2, 3"; q=1.0'),
        # Nothing is known of the syntax of others.
        (b"foo", b" 1,  2", b" 1,  2"),
        (b"user-agent", b"Mozilla/5.0 (KHTML,  like Gecko)", b"Mozilla/5.0 (KHTML,  like Gecko)"),
        (b"cookie", b"a=1;  b=2", b"a=1;  b=2"),
    ],
)
def test_normal_values(name: bytes, value: bytes | None, expected: bytes | None) -> None:
    assert normalise(name, value) == expected


@given(st.sampled_from(sorted(WEIGHTED)), st.binary(max_size=50))
def test_a_normal_value_is_normal(name: bytes, value: bytes) -> None:
    once = normalise(name, value)
    assert normalise(name, once) == once


def test_selecting_values() -> None:
    first = Fields([(b"foo", b"1"), (b"accept-language", b"en, de")])
    selected = select((b"accept-language", b"bar", b"foo"), first)
    assert selected == ((b"accept-language", b"en,de"), (b"bar", None), (b"foo", b"1"))
    assert matches(selected, first)
    assert matches(selected, Fields([(b"other", b"2"), (b"accept-language", b"EN,de"), (b"foo", b"1")]))
    assert not matches(selected, Fields([(b"accept-language", b"en, de")]))
    assert not matches(selected, Fields([(b"accept-language", b"de, en"), (b"foo", b"1")]))
    # Absent is not empty.
    assert not matches(selected, Fields([*first, (b"bar", b"")]))
    two_lines = Fields([(b"foo", b"1"), (b"foo", b"2")])
    assert matches(select((b"foo",), two_lines), Fields([(b"foo", b"1, 2")]))


# Validation. Source: RFC 9111 §4.3, §3.2

CLIENT = [
    (b"host", b"h"),
    (b"abc", b"123"),
    (b"if-none-match", b'"client"'),
    (b"if-match", b'"client"'),
    (b"if-modified-since", LM[1]),
    (b"if-unmodified-since", LM[1]),
    (b"if-range", b'"client"'),
    (b"range", b"bytes=0-1"),
]


@pytest.mark.parametrize(
    ("stored", "conditions"),
    [
        ([(b"etag", b'"x"')], [(b"if-none-match", b'"x"')]),
        ([(b"etag", b'W/"x"')], [(b"if-none-match", b'W/"x"')]),
        ([LM], [(b"if-modified-since", LM[1])]),
        ([(b"etag", b'"x"'), LM], [(b"if-none-match", b'"x"'), (b"if-modified-since", LM[1])]),
        ([(b"etag", b"x"), LM], [(b"if-modified-since", LM[1])]),
        ([], []),
    ],
)
def test_a_validating_request(stored: list[Field], conditions: list[Field]) -> None:
    """Source: RFC 9111 §4.3.1"""
    assert list(fetching_fields(Fields(CLIENT))) == CLIENT[:2]
    assert list(validating_fields(Fields(CLIENT), Fields(stored))) == CLIENT[:2] + conditions


@pytest.mark.parametrize(
    ("not_modified", "stored", "expected"),
    [
        ([(b"etag", b'"x"')], [(b"etag", b'"x"')], True),
        ([(b"etag", b'"x"'), LATER], [(b"etag", b'"x"'), LM], True),
        ([(b"etag", b'"y"')], [(b"etag", b'"x"')], False),
        ([(b"etag", b'"x"')], [(b"etag", b'W/"x"')], False),
        ([(b"etag", b'W/"x"')], [(b"etag", b'W/"x"')], True),
        ([(b"etag", b'W/"x"')], [(b"etag", b'"x"')], True),
        ([(b"etag", b'W/"y"')], [(b"etag", b'W/"x"')], False),
        ([(b"etag", b'"x"')], [LM], False),
        ([LM], [LM], True),
        ([LM], [(b"etag", b'"x"'), LM], True),
        ([LATER], [(b"etag", b'"x"'), LM], False),
        ([LM], [(b"etag", b'"x"')], False),
        ([], [(b"etag", b'"x"')], True),
        ([], [LM], True),
        ([], [], False),
    ],
)
def test_which_response_a_304_is_about(
    not_modified: list[Field], stored: list[Field], expected: bool
) -> None:
    """Source: RFC 9111 §4.3.4"""
    assert is_about(Fields(not_modified), Fields(stored)) is expected


@pytest.mark.parametrize(
    ("source", "stored", "update", "expected"),
    [
        ("RFC 9111 §3.2", [(b"a", b"1"), (b"b", b"1")], [(b"a", b"2")], [(b"b", b"1"), (b"a", b"2")]),
        ("RFC 9111 §3.2", [(b"a", b"1")], [(b"b", b"2")], [(b"a", b"1"), (b"b", b"2")]),
        ("RFC 9111 §3.2", [(b"a", b"1"), (b"a", b"2")], [(b"a", b"3")], [(b"a", b"3")]),
        ("RFC 9111 §3.2", [(b"a", b"1")], [(b"a", b"2"), (b"a", b"3")], [(b"a", b"2"), (b"a", b"3")]),
        ("RFC 9111 §3.2", [(b"content-length", b"36")], [(b"content-length", b"0")],
         [(b"content-length", b"36")]),
        ("RFC 9111 §3.2", [(b"content-encoding", b"br")], [(b"content-encoding", b"gzip")],
         [(b"content-encoding", b"br")]),
        ("RFC 9111 §3.2", [(b"content-type", b"a/b")], [(b"content-type", b"a/b;charset=utf-8")],
         [(b"content-type", b"a/b;charset=utf-8")]),
        ("RFC 9111 §3.1", [(b"a", b"1")], [(b"connection", b"a, x"), (b"a", b"2"), (b"x", b"3")],
         [(b"a", b"1")]),
        ("RFC 9111 §3.1", [(b"a", b"1")], [(name, b"x") for name in sorted(HOP_BY_HOP - {b"connection"})],
         [(b"a", b"1")]),
        ("RFC 9111 §7.3", [(b"a", b"1")], [(b"set-cookie", b"a=b")], [(b"a", b"1")]),
        ("RFC 9111 §4.2.3", [(b"age", b"9"), (b"date", b"old")], [], []),
        ("RFC 9111 §4.2.3", [(b"age", b"9"), (b"date", b"old")], [(b"date", b"new")], [(b"date", b"new")]),
    ],
)  # fmt: skip
def test_freshening(source: str, stored: list[Field], update: list[Field], expected: list[Field]) -> None:
    assert list(freshen(Fields(stored), Fields(update))) == expected


def test_a_freshened_response_is_fresh_again() -> None:
    """Source: RFC 9111 §4.3.4"""
    request = Request(b"GET", b"http", b"h", b"/", None, b"1.1", Fields())
    date = (b"date", format_date(NOW - 1000))
    stored = Fields([(b"cache-control", b"max-age=60"), date, (b"age", b"5"), (b"etag", b'"x"')])
    for update in ([], [(b"date", format_date(NOW))], [(b"cache-control", b"max-age=60")]):
        fields = freshen(stored, Fields(update))
        found = plan_storing(request, Response(200, fields), NOW, NOW, CacheOptions())
        assert isinstance(found, Freshness)
        assert (found.corrected_initial_age, found.lifetime) == (0, 60)


# Invalidation. Source: RFC 9111 §4.4


def unsafe(method: bytes, path: bytes = b"/a/b", query: bytes | None = None) -> Request:
    return Request(method, b"http", b"h:81", path, query, b"1.1", Fields())


def url(path: bytes, query: bytes | None = None) -> Url:
    return Url(b"http", b"h:81", path, query)


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"PATCH", b"BREW", b"post"])
@pytest.mark.parametrize(("status", "expected"), [(200, 1), (204, 1), (303, 1), (400, 0), (500, 0), (100, 0)])
def test_an_unsafe_request_invalidates_its_target(method: bytes, status: int, expected: int) -> None:
    found = invalidated_urls(unsafe(method, query=b"x"), Response(status, Fields()))
    assert found == (url(b"/a/b", b"x"),) * expected


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"TRACE"])
def test_a_safe_request_invalidates_nothing(method: bytes) -> None:
    fields = Fields([(b"location", b"/c"), (b"cache-group-invalidation", b'"g"')])
    assert invalidated_urls(unsafe(method), Response(200, fields)) == ()
    assert invalidated_groups(unsafe(method), Response(200, fields)) == ()


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        (b"/c", [url(b"/c")]),
        (b"c?d=1#e", [url(b"/a/c", b"d=1")]),
        (b"../c", [url(b"/c")]),
        (b"?d", [url(b"/a/b", b"d")]),
        (b"", []),
        (b"/a/b", []),
        (b"http://H:81/c", [url(b"/c")]),
        (b"HTTP://h:81", [url(b"/")]),
        (b"//h:81/c", [url(b"/c")]),
        # Another origin can't be touched.
        (b"http://h/c", []),
        (b"http://h:81.example/c", []),
        (b"http://u@h:81/c", []),
        (b"https://h:81/c", []),
        (b"//evil/c", []),
        (b"mailto:a@b", []),
        (b"http://[/c", []),
        (b"/c d", []),
        (b"/\xff", [url(b"/\xff")]),
    ],
)
@pytest.mark.parametrize("name", [b"location", b"content-location"])
def test_what_location_names_is_invalidated_too(name: bytes, reference: bytes, expected: list[Url]) -> None:
    found = invalidated_urls(unsafe(b"POST"), Response(201, Fields([(name, reference)])))
    assert list(found) == [url(b"/a/b"), *expected]


@given(st.binary(max_size=30))
def test_no_reference_leaves_the_origin(reference: bytes) -> None:
    found = invalidated_urls(unsafe(b"PUT"), Response(200, Fields([(b"location", reference)])))
    assert found[0] == url(b"/a/b")
    assert {each[:2] for each in found} == {(b"http", b"h:81")}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ()),
        (b"", ()),
        (b'"a", "b;c";x=1, "a"', (b"a", b"b;c")),
        (b'"A", "a"', (b"A", b"a")),
        (b'""', (b"",)),
        (b'"a", b', ()),
        (b'"a", 1', ()),
        (b'"a",', ()),
        (b"a", ()),
    ],
)
def test_groups(value: bytes | None, expected: tuple[bytes, ...]) -> None:
    """Source: RFC 9875 §2, §3"""
    assert parse_groups(value) == expected
    fields = Fields([] if value is None else [(b"cache-group-invalidation", value)])
    for status in (200, 500):
        assert invalidated_groups(unsafe(b"POST"), Response(status, fields)) == expected


# Cache-Status. Source: RFC 9211


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("RFC 9211 §2.1", cache_status(True), b"Uncork; hit"),
        ("RFC 9211 §2.4", cache_status(True, ttl=-412), b"Uncork; hit; ttl=-412"),
        ("RFC 9211 §2.1", cache_status(True, fwd=Forward.STALE, stored=True, collapsed=True), b"Uncork; hit"),
        ("RFC 9211 §2.2", cache_status(False, fwd=Forward.URI_MISS, fwd_status=200, ttl=60, stored=True),
         b"Uncork; fwd=uri-miss; fwd-status=200; ttl=60; stored"),
        ("RFC 9211 §2.6", cache_status(False, fwd=Forward.MISS, collapsed=True),
         b"Uncork; fwd=miss; collapsed"),
        ("RFC 9211 §2.7", cache_status(True, key=b'http://h/"\xe4'), b'Uncork; hit; key="http://h/\\"%E4"'),
        ("RFC 9211 §2.8", cache_status(False, fwd=Forward.BYPASS, detail=b"set-cookie"),
         b"Uncork; fwd=bypass; detail=set-cookie"),
        ("RFC 9211 §2.8", cache_status(True, detail=b"8 s left"), b'Uncork; hit; detail="8 s left"'),
        ("RFC 9211 §2", joined(None, b"Uncork; hit"), b"Uncork; hit"),
        ("RFC 9211 §2", joined(b"Origin; hit", b"Uncork; hit"), b"Origin; hit, Uncork; hit"),
    ],
)  # fmt: skip
def test_cache_status(source: str, value: bytes, expected: bytes) -> None:
    assert value == expected


@given(
    st.booleans(), st.sampled_from(Forward), st.integers(100, 599), st.integers(-(10**9), 10**9), st.binary()
)
def test_cache_status_is_a_structured_field(
    hit: bool, fwd: Forward, status: int, ttl: int, text: bytes
) -> None:
    value = cache_status(hit, fwd=fwd, fwd_status=status, stored=True, ttl=ttl, key=text, detail=text)
    [item] = parse_list(value)
    assert item.value == b"Uncork"
