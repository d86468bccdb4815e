"""Tags: what a page can be purged by."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.pages import tags
from uncork.semantics.fields import Fields

SLOTS = 2**20
ORIGIN = b"https://example.org"
GROUP = b"group:https://example.org "


@given(st.binary(max_size=300), st.integers(2, 2**32))
def test_a_tag_is_never_in_the_slot_of_everything(tag: bytes, slots: int) -> None:
    assert 1 <= tags.tag_slot(tag, slots) < slots


def test_the_slot_of_a_tag_is_part_of_the_page_file() -> None:
    assert tags.tag_slot(b"app_event.id=17", SLOTS) == 468681


def test_slots_are_sorted_and_each_is_there_once() -> None:
    found = tags.tag_slots([b"b", b"a", b"b"], SLOTS)
    assert found == tuple(sorted({tags.tag_slot(b"a", SLOTS), tags.tag_slot(b"b", SLOTS)}))


@pytest.mark.parametrize(
    ("path", "query", "found"),
    [
        (b"/", None, [b"url:h/", b"prefix:h/"]),
        (b"/", b"", [b"url:h/", b"prefix:h/", b"url:h/?"]),
        (b"/a", None, [b"url:h/a", b"prefix:h/", b"prefix:h/a/"]),
        (b"/a/", b"q=1", [b"url:h/a/", b"prefix:h/", b"url:h/a/?q=1", b"prefix:h/a/"]),
        (b"/a%2Fb", None, [b"url:h/a/b", b"prefix:h/", b"prefix:h/a/", b"prefix:h/a/b/"]),
        (b"/%61//", None, [b"url:h/a//", b"prefix:h/", b"prefix:h/a/", b"prefix:h/a//"]),
    ],
)
def test_tags_of_a_url(path: bytes, query: bytes | None, found: list[bytes]) -> None:
    assert tags.url_tags(b"h", path, query) == found


@pytest.mark.parametrize(
    ("purge", "path", "query", "hit"),
    [
        (b"http://h/a", b"/a", None, True),
        (b"https://h/a", b"/a", b"q=1", True),
        (b"http://H:80/a#top", b"/a", None, True),
        (b"https://user@h:443/a", b"/a", None, True),
        (b"http://h:8000/a", b"/a", None, False),
        (b"http://h/a?q=1", b"/a", b"q=1", True),
        (b"http://h/a?q=1", b"/a", b"q=2", False),
        (b"http://h/a?q=1", b"/a", None, False),
        (b"http://h/a?", b"/a", None, False),
        (b"http://h/a", b"/a/", None, False),
        (b"http://h/a", b"/a/b", None, False),
        (b"http://h", b"/", None, True),
        (b"http://h?q=1", b"/", b"q=1", True),
        ("http://h/café".encode(), b"/caf%c3%a9", None, True),
        (b"http://h/caf%C3%A9", b"/caf%c3%a9", None, True),
    ],
)
def test_a_purge_of_a_url(purge: bytes, path: bytes, query: bytes | None, hit: bool) -> None:
    found = set(tags.parse_purge_url(purge))
    assert bool(found.intersection(tags.url_tags(b"h", path, query))) is hit


@pytest.mark.parametrize("query", [None, b"", b"q=1", b"utm=x&q=1"])
@pytest.mark.parametrize("purge", [b"http://h/a", b"http://h/a?", b"http://h/a?q=1", b"http://h/a?z"])
def test_a_page_that_may_answer_any_query_is_purged_with_each(purge: bytes, query: bytes | None) -> None:
    found = set(tags.parse_purge_url(purge))
    assert found.intersection(tags.url_tags(b"h", b"/a", query, alone=False))
    assert not found.intersection(tags.url_tags(b"h", b"/b", query, alone=False))


@pytest.mark.parametrize(
    ("purge", "path", "hit"),
    [
        (b"http://h", b"/", True),
        (b"http://h/", b"/a/b/c", True),
        (b"http://h/a", b"/a", True),
        (b"http://h/a", b"/a/", True),
        (b"http://h/a/", b"/a", True),
        (b"http://h/a/", b"/a/b", True),
        (b"http://h/a/", b"/ab", False),
        (b"http://h/a", b"/ab", False),
        (b"http://h/a/b", b"/a", False),
        (b"http://h" + b"/x" * tags.DEEPEST_PREFIX, b"/x" * 50, True),
    ],
)
def test_a_purge_of_a_prefix(purge: bytes, path: bytes, hit: bool) -> None:
    assert (tags.parse_purge_prefix(purge) in tags.url_tags(b"h", path, b"q=1")) is hit


@given(st.lists(st.text("ab%. 2F", min_size=1, max_size=3), max_size=8), st.integers(0, 8))
def test_every_directory_of_a_path_purges_it(segments: list[str], depth: int) -> None:
    path = ("/" + "/".join(segments)).encode()
    above = ("/" + "".join(segment + "/" for segment in segments[:depth])).encode()
    assert tags.parse_purge_prefix(b"http://h" + above) in tags.url_tags(b"h", path, None)


@pytest.mark.parametrize("url", [b"", b"/a", b"h/a", b"ftp://h/", b"http://", b"http:///a", b"http://:80/"])
def test_what_is_no_url_can_not_be_purged(url: bytes) -> None:
    with pytest.raises(tags.BadPurge):
        tags.parse_purge_url(url)


@pytest.mark.parametrize("url", [b"/a", b"http://h/a?q=1", b"http://h" + b"/x" * (tags.DEEPEST_PREFIX + 1)])
def test_what_is_no_prefix_can_not_be_purged(url: bytes) -> None:
    with pytest.raises(tags.BadPurge):
        tags.parse_purge_prefix(url)


@pytest.mark.parametrize(
    ("lines", "found"),
    [
        ([], []),
        ([(b"surrogate-key", b"a  b\tc")], [b"a", b"b", b"c"]),
        ([(b"surrogate-key", b"a b"), (b"surrogate-key", b"c")], [b"a", b"b", b"c"]),
        ([(b"surrogate-key", b"a,b")], [b"a,b"]),
        ([(b"cache-tag", b"a, b c ,,d")], [b"a", b"b c", b"d"]),
        ([(b"xkey", b"a b, c"), (b"xkey", b"d")], [b"a", b"b", b"c", b"d"]),
        ([(b"xkey", b"a"), (b"cache-tag", b"a")], [b"a"]),
        (
            [(b"cache-groups", b'"g";x=1, "h, i"')],
            [GROUP + b"g", GROUP + b"h, i"],
        ),
        ([(b"cache-groups", rb'"a\"\\b"')], [GROUP + b'a"\\b']),
        ([(b"cache-groups", b'token, "g"')], [GROUP + b"g"]),  # RFC 9875 §2: Strings
    ],
)
def test_tags_of_a_response(lines: list[tuple[bytes, bytes]], found: list[bytes]) -> None:
    assert tags.response_tags(Fields(lines), ORIGIN) == found


def test_a_group_is_its_origins_own() -> None:  # RFC 9875 §2.1
    assert tags.group_tag(b"https://a", b"g") != tags.group_tag(b"https://b", b"g")


def test_few_tags_stay_as_they_are() -> None:
    assert tags.fold([b"db:t.id=1", b"u"], 2) == {b"db:t.id=1", b"u"}


def test_the_longest_list_of_rows_folds_to_its_table_first() -> None:
    many = [tags.row_tag(b"t", b"id", b"%d" % number) for number in range(50)]
    assert tags.fold([*many, b"db:u.id=1", b"v"], 10) == {b"db:t", b"db:u.id=1", b"v"}


def test_too_many_tables_fold_to_the_database() -> None:
    many = [tags.table_tag(b"t%d" % number) for number in range(50)]
    assert tags.fold([*many, b"mine"], 10) == {tags.READ_EVERYTHING, tags.READ_ANYTHING, b"mine"}


def test_the_tags_of_an_application_do_not_fold() -> None:
    assert tags.fold([b"t%d" % number for number in range(50)], 10) is None


def purged_by_a_write(table: bytes, column: bytes, value: bytes) -> set[bytes]:
    return {tags.table_tag(table), tags.row_tag(table, column, value), tags.READ_EVERYTHING}


def purged_by_a_blind_write(table: bytes) -> set[bytes]:
    return {tags.table_tag(table), tags.part_tag(table), tags.READ_EVERYTHING}


@given(
    st.sets(st.tuples(st.sampled_from([b"t", b"u"]), st.sampled_from([b"a", b"b"]), st.binary(max_size=1))),
    st.integers(2, 20),
)
def test_what_is_folded_is_purged_whenever_a_tag_was(
    rows: set[tuple[bytes, bytes, bytes]], most: int
) -> None:
    listed = {tags.row_tag(*row) for row in rows} | {tags.part_tag(row[0]) for row in rows}
    folded = tags.fold(listed, most)
    assert folded is not None and len(folded) <= most
    for row in rows:
        assert folded & purged_by_a_write(*row)
        assert folded & purged_by_a_blind_write(row[0])


@pytest.mark.parametrize(
    ("tag", "table"),
    [
        (b"db:app_event.id=17", b"db:app_event"),
        (b"db:schema.table.id=a.b=c", b"db:schema.table"),
        (b"db:app_event", None),
        (b"db:app_event.*", None),
        (b"app_event.id=17", None),
        (b"a=b", None),
    ],
)
def test_the_table_of_a_tag(tag: bytes, table: bytes | None) -> None:
    assert tags.parent_tag(tag) == table
