"""What SQL does that comes past the ORM: the net below the compilers.

Lives here: watching what is handed to the database's driver, and what a text does to tables and transactions.
Doesn't know: what the ORM's own statements do (`writes` says which of them it answers for).

Past this net go the driver's own connection (`connection.connection`), and functions of SQLite that write.
"""

import re
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import lru_cache, partial
from itertools import islice
from typing import Any

from django.db.backends.utils import CursorWrapper

from uncork.django import queries, rawsql
from uncork.django.collected import UNKNOWN, blind, pending_of
from uncork.django.tables import may_write
from uncork.django.transactions import Due, due, in_transaction, leave_in_outbox, purge


class Effect(Enum):
    """What a statement does, by its first word."""

    READS = "it reads"
    SETTLES = "it writes nothing"
    BEGINS = "it begins a transaction"
    ENDS = "it ends a transaction"
    DEFINES = "it changes what tables there are"
    WRITES = "it writes"


_EFFECTS = {
    **dict.fromkeys(["SELECT", "TABLE", "VALUES"], Effect.READS),
    **dict.fromkeys(["SAVEPOINT", "SET", "RESET", "SHOW", "PRAGMA", "LISTEN", "NOTIFY"], Effect.SETTLES),
    **dict.fromkeys(["BEGIN", "START"], Effect.BEGINS),
    **dict.fromkeys(["COMMIT", "END", "RELEASE", "ABORT", "ROLLBACK"], Effect.ENDS),
    **dict.fromkeys(["CREATE", "ALTER", "DROP", "TRUNCATE", "RENAME", "ATTACH", "DETACH"], Effect.DEFINES),
}
# Not of comments within comments, which end elsewhere on PostgreSQL than on SQLite.
_START = re.compile(r"(?:\s+|[(;]|--[^\n]*(?:\n|\Z)|/\*(?:(?!/\*).)*?\*/)*([A-Za-z]*)", re.DOTALL)
# What begins or ends a transaction, perhaps.
_TRANSACTIONS = re.compile(r"\b(?:abort|begin|commit|end|prepared?|rollback|start)\b", re.IGNORECASE)
_CALL = re.compile(r"([^\W\d][\w$]*)\"?\s*\(")
# Attributes of drivers' cursors that write, and are no methods of Django's.
_DRIVERS_OWN = frozenset({"copy", "copy_expert", "copy_from", "executescript"})


