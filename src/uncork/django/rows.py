"""The tags of written rows.

Lives here: which tags a row has that came, went or changed, by its values before and after.
Doesn't know: where the values come from, and when anything is purged.

A row is what the database's driver gives for it, so values before and after are compared as the database has
them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from uncork.django.columns import spelling
from uncork.pages.tags import (
    COMING_OR_GOING,
    READ_EVERYTHING,
    column_tag,
    existence_tag,
    row_tag,
    table_tag,
)

Row = Sequence[Any]

# Values that are the same to everybody when they are equal; others must be spelled the same, too.
_EXACT = frozenset({bool, bytes, date, datetime, int, str, time, timedelta, type(None), UUID})


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table of which rows consist, in their order. `key`: the places of the primary key;
    `tracked`: those of the columns that rows are told apart by."""

    table: str
    names: tuple[str, ...]
    key: tuple[int, ...]
    tracked: tuple[int, ...]

    def key_of(self, row: Row) -> tuple[Any, ...]:
        return tuple([row[at] for at in self.key])


def came_or_went(columns: Columns, rows: Iterable[Row]) -> set[bytes]:
    """The tags of rows that were inserted or deleted, by their values; see `came_again` as well."""
    table = columns.table.encode()
    tags: set[bytes] = set()
    for at in columns.tracked:
        name = columns.names[at].encode()
        for value in {spelling(row[at]) for row in rows}:
            if value is not None:  # else no page has a tag of it
                tags.add(row_tag(table, name, value))
                tags.add(row_tag(table, name, value, COMING_OR_GOING))
    if rows:
        tags |= {table_tag(table), existence_tag(table), READ_EVERYTHING}
    return tags


def came_again(columns: Columns, rows: Iterable[Row], names: Iterable[str]) -> set[bytes]:
    """The tags of rows that were inserted in a transaction that had deleted some of their table; `names` are
    all its columns.

    Who referred to a deleted row may so get another with the same key in its place, before the database looks
    at the reference. To a page that found it by this reference it has changed.
    """
    tags = came_or_went(columns, rows)
    if tags:
        tags.update([column_tag(columns.table.encode(), name.encode()) for name in names])
    return tags


def changed(columns: Columns, pairs: Iterable[tuple[Row, Row]], assumed: Collection[str] = ()) -> set[bytes]:
    """The tags of rows that were updated, each by its values before and after: none where nothing changed.
    What is `assumed` to have changed nobody looked at."""
    table = columns.table.encode()
    tags: set[bytes] = set()
    different: set[bytes] = set()
    beyond = [name.encode() for name in assumed]
    spelled = [name.encode() for name in columns.names]
    for old, new in pairs:
        names = [name for at, name in enumerate(spelled) if not _same(old[at], new[at])] + beyond
        if not names:
            continue
        different.update(names)
        for at in columns.tracked:
            values = {spelling(old[at]), spelling(new[at])}
            others = names if len(values) == 1 else [*names, COMING_OR_GOING]
            for value in values:
                if value is not None:
                    tags.add(row_tag(table, spelled[at], value))
                    tags.update([row_tag(table, spelled[at], value, other) for other in others])
    if different:
        tags |= {table_tag(table), READ_EVERYTHING}
        tags.update([column_tag(table, name) for name in different])
    return tags


def matched(columns: Columns, before: Sequence[Row], after: Sequence[Row]) -> list[tuple[Row, Row]] | None:
    """Each row before and after, by its primary key; None when these are not the same rows."""
    known: Mapping[Any, Row] = {columns.key_of(row): row for row in before}
    found = {columns.key_of(row): row for row in after}
    if known.keys() != found.keys() or len(known) != len(before) or len(found) != len(after):
        return None
    return [(known[key], row) for key, row in found.items()]


def _same(one: Any, other: Any) -> bool:
    """Whether a value is certainly still the same."""
    if type(one) is not type(other) or one != other:
        return False
    return type(one) in _EXACT or repr(one) == repr(other)
