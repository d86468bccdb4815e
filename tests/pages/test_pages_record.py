"""The record of a render, in the fields of a response."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.pages.record import MOST_TAGS, Record, Unshared, format_record, parse_record, record_of
from uncork.semantics.fields import Fields

CLOCK = b"00ff"
SIZE = 1024

names = st.sampled_from([b"query", b"query:q", b"query:\xff ", b"cookie:a b", b"field:accept-language"])
whys = st.none() | st.sampled_from(Unshared)


@given(st.sets(names), st.sets(st.binary(max_size=9), max_size=40), whys)
def test_it_arrives_as_it_was(inputs: set[bytes], tags: set[bytes], why: Unshared | None) -> None:
    record = record_of(CLOCK, SIZE, inputs, tags, why)
    assert parse_record(Fields(format_record(record)), CLOCK, SIZE) == record


def test_its_fields_are_short_and_hold_no_control_characters() -> None:
    record = record_of(CLOCK, 2**32, {b"cookie:\r\nX: y"}, [b"db:t.id=%d" % n for n in range(100_000)], None)
    for name, value in format_record(record):
        assert name.startswith(b"uncork-") and value.isascii() and value.decode().isprintable()
        assert len(value) < 8192


def test_tags_that_can_not_fold_keep_a_page_from_being_shared() -> None:
    record = record_of(CLOCK, SIZE, (), [b"%d" % n for n in range(MOST_TAGS + 1)], None)
    assert record.unshared is Unshared.TOO_MANY_TAGS


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b"uncork-record", b"1 other")],
        [(b"uncork-record", b"2 00ff")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-record", b"1 00ff")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-inputs", b"moon:phase")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-slots", b"0")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-slots", b"1024")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-slots", b"1,2")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-slots", b"-1")],
        [(b"uncork-record", b"1 00ff"), (b"uncork-unshared", b"whim")],
    ],
)
def test_what_is_not_understood_is_no_record(fields: list[tuple[bytes, bytes]]) -> None:
    assert parse_record(Fields(fields), CLOCK, SIZE) is None


def test_a_render_that_read_nothing_has_a_record() -> None:
    assert parse_record(Fields([(b"uncork-record", b"1 00ff")]), CLOCK, SIZE) == Record(CLOCK, (), (), None)
