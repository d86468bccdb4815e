"""Tags in words."""

import pytest

from uncork.cli.tagwords import by_table, in_words, precision, told_by_table
from uncork.pages.tags import (
    COMING_OR_GOING,
    READ_ANYTHING,
    READ_EVERYTHING,
    column_tag,
    existence_tag,
    part_tag,
    row_tag,
    table_tag,
)

T = b"events_event"


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        (row_tag(T, b"id", b"42"), "events_event: rows id=42"),
        (row_tag(T, b"id", b"42", b"title"), "events_event: title of rows id=42"),
        (row_tag(T, b"id", b"42", COMING_OR_GOING), "events_event: which are the rows id=42"),
        (row_tag(T, b"slug", b"a=b.c"), "events_event: rows slug=a=b.c"),
        (row_tag(T, b"topic_id", b"\0"), "events_event: rows topic_id=NULL"),
        (column_tag(T, b"starts"), "events_event: starts of all rows"),
        (existence_tag(T), "events_event: which rows there are"),
        (table_tag(T), "events_event: all of it"),
        (part_tag(T), "events_event: rows that nobody looked at"),
        (table_tag(b'"a"."t"'), '"a"."t": all of it'),
        (row_tag(b'a"."t', b"id", b"1"), 'a"."t: rows id=1'),
        (READ_EVERYTHING, "queries that aren't understood"),
        (READ_ANYTHING, "any table"),
        (b"weather", "weather"),
        (b"caf\xff", "caf\\xff"),
    ],
)
def test_one_tag(tag: bytes, said: str) -> None:
    assert in_words(tag) == said


def test_the_most_telling_comes_first() -> None:
    tags = [
        row_tag(T, b"id", b"1", b"title"),
        row_tag(T, b"id", b"1"),
        column_tag(T, b"title"),
        table_tag(T),
        READ_EVERYTHING,
    ]
    assert sorted(tags, key=precision) == tags


def test_tags_of_a_page_by_table() -> None:
    tags = {READ_ANYTHING, part_tag(T), part_tag(b"p"), existence_tag(T), column_tag(T, b"starts")}
    for number in range(1, 13):
        for other in (b"title", b"slug", COMING_OR_GOING):
            tags.add(row_tag(T, b"id", b"%d" % number, other))
    tags |= {row_tag(T, b"id", b"7"), row_tag(b"p", b"id", b"3", COMING_OR_GOING), table_tag(b"q"), b"own"}
    found = by_table(tags)
    assert not found["everything"] and found["own"] == ["own"]
    assert [*told_by_table(found)] == [
        (
            "events_event",
            "rows id=1, 2, 3, 4, 5, 6, 8, 9 and 3 more, of them slug, title",
        ),
        ("events_event", "rows id=7"),
        ("events_event", "of all rows starts"),
        ("events_event", "which rows there are"),
        ("p", "rows id=3, of them which there are"),
        ("q", "all of it"),
        ("tags", "own"),
    ]
    assert by_table({READ_EVERYTHING})["everything"]
