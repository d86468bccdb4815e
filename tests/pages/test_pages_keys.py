"""Keys and inputs: what splits the cache, and what must."""

from urllib.parse import parse_qsl

import pytest
from django.http.cookie import parse_cookie
from hypothesis import given
from hypothesis import strategies as st

from support.pages import request
from uncork.pages import keys
from uncork.semantics.fields import Fields

PRIMARY = keys.primary_key(b"http", b"example.org", b"/")

input_names = st.sampled_from([b"query", b"query:a", b"query:b", b"cookie:s", b"field:accept-language"])
inputs = st.dictionaries(input_names, st.none() | st.binary(max_size=8)).map(
    lambda found: tuple(found.items())
)


def test_the_parts_of_a_url_do_not_run_into_each_other() -> None:
    urls = [
        (b"http", b"example.org", b"/"),
        (b"https", b"example.org", b"/"),
        (b"http", b"example.org", b"//"),
        (b"http", b"example.org/", b"/"),
        (b"http", b"example.or", b"g/"),
        (b"http", b"", b"example.org/"),
    ]
    assert len({keys.primary_key(*url) for url in urls}) == len(urls)
    assert all(len(keys.primary_key(*url)) == keys.KEY_SIZE for url in urls)


@given(inputs, inputs)
def test_variants_share_a_key_only_when_all_that_is_present_is_equal(one: tuple, other: tuple) -> None:
    same = {name: value for name, value in one if value is not None} == {
        name: value for name, value in other if value is not None
    }
    assert (keys.variant_key(PRIMARY, one) == keys.variant_key(PRIMARY, other)) is same


@given(inputs, st.randoms())
def test_the_order_of_inputs_makes_no_difference(selected: tuple, random) -> None:
    shuffled = list(selected)
    random.shuffle(shuffled)
    assert keys.variant_key(PRIMARY, shuffled) == keys.variant_key(PRIMARY, selected)


def test_with_every_input_absent_it_is_the_primary_key() -> None:
    assert keys.variant_key(PRIMARY, ()) == PRIMARY
    assert keys.variant_key(PRIMARY, [(b"query:q", None), (b"cookie:s", None)]) == PRIMARY


def test_absent_is_not_empty() -> None:
    assert keys.variant_key(PRIMARY, [(b"query", b"")]) != PRIMARY
    assert keys.select([b"query"], request(b"/")) == ((b"query", None),)
    assert keys.select([b"query"], request(b"/?")) == ((b"query", b""),)


@pytest.mark.parametrize(
    ("name", "query", "value"),
    [
        (b"q", b"", None),
        (b"q", b"utm_source=x", None),
        (b"q", b"q=1", b"q=1"),
        (b"q", b"q", b"q"),
        (b"q", b"q=", b"q="),
        (b"q", b"a=1&q=2&b=3&q=4", b"q=2&q=4"),
        (b"q", b"%71=1", b"%71=1"),
        (b"q", b"Q=1", None),
        (b"q", b"qq=1", None),
        (b"a b", b"a+b=1&a%20b=2", b"a+b=1&a%20b=2"),
        ("é".encode(), b"%E9=1", b"%E9=1"),  # Latin-1, where the name was recorded in UTF-8
        (b"q", b"x=\xff&q=1", b"x=\xff&q=1"),
    ],
)
def test_parameters(name: bytes, query: bytes, value: bytes | None) -> None:
    assert keys.select([b"query:" + name], request(b"/?" + query)) == ((b"query:" + name, value),)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ([], None),
        ([b""], None),
        ([b"_ga=1; theme=dark"], None),
        ([b"sid=1"], b"sid=1"),
        ([b"_ga=1;sid=1 ; x=2"], b"sid=1"),
        ([b"sid=1; sid=2"], b"sid=1;sid=2"),
        ([b"sid"], None),  # a value without a name
        ([b"xsid=1; sidx=1"], None),
        ([b"SID=1"], None),
        ([b"\xc2\xa0sid=1"], b"\xc2\xa0sid=1"),  # str.strip takes the space off
        ([b"\xa0sid=1"], b"\xa0sid=1"),
        ([b"\x1fsid=1"], b"\x1fsid=1"),
        ([b"a=1, sid=2"], None),
        ([b"a=1", b"b=2"], b"a=1\nb=2"),  # nobody knows how these are joined
    ],
)
def test_cookies(lines: list[bytes], value: bytes | None) -> None:
    fields = [(b"cookie", line) for line in lines]
    assert keys.select([b"cookie:sid"], request(b"/", *fields)) == ((b"cookie:sid", value),)


