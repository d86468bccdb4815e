"""The record of a render: what it has read so far, of the request and of the data.

Lives here: one recording, and which recordings a read counts for. Doesn't know: how reads are noticed
(`requestreads`, `queries`, `caches`), and how the record travels (`pages.record`).

A read in a thread or task that a render started counts for that render, since it has the render's context.
Of a read in a context that nobody knows, it can't be said which render waits for it: it counts for all that
are under way in the process.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from uncork.pages.keys import WHOLE_COOKIE, WHOLE_QUERY
from uncork.pages.record import MOST_TAGS, Unshared
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

# Rows of one query that are recorded one by one, and columns of such rows.
_MOST_ROWS = 128
_MOST_CELLS = 256

# A column of all rows; the rows with a value in it; another column of these. None, None, None: which rows
# there are.
Part = tuple[str | None, bytes | None, str | None]


class Recording:
    """One render's. Reads that come after `close` are not counted any more."""

    __slots__ = (
        "allowed", "fallbacks", "inputs", "max_age", "missed", "open", "parts", "stamp", "tables", "tags",
        "unfinished", "unshared",
    )  # fmt: skip

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
        self.parts: dict[str, set[Part]] = {}
        """What was read of the others."""
        self.unfinished: Counter[str] = Counter()
        """How many times rows of a table are being read one by one: as a whole, until that is done."""
        self.unshared: dict[Unshared, str] = {}
        """Why it can't be shared, each with where that was read (empty: not known); the first counts."""
        self.max_age: float | None = None
        """The longest that what it read may be good for. Seconds."""
        self.missed: set[object] = set()
        """What it looked for in a cache, and neither found nor put there."""
        self.allowed: float | None = None
        """How long the view says that its page may be shared, unless it is purged. Seconds."""
        self.fallbacks: Counter[str] = Counter()
        """How often a query was not understood, or too much for rows, by what is said of it."""

    # Of the request

    def read_input(self, name: bytes) -> None:
        self.inputs.add(name)

    def read_cookie(self, name: str) -> None:
        self.inputs.add(b"cookie:" + name.encode("utf-8", "surrogatepass"))

    def read_field(self, name: str) -> None:
        """`name`: the field's, lower-case."""
        self.inputs.add(b"field:" + name.encode("latin-1", "replace"))

    def read_parameter(self, name: str) -> None:
        """A parameter of the query, all its values."""
        self.inputs.add(b"query:" + name.encode("utf-8", "surrogatepass"))

    def read_query(self) -> None:
        self.inputs.add(WHOLE_QUERY)

    def read_cookies(self) -> None:
        self.inputs.add(WHOLE_COOKIE)

    # Of the data

    def read_table(self, table: str) -> None:
        """Any part of it."""
        self.tables.add(table)
        self.parts.pop(table, None)

    def begin_reading(self, tables: Iterable[str]) -> None:
        """Rows of these are going to be recorded as they are asked for."""
        self.unfinished.update(tables)

    def end_reading(self, tables: Iterable[str]) -> None:
        """All of them were."""
        self.unfinished.subtract(tables)

    def read_existence(self, table: str) -> None:
        """Which rows there are: a row that comes or goes may change the page."""
        self._read_parts(table, [(None, None, None)])

    def read_columns(self, table: str, columns: Iterable[str]) -> None:
        """Columns of all rows that there are: whichever changes in one of them may change the page."""
        self._read_parts(table, [(name, None, None) for name in columns])

    def read_rows(
        self, table: str, column: str, values: Collection[bytes], only: Collection[str] | None = None
    ) -> None:
        """The rows that have one of these values in a column, those that will have it included; of them these
        columns `only`, other than that one. Many rows count as these columns of all rows, or as the table."""
        if len(values) > _MOST_ROWS:
            self.fall_back(f"more than {_MOST_ROWS} rows of {table}")
            if only is None:
                self.read_table(table)
            else:
                self.read_existence(table)
                self.read_columns(table, (column, *only))
        elif only is None or len(values) * (len(only) + 1) > _MOST_CELLS:
            self._read_parts(table, [(column, value, None) for value in values])
        else:
            others = [*only, COMING_OR_GOING.decode()]
            self._read_parts(table, [(column, value, other) for value in values for other in others])

    def _read_parts(self, table: str, parts: Iterable[Part]) -> None:
        if table in self.tables:
            return
        known = self.parts.setdefault(table, set())
        known.update(parts)
        if len(known) > MOST_TAGS:
            self._coarsen(table)
            if len(self.parts[table]) > MOST_TAGS:
                self.fall_back(f"more than {MOST_TAGS} rows of {table}")
                self.read_table(table)

    def _coarsen(self, table: str) -> None:
        """Rows instead of columns of rows."""
        self.parts[table] = {
            (column, value, None) if value is not None else (column, None, None)
            for column, value, _ in self.parts[table]
        }

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
        count = len(self.tags) + len(self.tables) + sum(len(parts) + 1 for parts in self.parts.values())
        for table in sorted(self.parts, key=lambda table: -len(self.parts[table])):
            if count < MOST_TAGS:
                break
            count -= len(self.parts[table])
            self._coarsen(table)
            count += len(self.parts[table])
        tags = set(self.tags)
        unfinished = {table for table, count in self.unfinished.items() if count > 0}
        tags.update([table_tag(table.encode()) for table in self.tables | unfinished])
        for table, parts in self.parts.items():
            tags.update(_part_tags(table.encode(), parts))
        if self.tables or unfinished or self.parts or READ_EVERYTHING in self.tags:
            tags.add(READ_ANYTHING)
        return tags

    # Of neither

    def refuse(self, why: Unshared, where: str = "") -> None:
        """The page is for this one request."""
        self.unshared.setdefault(why, where)

    def bound(self, seconds: float) -> None:
        """What it read is good for no longer."""
        self.max_age = seconds if self.max_age is None else min(self.max_age, seconds)

    def allow(self, seconds: float) -> None:
        """The view's word on how long; of several, the shortest."""
        self.allowed = seconds if self.allowed is None else min(self.allowed, seconds)

    def include(self, other: "Recording") -> None:
        """This render made use of another one's page: it depends on the same data."""
        self.tags |= other.tags
        for table in other.tables | {table for table, count in other.unfinished.items() if count > 0}:
            self.read_table(table)
        for table, parts in other.parts.items():
            self._read_parts(table, parts)
        for why, where in other.unshared.items():
            self.refuse(why, where)
        self.missed |= other.missed
        if other.max_age is not None:
            self.bound(other.max_age)
        self.fallbacks += other.fallbacks

    def close(self) -> None:
        """The page is made: nothing that is read from now on is in it."""
        self.open = False
        _under_way.discard(self)


def _part_tags(table: bytes, parts: Iterable[Part]) -> Iterator[bytes]:
    yield part_tag(table)
    for column, value, other in parts:
        if column is None:
            yield existence_tag(table)
        elif value is None:
            yield column_tag(table, column.encode())
        else:
            yield row_tag(table, column.encode(), value, None if other is None else other.encode())


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
def enter(recording: Recording | None) -> Iterator[None]:
    """What is read in this context counts for that recording; for none, where it is None."""
    token = _current.set(recording)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> tuple[Recording, ...]:
    """The recordings that a read in this context counts for."""
    if not _under_way:
        return ()
    try:
        recording = _current.get()
    except LookupError:
        return tuple(_under_way)
    return (recording,) if recording is not None and recording.open else ()


def entered() -> Recording | None:
    """The recording that this context has entered, whatever else is under way."""
    return _current.get(None)


def leave() -> None:
    """From now on this context, a server's own, is known to make no page: what it reads counts for none."""
    _current.set(None)
