"""One statement of the ORM that writes, from before it is executed until its tags are known.

Lives here: what it purges blindly, what by its rows, and handing that to the transaction.
Doesn't know: how its rows are looked at (`writes`).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from django.apps import apps
from django.db import IntegrityError

from uncork.django import outbox, statements
from uncork.django.clock import clock_table
from uncork.django.collected import UNKNOWN, Expected, blind, expecting, pending_of
from uncork.django.columns import tracked
from uncork.django.rows import Columns, Row
from uncork.django.tables import Kind, nature
from uncork.django.transactions import due, in_transaction

_log = logging.getLogger("uncork")


class Write(Expected):
    """One statement of the ORM, from before it is executed until its tags are known."""

    told = False

    def __init__(self, compiler: Any, deletes: bool = False) -> None:
        query = compiler.query
        self.connection = compiler.connection
        self.model = query.get_meta().concrete_model
        self.table: str = self.model._meta.db_table
        self.nature = nature(self.connection, self.table)
        tables = self.nature.reached if deletes else self.nature.touched
        self.blind: frozenset[bytes] = UNKNOWN
        """What it purges when nobody looks at its rows."""
        if self.nature.kind is not Kind.UNKNOWN:
            self.blind = frozenset().union(*map(blind, tables))
        self.others = [table for table in tables if table != self.table]
        self.tags: frozenset[bytes] | set[bytes] = self.blind
        self.more: frozenset[bytes] = frozenset()
        """What it purges besides: what the database writes with it, and functions in it that may write."""
        self.sql: str | None = None
        """Its text, from when it is known until it is executed: another one meanwhile is somebody else's."""
        self.counts = False
        """Whether the number of rows that the driver tells is true right after it."""
        self.returns = False
        """Whether what it returns is for us alone."""
        self.rows: list[Row] | None = None
        """What it returned to us."""

    def looked(self, tags_of: Callable[[list[Row]], set[bytes] | None]) -> None:
        """Purge by the rows that it wrote, where their tags can be told."""
        assert self.rows is not None
        try:
            tags = tags_of(self.rows)
        except Exception:  # of a driver's values nobody knows what they do when they are compared
            if not self.told:
                Write.told = True
                _log.exception(
                    "The rows of %s can't be told apart, and are taken for all of them", self.table
                )
            return
        if tags is not None:
            self.tags = tags
            if self.rows:
                self.more = self.more.union(*map(blind, self.others))

    def can_look(self) -> bool:
        """Whether the rows can be told that it writes."""
        return (
            self.nature.kind is Kind.PLAIN
            and self.connection.vendor in ("postgresql", "sqlite")
            and self.connection.features.can_return_rows_from_bulk_insert
            # A migration's model of former times may not track what the one of today does.
            and self.model._meta.apps is apps
            and (clock_table() is not None or outbox.has_table(self.connection))
        )

    def is_it(self, sql: object) -> bool:
        # Wrappers of the application may have put something around it.
        return self.sql is not None and (sql is self.sql or (isinstance(sql, str) and self.sql in sql))

    def run(self, execute: Callable[[], Any], cursor: Any) -> Any:
        pending_of(self.connection).locked = True
        if statements.may_call_writers(self.sql, self.connection):
            self.blind = self.more = UNKNOWN
        self.sql = None
        done = execute()
        if self.returns:
            self.rows = cursor.fetchall()
        elif self.counts and cursor.rowcount == 0 and self.nature.kind is not Kind.UNKNOWN:
            self.tags = set()
        return done

    @contextmanager
    def due(self) -> Iterator[None]:
        """Around all of it. In autocommit, what can only be known afterwards is noted blindly before."""
        pending = pending_of(self.connection)
        with expecting(self.connection, self):
            if in_transaction(self.connection):
                try:
                    yield
                except IntegrityError:  # the statement has done nothing
                    raise
                except BaseException:
                    pending.add(None, self.blind)
                    raise
                # Only those of its own rows fold to its table.
                pending.add(self.table if self.rows is not None else None, self.tags)
                pending.add(None, self.more)
            else:
                with due(self.connection, self.blind) as found:
                    try:
                        yield
                    except BaseException:
                        found.tags = self.blind
                        raise
                    found.tags = self.tags | self.more


@cache
def columns_of(model: Any, vendor: str, others: tuple[str, ...] = ()) -> Columns:
    """The columns of a model's own table to look at: the primary key, the tracked ones, and others."""
    meta = model._meta
    key = [field.column for field in meta.pk_fields]
    told_apart = list(tracked(model, vendor))
    names = tuple(dict.fromkeys([*key, *told_apart, *others]))
    places = {name: at for at, name in enumerate(names)}
    return Columns(
        meta.db_table, names, tuple(places[name] for name in key), tuple(places[name] for name in told_apart)
    )