def install() -> None:
    """Watch all cursors of the process."""
    if hasattr(CursorWrapper._execute_with_wrappers, "uncork"):
        return
    execute, call = CursorWrapper._execute_with_wrappers, CursorWrapper.callproc

    def _execute_with_wrappers(self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
        # Innermost, whatever the application has put around: it is the text that the database gets.
        return execute(self, sql, params, many, partial(_watch, executor))

    def callproc(self: Any, *args: Any, **kwargs: Any) -> Any:
        with writing(self.db, UNKNOWN):
            return call(self, *args, **kwargs)

    _execute_with_wrappers.uncork = True  # type: ignore[attr-defined]
    CursorWrapper._execute_with_wrappers = _execute_with_wrappers
    CursorWrapper.callproc = callproc
    for name in _DRIVERS_OWN:
        setattr(CursorWrapper, name, property(partial(_drivers_own, name)))


@contextmanager
def writing(connection: Any, tags: Collection[bytes], alone: bool = False) -> Iterator[None]:
    """Around a write that purges these tags. `alone`: it may not stand in a transaction."""
    if in_transaction(connection):
        pending = pending_of(connection)
        # Before: a statement that fails midway may have written.
        pending.add(None, tags)
        pending.locked = True
        yield
    else:
        with due(connection, tags, alone, is_one=False):
            yield


def _drivers_own(name: str, wrapper: Any) -> Any:
    """A method of a driver's cursor of which nobody knows what it does, if it has one of that name."""
    method = getattr(wrapper.cursor, name)

    def call(*args: Any, **kwargs: Any) -> Any:
        with writing(wrapper.db, UNKNOWN, alone=True):
            done = method(*args, **kwargs)
        # Some give a context in which they do it.
        return _written_within(wrapper.db, done) if hasattr(done, "__enter__") else done

    return call


@contextmanager
def _written_within(connection: Any, context: Any) -> Iterator[Any]:
    with writing(connection, UNKNOWN, alone=True), context as inner:
        yield inner


def _watch(executor: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
    connection = context["connection"]
    pending = pending_of(connection)
    expected = pending.expected

    def execute() -> Any:
        return executor(sql, params, many, context)

    if expected is not None and expected.is_it(sql):
        return expected.run(execute, context["cursor"])
    if _are_several(sql, connection):
        return _several(connection, sql, execute)
    match effect_of(sql):
        case Effect.SETTLES:
            return execute()
        case Effect.READS if not may_call_writers(sql, connection):
            return execute()
        case Effect.BEGINS:
            done = execute()
            pending.began = True
            return done
        case Effect.ENDS:
            return _end(connection, sql, execute)
        case Effect.DEFINES:
            try:
                with writing(connection, UNKNOWN, alone=True):
                    return execute()
            finally:
                queries.forget()
                if not connection.features.can_rollback_ddl and pending.tags():
                    purge(pending.tags())  # it has committed what was there before
    written = rawsql.tables_of(sql, connection).writes
    if written is not None and not written:
        return execute()
    tags = UNKNOWN if written is None else frozenset().union(*map(blind, written))
    with writing(connection, tags, alone=written is None):
        done = execute()
        if connection.vendor == "sqlite" and context["cursor"].description:
            _Fetched(context["cursor"])
        return done


class _Fetched:
    """In the place of a driver's cursor: the rows that a statement returned which wrote. SQLite has not done
    it, and in autocommit not committed it, before its last row was fetched."""

    def __init__(self, wrapper: Any) -> None:
        self._wrapper = wrapper
        self._cursor = wrapper.cursor
        self._rows: Iterator[Any] = iter(self._cursor.fetchall())
        wrapper.cursor = self

    def __iter__(self) -> Iterator[Any]:
        return self._rows

    def fetchone(self) -> Any:
        return next(self._rows, None)

    def fetchmany(self, size: int | None = None) -> list[Any]:
        return list(islice(self._rows, self._cursor.arraysize if size is None else size))

    def fetchall(self) -> list[Any]:
        return list(self._rows)

    def execute(self, *args: Any) -> Any:
        self._wrapper.cursor = self._cursor
        return self._cursor.execute(*args)

    def executemany(self, *args: Any) -> Any:
        self._wrapper.cursor = self._cursor
        return self._cursor.executemany(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def _are_several(sql: Any, connection: Any) -> bool:
    """Whether a text may be more than one statement; SQLite takes one at a time."""
    if connection.vendor == "sqlite":
        return False
    # Else it is a composed statement of the driver's.
    return not isinstance(sql, str) or (";" in sql and ";" in sql.strip("; \n"))


def _several(connection: Any, sql: Any, execute: Callable[[], Any]) -> Any:
    """A text of several statements: any of them may write, begin a transaction or end one."""
    written = rawsql.tables_of(sql, connection).writes
    tags: frozenset[bytes] = UNKNOWN if written is None else frozenset().union(*map(blind, written))
    try:
        if isinstance(sql, str) and not _TRANSACTIONS.search(sql):
            if written is not None and not written:
                return execute()
            with writing(connection, tags):
                return execute()
        pending = pending_of(connection)
        all_tags = pending.tags() | tags
        if not all_tags:
            return execute()
        with Due(all_tags, is_one=False):
            done = execute()
        # It isn't known whether this transaction was begun before or after what was written.
        if in_transaction(connection):
            pending.add(None, all_tags)
        else:
            pending.clear()
        return done
    finally:
        if written is None:
            queries.forget()


def may_call_writers(sql: str | None, connection: Any) -> bool:
    """Whether a text has functions that may write. Those of SQLite are the process's own."""
    return sql is not None and connection.vendor != "sqlite" and may_write(connection, called_in(sql))


def _end(connection: Any, sql: str, execute: Callable[[], Any]) -> Any:
    """A transaction ends behind Django's back: what Django takes for its own goes on."""
    pending = pending_of(connection)
    words = sql.upper().split()
    if "TO" in words:  # a savepoint
        return execute()
    tags = pending.tags()
    if "PREPARED" in words:  # by somebody, before, and somewhere else
        tags |= UNKNOWN
    elif _first_word(sql) in ("COMMIT", "END", "RELEASE"):
        leave_in_outbox(connection, tags)
    with Due(tags):
        done = execute()
    pending.locked = pending.began = False
    if not in_transaction(connection):
        pending.clear()
    return done


def effect_of(sql: Any) -> Effect:
    """What a statement does as far as its first word tells."""
    if isinstance(sql, str):
        return Effect.READS if sql.startswith("SELECT ") else _EFFECTS.get(_first_word(sql), Effect.WRITES)
    return Effect.WRITES


def _first_word(sql: str) -> str:
    start = _START.match(sql)
    assert start is not None
    return start[1].upper()


def called_in(sql: str) -> frozenset[str]:
    """What looks like the name of a function in a text, in lower case."""
    return _called_known(sql) if len(sql) < 10_000 else _called(sql)


def _called(sql: str) -> frozenset[str]:
    return frozenset([name.lower() for name in _CALL.findall(sql)])


_called_known = lru_cache(maxsize=2048)(_called)
