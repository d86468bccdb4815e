"""Entity tags: RFC 9110 §8.8.3."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.etags import (
    ANY,
    is_weak,
    parse_etag,
    parse_etag_list,
    strong_match,
    weak_match,
    with_coding,
)

etagc = st.sampled_from([byte for byte in range(0x21, 0x100) if byte not in (0x22, 0x7F)])
opaque_tags = st.lists(etagc, max_size=12).map(lambda octets: b'"' + bytes(octets) + b'"')
etags = st.builds(lambda weak, tag: (b"W/" if weak else b"") + tag, st.booleans(), opaque_tags)
white = st.sampled_from([b"", b" ", b"\t", b"  "])


@pytest.mark.parametrize(
    ("value", "valid"),
    [
        # §8.8.3: the three examples
        (b'"xyzzy"', True),
        (b'W/"xyzzy"', True),
        (b'""', True),
        (b'W/""', True),
        (b'"a,b"', True),
        (b'"back\\slash"', True),
        (b'"\xc3\xa9"', True),
        # §8.8.3: W/ is case-sensitive, a tag is quoted and has neither space nor control characters
        (b'w/"xyzzy"', False),
        (b'W"xyzzy"', False),
        (b'W/ "xyzzy"', False),
        (b"xyzzy", False),
        (b'"xyzzy', False),
        (b'xyzzy"', False),
        (b'"x y"', False),
        (b'"x\x7fy"', False),
        (b'"x\x00y"', False),
        (b'"x"y"', False),
        (b'"x"\n', False),
        (b'"a", "b"', False),
        (b"*", False),
        (b"", False),
    ],
)
def test_a_tag_is_read_by_the_grammar(value: bytes, valid: bool) -> None:
    assert parse_etag(value) == (value if valid else None)


@pytest.mark.parametrize(
    ("a", "b", "strong", "weak"),
    [
        # §8.8.3.2: the table
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
        (b'"1"', b'W/"1"', False, True),
        (b'"1"', b'"2"', False, False),
        (b'"W/"', b'W/""', False, False),
        (b'"a"', b'"A"', False, False),
    ],
)
def test_comparison(a: bytes, b: bytes, strong: bool, weak: bool) -> None:
    assert strong_match(a, b) is strong
    assert weak_match(a, b) is weak


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        # §13.1.1, §13.1.2: the examples
        (b'"xyzzy"', [b'"xyzzy"']),
        (b'"xyzzy", "r2d2xxxx", "c3piozzzz"', [b'"xyzzy"', b'"r2d2xxxx"', b'"c3piozzzz"']),
        (b'W/"xyzzy", W/"r2d2xxxx"', [b'W/"xyzzy"', b'W/"r2d2xxxx"']),
        (b"*", ANY),
        # §8.8.3: a comma inside a tag separates nothing
        (b'"a,b","c"', [b'"a,b"', b'"c"']),
        # §5.6.1.2: empty members
        (b' ,, "a" ,\t,"b",', [b'"a"', b'"b"']),
        # not by the grammar: no tag at all
        (b"", []),
        (b",", []),
        (b"xyzzy", []),
        (b'"a" "b"', []),
        (b'"a", b', []),
        (b'a"b"', []),
        (b'"a", *', []),
        (b"*, *", []),
        (b'"a', []),
        (b'w/"a"', []),
    ],
)
def test_a_list_of_tags(value: bytes, expected: object) -> None:
    assert parse_etag_list(value) == expected


@given(st.lists(st.tuples(white, etags, white), min_size=1, max_size=6))
def test_every_list_by_the_grammar_is_read_whole(listed: list[tuple[bytes, bytes, bytes]]) -> None:
    assert parse_etag_list(b",".join(map(b"".join, listed))) == [tag for _, tag, _ in listed]


@given(st.binary(max_size=30) | st.text('W/"a, *\t', max_size=20).map(str.encode))
def test_any_bytes_are_a_list_of_tags_or_none(value: bytes) -> None:
    found = parse_etag_list(value)
    if found is ANY:
        assert value == b"*"
    else:
        assert all(parse_etag(tag) == tag for tag in found)
        assert not found or value.strip(b" \t,").startswith(found[0])


@pytest.mark.parametrize("hostile", [b'"a",' * 20_000 + b"x", b" ," * 50_000 + b"x", b'"' * 50_001])
def test_a_hostile_list_takes_linear_time(hostile: bytes) -> None:
    """Were it quadratic, these would take minutes."""
    assert parse_etag_list(hostile) == []


@pytest.mark.parametrize(
    ("etag", "coding", "expected"),
    [
        # §8.8.3.3: a strong tag differs per content coding
        (b'"x"', b"br", b'"x-br"'),
        (b'"x"', b"gzip", b'"x-gzip"'),
        (b'""', b"br", b'"-br"'),
        (b'"x"', b"", b'"x"'),
        # a weak tag holds for every coding
        (b'W/"x"', b"br", b'W/"x"'),
    ],
)
def test_a_strong_tag_differs_per_content_coding(etag: bytes, coding: bytes, expected: bytes) -> None:
    assert with_coding(etag, coding) == expected


@given(etags)
def test_a_tag_with_a_coding_is_a_tag_of_the_same_strength_and_matches_no_other_coding(etag: bytes) -> None:
    coded = {with_coding(etag, coding) for coding in (b"", b"br", b"gzip", b"zstd")}
    assert all(parse_etag(tag) == tag and is_weak(tag) == is_weak(etag) for tag in coded)
    assert len(coded) == (1 if is_weak(etag) else 4)


@given(etags, etags)
def test_strong_matches_are_weak_matches_and_both_are_symmetric(a: bytes, b: bytes) -> None:
    assert strong_match(a, b) == strong_match(b, a)
    assert weak_match(a, b) == weak_match(b, a)
    assert weak_match(a, b) or not strong_match(a, b)
    assert weak_match(a, a) and strong_match(a, a) != is_weak(a)
