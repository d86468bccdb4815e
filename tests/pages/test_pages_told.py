"""What a render read, by its names, as fields of a response."""

from hypothesis import given
from hypothesis import strategies as st

from uncork.pages.told import MOST_BYTES, TAGS, Told, format_told, parse_told
from uncork.semantics.fields import Fields

names = st.binary(min_size=1, max_size=20)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(
    st.builds(
        Told,
        tags=st.frozensets(names, max_size=9).map(lambda tags: tuple(sorted(tags))),
        places=st.dictionaries(names, texts, max_size=5),
        reasons=st.dictionaries(texts, texts, max_size=5),
        fallbacks=st.dictionaries(texts, st.integers(0, 10**6), max_size=5),
    )
)
def test_what_is_told_is_understood(told: Told) -> None:
    fields = format_told(told)
    assert parse_told(Fields(fields)) == told
    for _, value in fields:
        assert value.isascii() and value.decode().isprintable()


def test_tags_that_look_like_what_is_left() -> None:
    told = Told(tags=(b"+7", b"db:t.+"))
    assert parse_told(Fields(format_told(told))) == told


def test_what_has_no_room_is_counted() -> None:
    tags = tuple(b"db:t.id=%d" % number for number in range(10_000))
    ((name, value),) = format_told(Told(tags=tags))
    assert name == TAGS and MOST_BYTES - 100 < len(value) <= MOST_BYTES + 10
    found = parse_told(Fields([(name, value)]))
    assert found.tags == tuple(sorted(tags))[: len(found.tags)]
    assert found.left == {TAGS: len(tags) - len(found.tags)}


def test_what_is_none_of_ours_tells_nothing() -> None:
    fields = Fields([(TAGS, b"%zz"), (b"uncork-places", b"x y= =z"), (b"uncork-fallbacks", b"a=b c=1")])
    found = parse_told(fields)
    assert found.tags == (b"%zz",) and found.places == {b"y": "", b"": "z"} and found.fallbacks == {"c": 1}
