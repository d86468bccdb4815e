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
from functools import partial, wraps
from typing import Any

from django.core.exceptions import EmptyResultSet, FullResultSet
from django.db import connections, transaction
from django.db.models.constants import OnConflict
from django.db.models.sql.compiler import SQLCompiler, SQLDeleteCompiler, SQLInsertCompiler, SQLUpdateCompiler

from uncork.django import statements
from uncork.django.collected import pending_of
from uncork.django.modelcolumns import all_columns, is_referred_to
from uncork.django.rows import Columns, Row, came_again, came_or_went, changed, matched
from uncork.django.transactions import in_transaction, look
from uncork.django.write import Write, columns_of

MOST_ROWS = 1000
"""So many rows of a statement are looked at. More are written blindly."""

# Of so few rows, values of any size are compared. Of more only those of these kinds; others count as changed.
_FEW_ROWS = 10
_SMALL = frozenset(
    """AutoField BigAutoField BigIntegerField BooleanField CharField DateField DateTimeField DecimalField
    DurationField FloatField ForeignKey GenericIPAddressField IntegerField OneToOneField
    PositiveBigIntegerField PositiveIntegerField PositiveSmallIntegerField SlugField SmallAutoField
    SmallIntegerField TimeField UUIDField""".split()  # noqa: SIM905
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
            if write.table in pending_of(write.connection).thinned:
                write.looked(lambda rows: came_again(columns, rows, all_columns(write.table)))
            else:
                write.looked(partial(came_or_went, columns))
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
        fields = [field for field, _, _ in compiler.query.values]
        fields += [field for field in write.model._meta.local_concrete_fields if field.generated]
        assumed: list[Any] = []
        if (_keys(compiler) or MOST_ROWS) > _FEW_ROWS:
            assumed = [field for field in fields if field.get_internal_type() not in _SMALL]
        looked_at = tuple(field.column for field in fields if field not in assumed)
        columns = columns_of(write.model, write.connection.vendor, looked_at)
        before = None
        if not any(field in write.model._meta.pk_fields for field in fields):
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
        if write.rows is not None:
            write.looked(partial(_changed, columns, before, [field.column for field in assumed]))
        return found


def _changed(
    columns: Columns, before: Sequence[Row], assumed: Sequence[str], after: Sequence[Row]
) -> set[bytes] | None:
    pairs = matched(columns, before, after)
    return None if pairs is None else changed(columns, pairs, assumed)


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
            write.looked(partial(came_or_went, columns))
            if write.rows and is_referred_to(write.table) and in_transaction(write.connection):
                pending_of(write.connection).thinned.add(write.table)
    return found


def _are_few(write: Write, compiler: Any, statement: Sequence[Any]) -> bool:
    """Whether a DELETE is about to delete no more rows than are looked at; others may add some just then."""
    keys = _keys(compiler)
    if keys is not None:
        return keys <= MOST_ROWS
    sql, params = statement
    if not sql.startswith("DELETE FROM "):
        return False
    selected = f"SELECT 1 {sql.removeprefix('DELETE ')} LIMIT {MOST_ROWS + 1}"
    return len(look(write.connection, selected, params)) <= MOST_ROWS


def _keys(compiler: Any) -> int | None:
    """How many primary keys a statement names, if that is its only condition."""
    where = compiler.query.where
    if len(where.children) != 1 or where.negated:
        return None
    lookup = where.children[0]
    target = getattr(getattr(lookup, "lhs", None), "target", None)
    if not getattr(target, "primary_key", False):
        return None
    if lookup.lookup_name == "in" and isinstance(lookup.rhs, list | tuple | set | frozenset):
        return len(lookup.rhs)
    return 1 if lookup.lookup_name == "exact" else None


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
