"""What the ORM's statements write: the hooks in the compilers of INSERT, UPDATE and DELETE.

Lives here: for each statement of a compiler, the rows before and after, and so what is to be purged.
Doesn't know: what the tags of rows are (`rows`), and when a purge is due (`transactions`).

The database tells the values, not the instance in memory: a statement returns those of the rows that it wrote
(RETURNING), and before an UPDATE they are selected by the statement's own condition, locked, in the same
transaction. Where other rows came back than were looked at, or nothing can be looked at, the write is
blind: it purges whatever depends on any part of the table.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache, partial, wraps
from typing import Any

from django.apps import apps
from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import IntegrityError, connections, transaction
from django.db.models.constants import OnConflict
from django.db.models.sql.compiler import SQLCompiler, SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from uncork.django import outbox, statements
from uncork.django.clock import clock_table
from uncork.django.collected import UNKNOWN, Expected, blind, expecting, pending_of
from uncork.django.columns import tracked
from uncork.django.modelcolumns import all_columns
from uncork.django.rows import Columns, Row, came_or_went, changed, matched, went
from uncork.django.tables import Kind, nature
from uncork.django.transactions import due, in_transaction, look

MOST_ROWS = 1000
"""So many rows of a statement are looked at. More are written blindly."""

Statement = tuple[str, tuple[Any, ...]]


class Write(Expected):
    """One statement of the ORM, from before it is executed until its tags are known."""

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

    def looked(self, tags: set[bytes]) -> None:
        """What it purges, by the rows that it wrote."""
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


def _returning(write: Write, columns: Columns, sql: str, has_some: bool) -> str:
    """The statement that returns these columns, after what it returns already."""
    return sql + (", " if has_some else " RETURNING ") + _listed(write, columns)


def _listed(write: Write, columns: Columns) -> str:
    quote = write.connection.ops.quote_name
    return ", ".join([quote(name) for name in columns.names])


@contextmanager
def _compiled(compiler: Any, as_sql: Callable[[], Any]) -> Iterator[None]:
    """For the time in which this is what a compiler makes of its query."""
    compiler.as_sql = as_sql
    try:
        yield
    finally:
        del compiler.as_sql


# INSERT


def insert(execute: Any, compiler: Any, returning_fields: Any = None) -> Any:
    query = compiler.query
    write = Write(compiler)
    columns = columns_of(write.model, write.connection.vendor)
    looks = (
        write.can_look()
        and len(query.objs) <= MOST_ROWS
        # An upsert doesn't say what was there before.
        and (query.on_conflict is None or query.on_conflict is OnConflict.IGNORE)
    )

    def as_sql() -> list[tuple[str, Any]]:
        nonlocal looks
        made = type(compiler).as_sql(compiler)
        if len(made) == 1:
            sql, params = made[0]
            if looks:
                sql = _returning(write, columns, sql, bool(returning_fields))
                made = [(sql, params)]
                write.returns = not returning_fields
            write.sql = sql
        else:
            looks = False
        return made  # type: ignore[no-any-return]

    with write.due(), _compiled(compiler, as_sql):
        found = execute(compiler, returning_fields)
        if looks and returning_fields:
            write.rows = [row[len(returning_fields) :] for row in found]
            found = [row[: len(returning_fields)] for row in found]
        if looks and write.rows is not None:
            write.looked(came_or_went(columns, write.rows))
    return found


# UPDATE


def update(execute: Any, compiler: Any, *args: Any) -> Any:
    """Of `execute_sql(result_type)`."""
    return _update(partial(execute, compiler, *args), compiler, None)


def update_returning(execute: Any, compiler: Any, returning_fields: Any) -> Any:
    """Of `execute_returning_sql(returning_fields)`, which Django has since 6.0."""
    features = compiler.connection.features
    if not returning_fields or not features.can_return_rows_from_update:
        return execute(compiler, returning_fields)  # this goes by `execute_sql`
    compiler.returning_fields = returning_fields
    return _update(partial(execute, compiler, returning_fields), compiler, returning_fields)


def _update(execute: Callable[[], Any], compiler: Any, returning_fields: Any) -> Any:
    write = Write(compiler)
    connection = write.connection
    looks = write.can_look()
    if looks and not in_transaction(connection) and connections[connection.alias] is connection:
        with _writing_transaction(connection):
            return _update_in_transaction(write, execute, compiler, returning_fields)
    if looks and in_transaction(connection):
        return _update_in_transaction(write, execute, compiler, returning_fields)
    write.counts = not returning_fields
    with write.due(), _made(write, compiler):
        return execute()


@contextmanager
def _writing_transaction(connection: Any) -> Iterator[None]:
    """A transaction in which nobody else writes to a SQLite database, from the beginning."""
    block = transaction.atomic(using=connection.alias)
    with ExitStack() as stack:
        if connection.vendor == "sqlite":
            mode, connection.transaction_mode = connection.transaction_mode, "IMMEDIATE"
            stack.callback(setattr, connection, "transaction_mode", mode)
            stack.enter_context(block)
            pending_of(connection).locked = True
        else:
            stack.enter_context(block)
        yield


def _update_in_transaction(
    write: Write, execute: Callable[[], Any], compiler: Any, returning_fields: Any
) -> Any:
    with write.due(), _made(write, compiler) as statement:
        if not statement:
            return execute()
        assigned = [field.column for field, _, _ in compiler.query.values]
        assigned += [field.column for field in write.model._meta.local_concrete_fields if field.generated]
        columns = columns_of(write.model, write.connection.vendor, tuple(assigned))
        before = None
        if not {columns.names[at] for at in columns.key}.intersection(assigned):
            before = _before(write, compiler, columns)
        if before is None or len(before) > MOST_ROWS:
            write.counts = not returning_fields
            return execute()
        statement[0] = write.sql = _returning(write, columns, statement[0], bool(returning_fields))
        write.returns = not returning_fields
        found = execute()
        if returning_fields:
            write.rows = [row[len(returning_fields) :] for row in found]
            found = [row[: len(returning_fields)] for row in found]
        if write.rows is not None and (pairs := matched(columns, before, write.rows)) is not None:
            write.looked(changed(columns, pairs))
        return found


def _before(write: Write, compiler: Any, columns: Columns) -> list[Row]:
    """The rows that an UPDATE is about to write, and one more than are looked at. They are locked."""
    connection = write.connection
    table = connection.ops.quote_name(write.table)
    sql, params = f"SELECT {_listed(write, columns)} FROM {table}", ()
    try:
        where, params = compiler.compile(compiler.query.where)
        sql += f" WHERE {where}"
    except FullResultSet:
        pass
    sql += f" LIMIT {MOST_ROWS + 1}"
    if connection.vendor == "postgresql":
        sql += " FOR NO KEY UPDATE"
    elif not pending_of(connection).locked:
        # Who reads first and then writes is refused when somebody else writes in between.
        key = connection.ops.quote_name(columns.names[columns.key[0]])
        look(connection, f"UPDATE {table} SET {key} = {key} WHERE 0 = 1")
        pending_of(connection).locked = True
    rows: list[Row] = [*look(connection, sql, params)]
    return rows


@contextmanager
def _made(write: Write, compiler: Any) -> Iterator[list[Any]]:
    """A statement that is made only once, its text and parameters: what takes the text's place in the list is
    executed. An empty list where there is nothing to execute."""
    empty: EmptyResultSet | None = None
    statement: list[Any] = []
    try:
        sql, params = compiler.as_sql()
        if sql:
            statement = [sql, params]
            write.sql = sql
    except EmptyResultSet as error:
        empty = error

    if not statement:
        write.tags = set()

    def as_sql() -> Any:
        if empty is not None:
            raise empty
        return tuple(statement) or ("", ())

    with _compiled(compiler, as_sql):
        yield statement


# DELETE


def delete(execute: Any, compiler: Any, *args: Any, **kwargs: Any) -> Any:
    write = Write(compiler, deletes=True)
    with write.due(), _made(write, compiler) as statement:
        if statement and write.can_look() and _are_few(write, compiler, statement):
            columns = columns_of(write.model, write.connection.vendor)
            statement[0] = write.sql = _returning(write, columns, statement[0], False)
            write.returns = True
        else:
            write.counts = True
        found = execute(compiler, *args, **kwargs)
        if write.rows is not None:
            write.looked(went(columns, write.rows, all_columns(write.table)))
    return found


def _are_few(write: Write, compiler: Any, statement: Sequence[Any]) -> bool:
    """Whether a DELETE is about to delete no more rows than are looked at; others may add some just then."""
    children = compiler.query.where.children
    if len(children) == 1 and not compiler.query.where.negated:
        lookup = children[0]
        target = getattr(getattr(lookup, "lhs", None), "target", None)
        if getattr(target, "primary_key", False) and getattr(lookup, "lookup_name", None) in ("exact", "in"):
            values = lookup.rhs
            if isinstance(values, list | tuple | set):
                return len(values) <= MOST_ROWS
            if lookup.lookup_name == "exact":
                return True
    sql, params = statement
    if not sql.startswith("DELETE FROM "):
        return False
    selected = f"SELECT 1 {sql.removeprefix('DELETE ')} LIMIT {MOST_ROWS + 1}"
    return len(look(write.connection, selected, params)) <= MOST_ROWS


# The hooks


def install() -> None:
    """Watch what the process writes."""
    if hasattr(SQLInsertCompiler.execute_sql, "uncork"):
        return
    statements.install()
    _hook(SQLInsertCompiler, "execute_sql", insert, SQLInsertCompiler.execute_sql)
    _hook(SQLUpdateCompiler, "execute_sql", update, SQLUpdateCompiler.execute_sql)
    # It has none of its own: what others make of the class's above stays in force.
    _hook(
        SQLDeleteCompiler,
        "execute_sql",
        delete,
        lambda *args, **kwargs: SQLCompiler.execute_sql(*args, **kwargs),
    )
    if hasattr(SQLUpdateCompiler, "execute_returning_sql"):
        _hook(
            SQLUpdateCompiler,
            "execute_returning_sql",
            update_returning,
            SQLUpdateCompiler.execute_returning_sql,
        )


def _hook(kind: Any, name: str, hook: Any, original: Any) -> None:
    @wraps(original)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return hook(original, self, *args, **kwargs)

    method.uncork = True  # type: ignore[attr-defined]
    setattr(kind, name, method)
