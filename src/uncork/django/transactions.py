"""What transactions wrote, and purging it as soon as they are committed.

Lives here: what becomes of the tags that a connection has collected at a commit, a rollback, and outside of
transactions. Doesn't know: which tags a statement gives (`writes`, `statements`).

    statement in a transaction  its tags are kept with the connection
    savepoint rolled back       those that were kept since the savepoint are dropped
    rollback, close             all are dropped
    commit                      noted in the journal → COMMIT → purged → the note is emptied; whatever the
                                database answers, for it may have committed and not been able to say so
    statement in autocommit     the same around the statement

A commit's callbacks run after the purge. Dropped is only what the database is known to have undone: a
savepoint or a transaction that was ended behind Django's back only purges more, or earlier as well.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any

from django.db import DEFAULT_DB_ALIAS, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from uncork.django import outbox, terminal
from uncork.django.clock import clock_table
from uncork.django.collected import ATTRIBUTE, Expected, Pending, expecting, pending_of
from uncork.django.recording import current
from uncork.pages.record import Unshared
from uncork.pages.tags import tag_slots
from uncork.purging.pending import Journal, Note
from uncork.purging.table import ClockTable

_log = logging.getLogger("uncork")
_told: set[str] = set()
_journals: dict[Path, Journal] = {}


def look(connection: Any, sql: str, params: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """The rows of a query of our own, on a connection that is open: no render's, nobody's to count or to
    wrap, and nothing to be watched."""
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors:
        cursor = connection.create_cursor()
        try:
            cursor.execute(sql, tuple(params))
            return list(cursor.fetchall())
        finally:
            cursor.close()


def in_transaction(connection: Any) -> bool:
    """Whether what is written now is still to be committed."""
    if connection.in_atomic_block or not connection.get_autocommit():
        return True
    is_open = is_open_in_database(connection)
    return pending_of(connection).began if is_open is None else is_open


def is_open_in_database(connection: Any) -> bool | None:
    """Whether the database has a transaction open, by its driver; None where that doesn't say."""
    driver = connection.connection
    if connection.vendor == "sqlite":
        return bool(driver.in_transaction)
    if connection.vendor == "postgresql":
        return bool(driver.info.transaction_status)
    return None


def purge_at_commit(tags: Collection[bytes], using: str | None = None) -> None:
    """Purge these as soon as the transaction under way is committed, and not if it is rolled back; outside of
    one, at once."""
    connection = connections[DEFAULT_DB_ALIAS if using is None else using]
    if in_transaction(connection):
        pending_of(connection).add(None, tags)
    else:
        with due(connection, tags, alone=True):
            pass


def purge(tags: Iterable[bytes]) -> bool:
    """Purge these now; whether that worked. What goes wrong is logged: it is too late to refuse a commit."""
    table = clock_table()
    if table is not None:
        try:
            tags = sorted(tags)
            watched = terminal.Watched(table, tags) if terminal.watching() else None
            counter = table.purge(tags)
            if watched is not None:
                watched.tell(counter)
        except OSError as error:
            _log.critical("Stale pages may be served: a purge failed: %s", error)
            return False
    return True