@pytest.mark.parametrize(
    ("field", "value", "normal"),
    [
        (b"accept-language", None, None),
        (b"accept-language", b"en , de;q=0.50", b"en,de;q=0.5"),
        (b"accept-encoding", None, None),
        (b"accept-encoding", b"gzip, deflate, br", b"br,gzip"),
        (b"accept-encoding", b"br;q=1.0, gzip;q=0, x", b"br"),
        (b"user-agent", b"A  b", b"A  b"),
    ],
)
def test_fields(field: bytes, value: bytes | None, normal: bytes | None) -> None:
    asked = request(b"/", *([] if value is None else [(field, value)]))
    assert keys.select([b"field:" + field], asked) == ((b"field:" + field, normal),)


def nasty(separator: str) -> st.SearchStrategy[bytes]:
    piece = st.sampled_from(
        [b"q", b"=", b"%71", b"+", b"%20", b"%E9", b"1", b"\xe9", b"\xc2\xa0", b" ", b"\x1f", b'"', b"\\"]
    )
    pieces = st.lists(piece, max_size=5).map(b"".join)
    return st.lists(pieces, max_size=5).map(separator.encode().join)


def in_django(query: bytes, name: str) -> list[str]:
    """QueryDict(query).getlist(name), without Django's settings."""
    try:
        text = query.decode()
    except UnicodeDecodeError:
        text = query.decode("latin-1")
    return [value for key, value in parse_qsl(text, keep_blank_values=True) if key == name]


@given(nasty("&"), st.sampled_from(["q", "é", "q ", " ", "", "�"]))
def test_django_reads_nothing_of_a_parameter_that_is_not_in_its_value(query: bytes, name: str) -> None:
    # The value is itself a query: all that Django finds in the whole, it finds in the value.
    ((_, value),) = keys.select([b"query:" + name.encode()], request(b"/?" + query))
    assert in_django(value or b"", name) == in_django(query, name)


@given(nasty(";"), st.sampled_from(["q", "é", "q\N{NO-BREAK SPACE}q", "", "�"]))
def test_django_reads_nothing_of_a_cookie_that_is_not_in_its_value(cookie: bytes, name: str) -> None:
    ((_, value),) = keys.select([b"cookie:" + name.encode()], request(b"/", (b"cookie", cookie)))
    for charset in ("utf-8", "latin-1"):  # what WSGI and ASGI hand to Django
        assert parse_cookie((value or b"").decode(charset, "replace")).get(name) == parse_cookie(
            cookie.decode(charset, "replace")
        ).get(name)


@given(nasty(";"), st.lists(st.sampled_from(["q", "é", "q\N{NO-BREAK SPACE}q", "q=", "", "x"]), unique=True))
def test_cookies_are_the_same_read_soon_or_late(cookie: bytes, names: list[str]) -> None:
    inputs = [b"field:accept", *(b"cookie:" + name.encode() for name in names)]
    needles = keys.cookie_needles(inputs)
    accept = (b"accept", b"x")
    without = keys.select_from(inputs, None, Fields([accept]))
    with_it = keys.select_from(inputs, None, Fields([accept, (b"cookie", cookie)]))
    if needles is None:
        assert {"", "é", "q="}.intersection(names)
    else:
        found = keys.with_cookies(without, needles, cookie)
        assert found == with_it
        assert (found is without) or found != without


def test_a_page_matches_by_its_own_inputs() -> None:
    selected = ((b"cookie:sid", None), (b"query:q", b"q=1"))
    assert keys.matches(selected, request(b"/?q=1&utm_source=x"))
    assert not keys.matches(selected, request(b"/?q=2"))
    assert not keys.matches(selected, request(b"/?q=1", (b"cookie", b"sid=1")))
    assert not keys.matches([(b"moon:phase", None)], request(b"/?q=1"))


def test_an_unknown_kind_of_input_is_refused() -> None:
    with pytest.raises(keys.UnknownInput):
        keys.select([b"moon:phase"], request())
    with pytest.raises(keys.UnknownInput):
        keys.parse_inputs(b"query:q moon:phase")
    assert not keys.known_input(b"queries")


@given(st.lists(st.binary().map(lambda name: b"query:" + name)))
def test_names_survive_a_field(names: list[bytes]) -> None:
    value = keys.format_inputs(names)
    assert value.isascii() and b"\n" not in value
    assert keys.parse_inputs(value) == tuple(names)


def test_no_names_is_an_empty_field() -> None:
    assert keys.parse_inputs(None) == keys.parse_inputs(b"") == ()


def test_a_union_keeps_all_and_folds_what_is_too_much() -> None:
    assert keys.union([b"query:b", b"cookie:a"], [b"query:a"]) == (b"cookie:a", b"query:a", b"query:b")
    assert keys.union([b"query:b"], [b"query"]) == (b"query",)
    many = [b"query:%d" % number for number in range(keys.MOST_NAMES_OF_A_KIND + 1)]
    assert keys.union(many, [b"cookie:a"]) == (b"cookie:a", b"query")
    cookies = [b"cookie:%d" % number for number in range(keys.MOST_NAMES_OF_A_KIND + 1)]
    assert keys.union(cookies, [b"query:a"]) == (b"field:cookie", b"query:a")
