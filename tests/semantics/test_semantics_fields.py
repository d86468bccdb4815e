"""Field lines and lists: RFC 9110 §5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.fields import Fields, members, names, spelled, token


def test_lines_of_one_name_are_combined_in_order() -> None:
    """§5.2"""
    fields = Fields([(b"vary", b"a"), (b"date", b"x"), (b"vary", b"b")])
    assert fields.get(b"vary") == b"a, b"
    assert fields.getall(b"vary") == (b"a", b"b")
    assert fields.get(b"age") is None
    assert fields.getall(b"age") == ()


def test_an_empty_value_is_not_an_absent_line() -> None:
    fields = Fields([(b"accept-encoding", b"")])
    assert fields.get(b"accept-encoding") == b""
    assert b"accept-encoding" in fields and b"accept" not in fields


def test_copies() -> None:
    fields = Fields([(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")])
    assert list(fields.without(b"a", b"x")) == [(b"b", b"2"), (b"c", b"4")]
    assert fields.without(b"x") is fields
    assert list(fields.with_(b"a", b"5")) == [(b"b", b"2"), (b"c", b"4"), (b"a", b"5")]
    assert list(fields) == [(b"a", b"1"), (b"b", b"2"), (b"a", b"3"), (b"c", b"4")]
    assert fields == Fields(list(fields)) and hash(fields) == hash(Fields(list(fields)))
    assert fields != fields.without(b"a") and len(fields) == 4


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, []),
        (b"", []),
        # §5.6.1.2: the examples
        (b"foo,bar", [b"foo", b"bar"]),
        (b"foo ,bar,", [b"foo", b"bar"]),
        (b"foo , ,bar,charlie", [b"foo", b"bar", b"charlie"]),
        (b",", []),
        (b",   ,", []),
        # §5.6.4: a quoted string may hold commas and escaped quotes
        (b'a="x, y", b', [b'a="x, y"', b"b"]),
        (b'"a\\", b", c', [b'"a\\", b"', b"c"]),
        (b'a="\\\\", b', [b'a="\\\\"', b"b"]),
        # one that doesn't end goes to the end
        (b'a="x, y', [b'a="x, y']),
        (b'a, "\\', [b"a", b'"\\']),
    ],
)
def test_members_of_a_list(value: bytes | None, expected: list[bytes]) -> None:
    assert members(value) == expected


plain = st.text("abc=;", min_size=1, max_size=5)
quoted = st.text('a,"\\ ', max_size=6).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)


@given(st.lists(st.lists(plain | quoted, min_size=1, max_size=3).map("".join), max_size=5))
def test_what_is_joined_is_split_again(parts: list[str]) -> None:
    assert members(" , ".join(parts).encode()) == [part.encode() for part in parts]


@pytest.mark.parametrize("hostile", [b'"' * 100_001, b'"\\' * 50_000, b'a"' * 50_001, b'",' * 50_000])
def test_a_hostile_list_takes_linear_time(hostile: bytes) -> None:
    assert b"".join(members(hostile)).replace(b",", b"") == hostile.replace(b",", b"")


def test_names_are_compared_in_lower_case() -> None:
    """§5.1"""
    assert names(b"Accept-Encoding, COOKIE") == [b"accept-encoding", b"cookie"]


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        (b"cache-control", True),
        (b"!#$%&'*+-.^_`|~09azAZ", True),
        (b"", False),
        (b"a b", False),
        (b"a:", False),
    ]
    + [(b"a" + bytes([byte]), False) for byte in b'"(),/:;<=>?@[\\]{}\x00\x7f\x80\xff \t\r\n'],
)
def test_a_token(value: bytes, valid: bool) -> None:
    """§5.6.2"""
    assert (token.fullmatch(value) is not None) is valid


@pytest.mark.parametrize(
    "name", [b"Content-Type", b"ETag", b"TE", b"WWW-Authenticate", b"CDN-Cache-Control", b"X-Cache", b"Age"]
)
def test_a_name_is_spelled_as_people_do(name: bytes) -> None:
    assert spelled(name.lower()) == name
