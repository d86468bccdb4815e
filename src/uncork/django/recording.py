"""The record of a render: what it has read so far, of the request and of the data.

Lives here: one recording, and which recordings a read counts for. Doesn't know: how reads are noticed
(`requestreads`, `queries`, `caches`), and how the record travels (`pages.record`).

A read in a thread or task that a render started counts for that render, since it has the render's context.
Of a read in a context that nobody knows, it can't be said which render waits for it: it counts for all that
are under way in the process.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from uncork.pages.keys import WHOLE_COOKIE, WHOLE_QUERY
from uncork.pages.record import MOST_TAGS, Unshared
from uncork.pages.tags import (
    READ_ANYTHING,
    READ_EVERYTHING,
    row_tag,
    some_rows_tag,
    table_tag,
)

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recording:
    """One render's. Reads that come after `close` are not counted any more."""

    __slots__ = ("fallbacks", "inputs", "max_age", "open", "rows", "stamp", "tables", "tags", "unshared")

    def __init__(self, stamp: int) -> None:
        self.open = True
        self.stamp = stamp
        """What the purge clock said before anything was read."""
        self.inputs: set[bytes] = set()
        """Names of inputs, as in `pages.keys`."""
        self.tags: set[bytes] = set()
        """Those that are not rows' or tables'."""
        self.tables: set[str] = set()
        """Read as a whole."""
        self.rows: dict[str, set[tuple[str, bytes]]] = {}
        """By table: the columns and values of the rows that were read."""
        self.unshared: dict[Unshared, str] = {}
        """Why it can't be shared, each with where that was read (empty: not known); the first counts."""
        self.max_age: float | None = None
        """The longest that what it read may be good for. Seconds."""
        self.fallbacks: Counter[str] = Counter()
        """How often a query was not understood, or too much for rows, by what is said of it."""

    # Of the request

    def read_input(self, name: bytes) -> None:
        self.inputs.add(name)

    def read_cookie(self, name: str) -> None:
        self.inputs.add(b"cookie:" + name.encode("latin-1", "replace"))

    def read_field(self, name: str) -> None:
        """`name`: the field's, lower-case."""
        self.inputs.add(b"field:" + name.encode("latin-1", "replace"))

    def read_parameter(self, name: str) -> None:
        """A parameter of the query, all its values."""
        self.inputs.add(b"query:" + name.encode("utf-8", "surrogateescape"))

    def read_query(self) -> None:
        self.inputs.add(WHOLE_QUERY)

    def read_cookies(self) -> None:
        self.inputs.add(WHOLE_COOKIE)

    # Of the data

    def read_table(self, table: str) -> None:
        self.tables.add(table)
        self.rows.pop(table, None)

    def read_rows(self, table: str, column: str, values: Iterable[bytes]) -> None:
        """The rows that have one of these values in a column: many of one table fold to the table."""
        if table in self.tables:
            return
        rows = self.rows.setdefault(table, set())
        for value in values:
            rows.add((column, value))
            if len(rows) > MOST_TAGS:
                self.fall_back(f"more than {MOST_TAGS} rows of {table}")
                self.read_table(table)
                return

    def read_everything(self, why: str) -> None:
        """Nobody knows which tables. `why` is counted and shown."""
        self.tags.add(READ_EVERYTHING)
        self.fall_back(why)

    def fall_back(self, why: str) -> None:
        """Count that a read is recorded more coarsely than it was."""
        self.fallbacks[why] += 1

    def depends_on(self, tag: bytes) -> None:
        """Any tag, of the application's own as well."""
        self.tags.add(tag)

    def all_tags(self) -> set[bytes]:
        """Every tag of the page."""
        tags = set(self.tags)
        tags.update([table_tag(table.encode()) for table in self.tables])
        for table, rows in self.rows.items():
            name = table.encode()
            tags.add(some_rows_tag(name))
            tags.update([row_tag(name, column.encode(), value) for column, value in rows])
        if self.tables or self.rows or READ_EVERYTHING in self.tags:
            tags.add(READ_ANYTHING)
        return tags

    # Of neither

    def refuse(self, why: Unshared, where: str = "") -> None:
        """The page is for this one request."""
        self.unshared.setdefault(why, where)

    def bound(self, seconds: float) -> None:
        """What it read is good for no longer."""
        self.max_age = seconds if self.max_age is None else min(self.max_age, seconds)

    def close(self) -> None:
        """The page is made: nothing that is read from now on is in it."""
        self.open = False
        _under_way.discard(self)


_under_way: set[Recording] = set()
_current: ContextVar[Recording | None] = ContextVar("uncork_recording")


def start(stamp: int = 0) -> Recording:
    """Begin a recording. It counts what is read in the contexts that `enter` it.

    `stamp`: the purge clock's, if there is one; with 0 nothing that it puts into a cache is taken as valid.
    """
    recording = Recording(stamp)
    _under_way.add(recording)
    return recording


@contextmanager
def enter(recording: Recording | None) -> "Iterator[None]":
    """What is read in this context counts for that recording; for none, where it is None."""
    token = _current.set(recording)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> tuple[Recording, ...]:
    """The recordings that a read in this context counts for."""
    try:
        recording = _current.get()
    except LookupError:
        return tuple(_under_way)
    return (recording,) if recording is not None and recording.open else ()
