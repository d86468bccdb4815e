"""Purges of processes that have no purge clock: left in the database, with what they are purges of.

Lives here: the rows of the outbox, and who takes them out. Doesn't know: which tags there are, and when a
transaction ends (`transactions`).

A process in another container or on another machine writes to the database, and can't reach the clock of the
edge. It puts the tags into a table, in the very transaction that they are of; a process that has the clock
looks every second, purges them and deletes the row. Until then, up to a second, the old page is served.

A row holds each tag behind its length, 4 bytes, little-endian; one without tags stands for everything.
"""

import fcntl
import logging
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from django.db import DatabaseError, connections

from uncork.django.clock import clock_table
from uncork.django.introspection import catalog_of
from uncork.django.options import options
from uncork.purging.table import ClockTable

TABLE = "uncork_outbox"
LOCK_NAME = "outbox.lock"
"""In the state directory: held by the one process that looks."""

_SECONDS = 1.0
_MOST_ROWS = 1000
# SQLite of old takes no more parameters in a statement.
_MOST_KEYS = 500
# Above so many rows nobody seems to take them out. Looked at again after so many puts of a process.
_MOST_KEPT = 10_000
_LOOK_AGAIN = 500
# Of a driver for PostgreSQL. Source: libpq, PQtransactionStatus
_FAILED = 3

_log = logging.getLogger("uncork")
_said: set[tuple[str, str]] = set()
_puts = 0


def is_needed(connection: Any) -> bool:
    """Whether purges of that database have to be left in it: there is no clock, but a table for them."""
    return clock_table() is None and has_table(connection)


def has_table(connection: Any) -> bool:
    """Whether a database has an outbox, and the project wants it used."""
    if not options().outbox:
        return False
    try:
        return catalog_of(connection, [(TABLE,)]).find((TABLE,)) is not None
    except Exception:  # the database's own: it will say so to whoever writes
        return False


def put(connection: Any, tags: Iterable[bytes]) -> None:
    """Leave these in the transaction under way. What goes wrong is logged: it is no reason not to commit."""
    global _puts
    if _has_failed(connection):
        return
    try:
        with _tried(connection):
            _puts += 1
            if _puts % _LOOK_AGAIN == 0 and _is_full(connection):
                # Nobody takes anything out: what is in it is as good as everything.
                _execute(connection, f"DELETE FROM {TABLE}")
                tags = ()
            sql = f"INSERT INTO {TABLE} (tags) VALUES (%s)"
            _execute(connection, sql, [connection.Database.Binary(packed(tags))])
    except DatabaseError as error:
        _say(connection, "Stale pages may be served: nothing can be left in the outbox", error)


def _has_failed(connection: Any) -> bool:
    """Whether the transaction under way can't be committed any more."""
    connection.ensure_connection()
    return bool(
        connection.vendor == "postgresql" and connection.connection.info.transaction_status == _FAILED
    )


@contextmanager
def _tried(connection: Any) -> Iterator[None]:
    """For statements whose failure is not the transaction's."""
    if connection.vendor != "postgresql" or not connection.connection.info.transaction_status:
        yield
        return
    _execute(connection, "SAVEPOINT uncork_outbox")
    try:
        yield
    except DatabaseError:
        _execute(connection, "ROLLBACK TO SAVEPOINT uncork_outbox")
        raise
    _execute(connection, "RELEASE SAVEPOINT uncork_outbox")


def _is_full(connection: Any) -> bool:
    return len(_execute(connection, f"SELECT 1 FROM {TABLE} LIMIT {_MOST_KEPT + 1}")) > _MOST_KEPT


def take(connection: Any, table: ClockTable) -> int:
    """Purge what a database's outbox has, and delete it; how many rows that was."""
    rows = _execute(connection, f"SELECT id, tags FROM {TABLE} ORDER BY id LIMIT {_MOST_ROWS}")
    if rows:
        if any(not tags for _, tags in rows):
            table.purge_all()
        table.purge(sorted({tag for _, tags in rows for tag in unpacked(bytes(tags))}))
        # After the purge: whoever dies in between purges once more.
        for start in range(0, len(rows), _MOST_KEYS):
            keys = [key for key, _ in rows[start : start + _MOST_KEYS]]
            _execute(connection, f"DELETE FROM {TABLE} WHERE id IN ({', '.join(['%s'] * len(keys))})", keys)
    return len(rows)


def settle(table: ClockTable) -> int:
    """The same for every database of the project, each on a connection of this thread."""
    taken = 0
    for connection in connections.all():
        try:
            if has_table(connection):
                connection.close_if_unusable_or_obsolete()
                taken += take(connection, table)
        except DatabaseError as error:
            connection.close()
            _say(connection, "The outbox can't be read", error)
    return taken


def _say(connection: Any, what: str, error: Exception) -> None:
    """Once for each database."""
    if (connection.alias, what) not in _said:
        _said.add((connection.alias, what))
        _log.error("%s (database %r): %s", what, connection.alias, error)


def packed(tags: Iterable[bytes]) -> bytes:
    return b"".join([len(tag).to_bytes(4, "little") + tag for tag in sorted(tags)])


def unpacked(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        yield data[at + 4 : end]
        at = end


def _execute(connection: Any, sql: str, params: Iterable[Any] = ()) -> list[Any]:
    """By the driver's own cursor: no query of the application's, and no write to be watched."""
    connection.ensure_connection()
    with connection.wrap_database_errors:
        cursor = connection.create_cursor()
        try:
            cursor.execute(sql, tuple(params))
            return list(cursor.fetchall()) if cursor.description else []
        finally:
            cursor.close()


# Who looks


class _Looking(threading.Thread):
    """Looks every second, as long as no other process of the machine does."""

    def __init__(self) -> None:
        super().__init__(name="uncork-outbox", daemon=True)
        self._stopped = threading.Event()
        self.lock = -1

    def run(self) -> None:
        while not self._stopped.wait(_SECONDS):
            try:
                table = clock_table()
                if table is not None and self._is_ours(table):
                    settle(table)
            except Exception:
                if ("", "thread") not in _said:
                    _said.add(("", "thread"))
                    _log.exception("The outbox can't be looked after")
        connections.close_all()
        self.let_go()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def let_go(self) -> None:
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def _is_ours(self, table: ClockTable) -> bool:
        """Whether this process is the one that looks; it stays that until it ends."""
        if self.lock >= 0:
            return True
        fd = os.open(table.path.parent / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return False
        self.lock = fd
        return True


_looking: _Looking | None = None
_starting = threading.Lock()


def look_after() -> None:
    """Have this process look, if no other one does: one that serves pages, and so lives for long. Costs
    nothing after the first time."""
    global _looking
    if _looking is None:
        with _starting:
            if _looking is None and options().outbox:
                _looking = _Looking()
                _looking.start()


def stop() -> None:
    """Look no longer."""
    global _looking
    if _looking is not None:
        _looking.stop()
        _looking = None


def _after_fork() -> None:
    """In the child: it has no such thread, and the lock is its parent's."""
    global _looking, _starting
    _starting = threading.Lock()
    if _looking is not None:
        _looking.let_go()
        _looking = None


os.register_at_fork(after_in_child=_after_fork)