class Due:
    """Around what makes a purge due, a COMMIT or a statement in autocommit: its tags are purged at the end,
    however it ends, and noted in the journal until then.

    `tags` may be replaced on the way by those that turned out to be right. `is_one`: it is done as a whole or
    not at all, so that nothing is purged when a constraint refuses it.
    """

    __slots__ = ("_is_one", "_journal", "_note", "tags")

    def __init__(self, tags: Iterable[bytes], is_one: bool = True) -> None:
        self.tags = tags
        self._is_one = is_one
        self._note: Note | None = None

    def __enter__(self) -> "Due":
        table = clock_table()
        if table is not None:
            try:
                self._journal = _journal(table)
                self._note = self._journal.begin(table, tag_slots(self.tags, table.clock.slots))
            except OSError as error:
                _tell(f"Purges can't be noted before a commit, so a crash may lose them: {error.strerror}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # With this the database has certainly not done it, or no more of it.
        refused = isinstance(error, IntegrityError)
        if self.tags:
            for recording in current():
                recording.refuse(Unshared.WROTE)
        purged = (refused and self._is_one) or purge(self.tags)
        if self._note is not None:
            # Where it doesn't say, it may still be at work: others will purge again.
            if purged and (refused or error is None):
                self._journal.end(self._note)
            else:
                self._note.leave()


@contextmanager
def due(connection: Any, tags: Collection[bytes], alone: bool = False, is_one: bool = True) -> Iterator[Due]:
    """The same around a statement in autocommit. Where its purge has to be left in the database, it becomes a
    transaction with that; `alone`: it may not stand in one."""
    if outbox.is_needed(connection) and not alone and connections[connection.alias] is connection:
        with transaction.atomic(using=connection.alias):
            found = Due(tags)
            yield found
            pending_of(connection).add(None, found.tags)
        return
    with Due(tags, is_one) as found:
        yield found
    if alone:
        leave_in_outbox(connection, tags)


def leave_in_outbox(connection: Any, tags: Collection[bytes]) -> None:
    """Where there is no clock, have who has it purge these when the transaction under way is committed."""
    if tags and outbox.is_needed(connection):
        outbox.put(connection, tags)


def _journal(table: ClockTable) -> Journal:
    place = table.path.parent
    found = _journals.get(place)
    if found is None:  # another state directory than before: its notes are of no use any more
        for other in list(_journals.values()):
            other.close()
        _journals.clear()
        found = _journals.setdefault(place, Journal(place))
    return found


def _tell(what: str) -> None:
    if what not in _told:
        _told.add(what)
        _log.error("%s", what)


def _undone() -> None:
    """A render that is under way may have read what was never committed."""
    for recording in current():
        recording.refuse(Unshared.NOT_RECORDED, "it may have read what was rolled back")


# The hooks


def install() -> None:
    """Watch the transactions of every connection of the process."""
    if hasattr(BaseDatabaseWrapper.commit, "uncork"):
        return
    for hook in (
        *(commit, rollback, close, connect, set_autocommit),
        *(_savepoint, _savepoint_rollback, _savepoint_commit),
    ):
        original = getattr(BaseDatabaseWrapper, hook.__name__)
        setattr(BaseDatabaseWrapper, hook.__name__, _around(hook, original))


def _around(hook: Callable[..., Any], original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        pending = self.__dict__.get(ATTRIBUTE)
        if pending is None:
            if hook is not _savepoint:  # it has written nothing so far
                return original(self, *args, **kwargs)
            pending = pending_of(self)
        return hook(original, pending, self, *args, **kwargs)

    method.uncork = True  # type: ignore[attr-defined]
    return method


def commit(original: Any, pending: Pending, connection: Any) -> Any:
    if connection.in_atomic_block:
        return original(connection)  # which refuses
    return _committing(pending, connection, lambda: original(connection))


def set_autocommit(
    original: Any, pending: Pending, connection: Any, autocommit: bool, *args: Any, **kwargs: Any
) -> Any:
    def change() -> Any:
        return original(connection, autocommit, *args, **kwargs)

    # Some databases commit what is under way.
    return (
        _committing(pending, connection, change)
        if autocommit and not connection.in_atomic_block
        else change()
    )


def _committing(pending: Pending, connection: Any, act: Callable[[], Any]) -> Any:
    tags = pending.tags()
    if not tags:
        done = act()
    else:
        leave_in_outbox(connection, tags)
        with Due(tags):
            done = act()
    # Not after an error: then it may be tried again, or rolled back.
    pending.clear()
    return done


def rollback(original: Any, pending: Pending, connection: Any) -> Any:
    done = original(connection)
    if pending.tags():
        _undone()
    pending.clear()
    return done


def close(original: Any, pending: Pending, connection: Any) -> Any:
    done = original(connection)
    pending.clear()
    return done


def connect(original: Any, pending: Pending, connection: Any) -> Any:
    """What is left of a former connection, which nobody closed: whatever became of it."""
    tags = pending.tags()
    pending.clear()
    if tags:
        purge(tags)
    return original(connection)


def _savepoint(original: Any, pending: Pending, connection: Any, sid: str) -> Any:
    # To SQLite the first one is a transaction of its own, where nothing has begun one.
    first = connection.vendor == "sqlite" and not is_open_in_database(connection)
    with expecting(connection, Expected()):
        done = original(connection, sid)
    pending.save(sid)
    if first:
        pending.first = sid
    return done


def _savepoint_rollback(original: Any, pending: Pending, connection: Any, sid: str) -> Any:
    with expecting(connection, Expected()):
        done = original(connection, sid)
    if pending.undo(sid):
        _undone()
    return done


def _savepoint_commit(original: Any, pending: Pending, connection: Any, sid: str) -> Any:
    with expecting(connection, Expected()):
        if pending.first == sid:
            return _committing(pending, connection, lambda: original(connection, sid))
        done = original(connection, sid)
    pending.release(sid)
    return done
