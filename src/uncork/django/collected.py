"""What a connection has written since its last commit, as tags.

Lives here: the tags of a transaction, by savepoint, and what is about to be executed on its connection.
Doesn't know: when transactions begin and end (`transactions`).
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from uncork.pages.tags import READ_ANYTHING, READ_EVERYTHING, part_tag, table_tag

MOST_TAGS = 4096
"""Of one transaction or savepoint. Above, rows fold to their tables, as if nobody had looked at them."""

UNKNOWN = frozenset({READ_ANYTHING, READ_EVERYTHING})
"""What to purge after a write of which nobody knows what it wrote."""

ATTRIBUTE = "uncork_pending"
"""Of a connection: what it has collected, if it has written anything."""


def blind(table: str) -> frozenset[bytes]:
    """What to purge after a write to rows of a table that nobody looked at."""
    name = table.encode()
    return frozenset({table_tag(name), part_tag(name), READ_EVERYTHING})


class Collected:
    """The tags of a transaction, or of what came after one of its savepoints."""

    __slots__ = ("count", "others", "savepoint", "tables")

    def __init__(self, savepoint: str | None) -> None:
        self.savepoint = savepoint
        self.tables: dict[str, set[bytes]] = {}
        self.others: set[bytes] = set()
        self.count = 0

    def add(self, table: str | None, tags: Iterable[bytes]) -> None:
        """`table`: what the tags are of, if they are of rows of one table."""
        if table is None:
            self.others.update(tags)
            return
        known = self.tables.setdefault(table, set())
        before = len(known)
        known.update(tags)
        self.count += len(known) - before
        if self.count > MOST_TAGS:
            self.tables = {name: set(blind(name)) for name in self.tables}
            self.count = sum(len(tags) for tags in self.tables.values())

    def merge(self, other: "Collected") -> None:
        self.others |= other.others
        for table, tags in other.tables.items():
            self.add(table, tags)

    def tags(self) -> set[bytes]:
        return self.others.union(*self.tables.values())


class Pending:
    """What a connection's transaction has written so far."""

    __slots__ = ("began", "expected", "first", "locked", "stack", "thinned")

    def __init__(self) -> None:
        self.stack = [Collected(None)]
        self.began = False
        """Whether a transaction was begun by a statement, of which Django knows nothing."""
        self.first: str | None = None
        """The savepoint that is the transaction."""
        self.expected: Expected | None = None
        """What is about to be executed, if somebody else answers for it."""
        self.locked = False
        """Whether the transaction has written, so that on SQLite nobody else can."""
        self.thinned: set[str] = set()
        """The tables from which the transaction has deleted rows."""

    def add(self, table: str | None, tags: Iterable[bytes]) -> None:
        self.stack[-1].add(table, tags)

    def tags(self) -> set[bytes]:
        return set().union(*(collected.tags() for collected in self.stack))

    def clear(self) -> None:
        self.stack = [Collected(None)]
        self.began = self.locked = False
        self.first = None
        self.thinned = set()

    def save(self, savepoint: str) -> None:
        self.stack.append(Collected(savepoint))

    def release(self, savepoint: str) -> None:
        """What came after the savepoint belongs to what was before it."""
        if (at := self._find(savepoint)) is not None:
            for collected in self.stack[at:]:
                self.stack[at - 1].merge(collected)
            del self.stack[at:]

    def undo(self, savepoint: str) -> bool:
        """The database has undone what came after the savepoint, which stays; whether there was anything."""
        at = self._find(savepoint)
        if at is None:
            return True
        undone = any(collected.tags() for collected in self.stack[at:])
        self.stack[at:] = [Collected(savepoint)]
        return undone

    def _find(self, savepoint: str) -> int | None:
        """Where it is in the stack; None for one that was made before anybody looked."""
        for at in range(len(self.stack) - 1, 0, -1):
            if self.stack[at].savepoint == savepoint:
                return at
        return None


def pending_of(connection: Any) -> Pending:
    """What a connection has collected."""
    found: Pending | None = connection.__dict__.get(ATTRIBUTE)
    if found is None:
        found = connection.__dict__[ATTRIBUTE] = Pending()
    return found


class Expected:
    """Statements that come next on a connection and need no watching."""

    def is_it(self, sql: object) -> bool:
        return True

    def run(self, execute: Callable[[], Any], cursor: Any) -> Any:
        return execute()


@contextmanager
def expecting(connection: Any, expected: Expected) -> Iterator[None]:
    """For what is executed within."""
    pending = pending_of(connection)
    before = pending.expected
    pending.expected = expected
    try:
        yield
    finally:
        pending.expected = before
