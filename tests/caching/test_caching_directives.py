"""Cache directives, and the structured fields they may come in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.caching.directives import (
    DELTA_MAX,
    NO_DIRECTIVES,
    Directives,
    may_transform,
    parse_delta_seconds,
    parse_directives,
    parse_targeted,
    response_directives,
)
from uncork.caching.structured import Item, Kind, Malformed, parse_dictionary, parse_list, quoted
from uncork.semantics.fields import Fields


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("RFC 9111 §5.2", None, Directives()),
        ("RFC 9111 §5.2", b"", Directives()),
        ("RFC 9111 §5.2", b"max-age=60", Directives(max_age=60)),
        ("RFC 9111 §5.2", b"MaX-aGe=60, No-StOrE", Directives(max_age=60, no_store=True)),
        ("RFC 9111 §5.2", b'max-age="60"', Directives(max_age=60)),
        ("RFC 9111 §5.2.3", b"foobar, max-age=60, x=y", Directives(max_age=60)),
        ("RFC 9110 §5.6.1", b" ,, max-age=60 ,\t, public,", Directives(max_age=60, public=True)),
        ("RFC 9111 §5.2.2.10", b"s-maxage=5", Directives(s_maxage=5)),
        ("RFC 9111 §5.2.2.10", b"s-max-age=5, smaxage=5, s_maxage=5", Directives()),
        ("RFC 9111 §5.2.2.3", b"must-understand, no-store", Directives(must_understand=True, no_store=True)),
        ("RFC 9111 §5.2.2.4", b'no-cache="set-cookie, a"', Directives(no_cache=True)),
        ("RFC 9111 §5.2.2.7", b'private="a", max-age=1', Directives(private=True, max_age=1)),
        ("RFC 9111 §5.2.2.7", b"private=a", Directives(private=True)),
        ("RFC 5861 §3, §4", b"stale-while-revalidate=1, stale-if-error=2",
         Directives(stale_while_revalidate=1, stale_if_error=2)),
        ("RFC 9111 §5.2.1.2", b"max-stale", Directives(max_stale=DELTA_MAX)),
        ("RFC 9111 §5.2.1.2", b"max-stale=7, min-fresh=3", Directives(max_stale=7, min_fresh=3)),
        ("RFC 9111 §5.2.1.7", b"only-if-cached", Directives(only_if_cached=True)),
        # Times that are none are 0. Source: RFC 9111 §4.2.1
        ("RFC 9111 §4.2.1", b"max-age=-3600", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age=3600.0", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age=a3600", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age=3600a", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age='3600'", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age=", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age =3600", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b"max-age= 3600", Directives(max_age=0)),
        ("RFC 9111 §4.2.1", b's-maxage="\\60"', Directives(s_maxage=0)),
        ("RFC 9111 §5.2.1.2", b"max-stale=x", Directives(max_stale=0)),
        # Of times that come twice, the more restrictive.
        ("RFC 9111 §4.2.1", b"max-age=1800, max-age=1", Directives(max_age=1)),
        ("RFC 9111 §4.2.1", b"max-age=1, max-age=1800", Directives(max_age=1)),
        ("RFC 9111 §4.2.1", b"min-fresh=1, min-fresh=5", Directives(min_fresh=5)),
        ("RFC 9111 §4.2.1", b"max-age=9, max-age=x", Directives(max_age=0)),
        # Greater than can be represented. Source: RFC 9111 §1.2.2
        ("RFC 9111 §1.2.2", b"max-age=2147483647", Directives(max_age=2147483647)),
        ("RFC 9111 §1.2.2", b"max-age=2147483648", Directives(max_age=DELTA_MAX)),
        ("RFC 9111 §1.2.2", b"max-age=99999999999", Directives(max_age=DELTA_MAX)),
        ("RFC 9111 §1.2.2", b"max-age=" + b"9" * 6000, Directives(max_age=DELTA_MAX)),
        ("RFC 9111 §1.2.2", b"max-age=003600", Directives(max_age=3600)),
        ("RFC 9111 §1.2.2", b"max-age=000000000000000", Directives(max_age=0)),
        # A directive in a quoted string is none.
        ("RFC 9110 §5.6.4", b'extension="max-age=3600", max-age=1', Directives(max_age=1)),
        ("RFC 9110 §5.6.4", b'max-age=1, extension="max-age=3600, no-store"', Directives(max_age=1)),
        ("RFC 9110 §5.6.4", b'x="\\", private", max-age=1', Directives(max_age=1)),
        # Broken members forbid, and allow nothing.
        ("RFC 9111 §5.2", b"private; max-age=600", Directives(private=True, max_age=0)),
        ("RFC 9111 §5.2", b"public; max-age=600", Directives(max_age=0)),
        ("RFC 9111 §5.2", b"max-age=600; NO-STORE", Directives(no_store=True, max_age=0)),
        ("RFC 9111 §5.2", b'x="max-age=3, private, s-maxage=4', Directives(private=True, max_age=0)),
        ("RFC 9111 §5.2", b"no-cache no-store, max-age=6",
         Directives(no_cache=True, no_store=True, max_age=6)),
        ("RFC 9111 §5.2", b"must-revalidate public, proxy-revalidate;", Directives(proxy_revalidate=True)),
        ("RFC 9111 §5.2", b"x-private y, max-age=6", Directives(max_age=6)),
    ],
)  # fmt: skip
def test_cache_control(source: str, value: bytes | None, expected: Directives) -> None:
    assert parse_directives(value) == expected


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("RFC 9213 §2.1", None, None),
        ("RFC 9213 §2.1", b"", None),
        ("RFC 9213 §2.1", b"  ", None),
        ("RFC 9213 §2.1", b"max-age=60", Directives(max_age=60)),
        ("RFC 9213 §2.1", b"foobar, max-age=60", Directives(max_age=60)),
        ("RFC 9213 §2.1", b"foobar", Directives()),
        ("RFC 9213 §2.1", b"max-age=60;x=1, no-store;y", Directives(max_age=60, no_store=True)),
        ("RFC 9213 §2.1", b'private="a"', Directives(private=True)),
        ("RFC 9651 §3.3.6", b"private=?0, no-cache=?1", Directives(no_cache=True)),
        ("RFC 9213 §2.1", b"max-age=99999999999", Directives(max_age=DELTA_MAX)),
        ("RFC 9213 §2.1", b"max-age=-1", Directives(max_age=0)),
        ("RFC 9651 §3.2", b"max-age=60, max-age=5", Directives(max_age=5)),
        # Void: the field counts as absent.
        ("RFC 9213 §2.1", b"max-age=10000, &&&&&", None),
        ("RFC 9213 §2.1", b'max-age="10000"', None),
        ("RFC 9213 §2.1", b"max-age=60.0", None),
        ("RFC 9213 §2.1", b"max-age", None),
        ("RFC 9213 §2.1", b"no-store=1", None),
        ("RFC 9651 §4.2.3.3", b"MaX-aGe=3600", None),
        ("RFC 9651 §4.2", b"max-age =100", None),
        ("RFC 9651 §4.2", b"max-age= 100", None),
        ("RFC 9651 §4.2.2", b"max-age=100,", None),
        ("RFC 9651 §4.2.4", b"max-age=1000000000000000", None),
    ],
)
def test_targeted(source: str, value: bytes | None, expected: Directives | None) -> None:
    assert parse_targeted(value) == expected


def test_a_targeted_field_silences_cache_control() -> None:
    """Source: RFC 9213 §2.2"""
    both = [(b"cache-control", b"no-store"), (b"cdn-cache-control", b"max-age=9")]
    assert response_directives(Fields(both)) == (Directives(max_age=9), True)
    void = [(b"cache-control", b"no-store"), (b"cdn-cache-control", b"max-age=9,")]
    assert response_directives(Fields(void)) == (Directives(no_store=True), False)
    assert response_directives(Fields()) == (NO_DIRECTIVES, False)
    three = [*both, (b"uncork-cache-control", b"max-age=7")]
    assert response_directives(Fields(three)) == (Directives(max_age=7), True)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], True),
        ([(b"cache-control", b"max-age=1")], True),
        ([(b"cache-control", b"max-age=1, No-Transform")], False),
        ([(b"cache-control", b"no-transform"), (b"cdn-cache-control", b"max-age=9")], False),
        ([(b"cdn-cache-control", b"max-age=9, no-transform")], False),
    ],
)
def test_no_transform(fields: list[tuple[bytes, bytes]], expected: bool) -> None:
    """Source: RFC 9110 §7.7"""
    assert may_transform(Fields(fields)) is expected


@given(st.binary(max_size=200))
def test_any_bytes_are_read_without_an_error(value: bytes) -> None:
    parse_directives(value)
    parse_targeted(value)


directive = st.one_of(
    st.sampled_from([b"no-cache", b"private", b"no-store", b"public", b"must-revalidate", b"x", b'y="a, b"']),
    st.builds(
        lambda name, seconds: name + b"=%d" % seconds,
        st.sampled_from([b"max-age", b"s-maxage", b"stale-if-error"]),
        st.integers(0, 2**40),
    ),
)


@given(st.lists(directive), st.binary(max_size=40))
def test_what_forbids_is_never_lost_to_what_stands_beside_it(listed: list[bytes], junk: bytes) -> None:
    """Source: RFC 9111 §4.2.1"""
    alone = parse_directives(b", ".join(listed))
    beside = parse_directives(b", ".join([*listed, junk]))
    for flag in ("no_cache", "no_store", "private"):
        assert getattr(beside, flag) >= getattr(alone, flag)
    for time in ("max_age", "s_maxage", "stale_if_error"):
        if getattr(alone, time) is not None:
            assert getattr(beside, time) <= getattr(alone, time)


@given(st.lists(directive), st.randoms(use_true_random=False))
def test_order_and_length_make_no_difference(listed: list[bytes], random: object) -> None:
    shuffled = list(listed)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    padded = [*shuffled, b"padding=" + b"x" * 200]
    assert parse_directives(b", ".join(listed)) == parse_directives(b",".join(padded))


@given(st.integers(0, 10**30))
def test_delta_seconds_are_clamped(number: int) -> None:
    """Source: RFC 9111 §1.2.2"""
    assert parse_delta_seconds(b"%d" % number) == min(number, DELTA_MAX)


@pytest.mark.parametrize("value", [b"", b"+1", b"1 ", b"1_000", "٣".encode(), b"0x1", b"1e3"])
def test_no_delta_seconds(value: bytes) -> None:
    assert parse_delta_seconds(value) is None


@pytest.mark.parametrize(
    ("source", "value", "expected"),
    [
        ("RFC 9651 §4.2.1", b"", []),
        ("RFC 9651 §4.2.1", b'"a", "b\\"\\\\"', [Item(Kind.STRING, b"a"), Item(Kind.STRING, b'b"\\')]),
        ("RFC 9651 §4.2.1", b'a;q="1, 2" ,\tb', [Item(Kind.TOKEN, b"a"), Item(Kind.TOKEN, b"b")]),
        ("RFC 9651 §4.2.1.2", b'(1 "a";x  :YQ==:);z', [Item(Kind.INNER_LIST, b'(1 "a";x  :YQ==:)')]),
        ("RFC 9651 §4.2.1.2", b"( ), ()", [Item(Kind.INNER_LIST, b"( )"), Item(Kind.INNER_LIST, b"()")]),
        ("RFC 9651 §4.2.4", b"-15, 1.500", [Item(Kind.INTEGER, -15), Item(Kind.DECIMAL, b"1.500")]),
        ("RFC 9651 §4.2.8", b"?1,?0", [Item(Kind.BOOLEAN, 1), Item(Kind.BOOLEAN, 0)]),
        ("RFC 9651 §4.2.9", b"@1659578233", [Item(Kind.DATE, b"@1659578233")]),
        ("RFC 9651 §4.2.10", b'%"f%c3%bc"', [Item(Kind.DISPLAY, b'%"f%c3%bc"')]),
        ("RFC 9651 §4.2.7", b":aGk=:, */x:y", [Item(Kind.BYTES, b":aGk=:"), Item(Kind.TOKEN, b"*/x:y")]),
    ],
)
def test_structured_list(source: str, value: bytes, expected: list[Item]) -> None:
    assert parse_list(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        b",", b"a,", b"a b", b'"a', b'"\xc3"', b'"a\\x"', b"(a", b"(a,b)", b"(1(2))", b"1a", b"1.", b"1.2345",
        b"-", b"?2", b'a;="1"', b"a;B", b"a; ", b"\ta", b"@1.0", b'%"%C3"', b"'a'", b'("a""b")',
    ],
)  # fmt: skip
def test_malformed_list(value: bytes) -> None:
    """Source: RFC 9651 §4.2"""
    with pytest.raises(Malformed):
        parse_list(value)


@given(st.binary(max_size=60))
def test_a_dictionary_is_read_or_malformed(value: bytes) -> None:
    try:
        parse_dictionary(value)
    except Malformed:
        pass


def test_a_long_malformed_field_costs_linear_time() -> None:
    for value in (b"(" + b"a " * 30000, b"a;b" * 20000 + b"!!,", b"a" + b" " * 60000 + b"b", b'"' * 60001):
        with pytest.raises(Malformed):
            parse_list(value)


@given(st.binary())
def test_quoted_text_is_a_string(text: bytes) -> None:
    """Source: RFC 9651 §4.1.6"""
    [item] = parse_list(quoted(text))
    assert item.kind is Kind.STRING
    if text.isascii() and text.decode().isprintable():
        assert item.value == text
