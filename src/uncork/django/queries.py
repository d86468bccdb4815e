"""Noticing what a render reads from the database.

Lives here: the hooks in Django's compilers and cursors, plans that are kept by the text of their statement,
and what goes into the recordings. Doesn't know: the rules (`readrules`), and what writes are (`writes`).

A query of the ORM is seen twice: while it is compiled, where its tables, joins and conditions are known, and
again where its text goes to the database. What the text names beyond what was compiled counts as a whole, and
so does all of a text that the ORM didn't make. Not seen is what goes to the driver's own connection.
"""

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial, wraps
from typing import Any

from django.db.backends.utils import CursorWrapper
from django.db.models.sql.compiler import SQLCompiler, SQLDeleteCompiler, SQLUpdateCompiler
from django.db.models.sql.constants import MULTI, SINGLE

from uncork.django import rawsql, registries
from uncork.django.catalog import parts
from uncork.django.introspection import catalog_of
from uncork.django.modelcolumns import exact_columns
from uncork.django.rawsql import Statement, tables_of
from uncork.django.readblocks import Block
from uncork.django.readrules import Plan, plan_of, values_of
from uncork.django.recording import Recording, current
from uncork.django.sqltext import read_text

# Ways of a driver's cursor around Django's.
_AROUND = frozenset({"copy", "copy_expert", "copy_from", "copy_to", "executescript", "stream"})

# Plans are kept by the text of the statement; so many of them.
_MOST = 4096

# Where texts differ that have the same plan.
_LISTS = re.compile(r"%s(?:, %s)+")
_NUMBERS = re.compile(r"\b(LIMIT|OFFSET) \d+")


class _Compiled:
    """What was compiled within one execution."""

    __slots__ = ("blocks", "sql")

    def __init__(self) -> None:
        self.blocks: list[tuple[Any, list[Any]]] = []
        """Compilers, and the clauses of their FROM."""
        self.sql: str | None = None
        """The text that went to the database; None while none did."""


class _Local(threading.local):
    compiled: _Compiled | None = None


_local = _Local()
_installed = False


def install() -> None:
    """Put the hooks into Django's classes, once."""
    global _installed
    if _installed:
        return
    _installed = True
    for kind, name, hook in (
        (SQLCompiler, "execute_sql", _execute_sql),
        (SQLCompiler, "pre_sql_setup", _pre_sql_setup),
        (SQLCompiler, "get_from_clause", _get_from_clause),
        (CursorWrapper, "_execute_with_wrappers", _execute),
        (CursorWrapper, "callproc", _callproc),
        (CursorWrapper, "__getattr__", _getattr),
    ):
        setattr(kind, name, hook(getattr(kind, name)))
    registries.install()


# While a query is compiled


def _pre_sql_setup(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def pre_sql_setup(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if _local.compiled is not None and result:
            self.uncork_order = result[1]
        return result

    return pre_sql_setup


def _get_from_clause(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def get_from_clause(self: Any) -> Any:
        result = original(self)
        compiled = _local.compiled
        if compiled is not None:
            # Now is the time: which aliases are in use is forgotten when the text is made.
            query = self.query
            counts = query.alias_refcount
            clauses = [clause for alias, clause in query.alias_map.items() if counts[alias]]
            compiled.blocks.append((self, clauses))
        return result

    return get_from_clause


def _blocks(compiler: Any, compiled: _Compiled) -> list[Block]:
    blocks: list[Block] = []
    for one, clauses in compiled.blocks:
        order = getattr(one, "uncork_order", None)
        block = Block(
            one,
            clauses,
            getattr(one, "where", None),
            None if order is None else [expression for expression, _ in order],
            one is compiler,
        )
        if one is compiler:
            blocks.insert(0, block)
        else:
            blocks.append(block)
    if isinstance(compiler, (SQLUpdateCompiler, SQLDeleteCompiler)):
        query = compiler.query
        blocks.append(Block(compiler, [query.alias_map[query.base_table]], query.where, None, False))
    return blocks


# When it is executed


def _execute_sql(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def execute_sql(self: Any, result_type: Any = MULTI, *args: Any, **kwargs: Any) -> Any:
        recordings = current()
        if not recordings:
            return original(self, result_type, *args, **kwargs)
        before, compiled = _local.compiled, _Compiled()
        _local.compiled = compiled
        result: Any = None
        rows: Any = None
        try:
            result = original(self, result_type, *args, **kwargs)
            if result_type == MULTI:
                rows = result
            elif result_type == SINGLE:
                rows = () if result is None else ((result,),)
        finally:
            _local.compiled = before
            # Even when it failed: that it did may be the data's doing.
            if compiled.sql is not None:
                result = _read(self, compiled, rows, recordings, result)
        return result

    return execute_sql


def _read(
    compiler: Any, compiled: _Compiled, rows: Any, recordings: tuple[Recording, ...], result: Any
) -> Any:
    """Record what a query read. Returns its result, or what records that while it is consumed."""
    try:
        blocks = _blocks(compiler, compiled)
        plan, everything = _plan(compiler, compiled.sql or "", blocks)
        if everything:
            _everything(recordings, everything)
            return result
        constants = _constants(plan, blocks)
        if constants is None:  # the plan of another query with the same text
            plan, everything = _new_plan(compiler, compiled.sql or "", blocks)
            constants = _constants(plan, blocks)
            if everything or constants is None:
                _everything(recordings, everything or "values that can't be found")
                return result
        for recording in recordings:
            for table in plan.tables:
                recording.read_table(table)
            for table in plan.existence:
                recording.read_existence(table)
            for table, names in plan.columns:
                recording.read_columns(table, names)
            for table, column, spelled, only in constants:
                if spelled is None:
                    recording.read_table(table)
                else:
                    recording.read_rows(table, column, spelled, only)
            for note in plan.notes:
                recording.fall_back(note)
        if not plan.returned:
            return result
        if rows is None or isinstance(rows, (list, tuple)):
            _returned(plan, rows, recordings)
            return result
        return _consumed(plan, rows, recordings)
    except Exception as error:
        _everything(recordings, type(error).__name__)
        return result


# A table, a column, the bytes of the values that it is held to (None: they can't be told), what else is read.
Held = tuple[str, str, list[bytes] | None, tuple[str, ...] | None]


def _constants(plan: Plan, blocks: list[Block]) -> list[Held] | None:
    """None when the values aren't where the plan has them."""
    found: list[Held] = []
    for constant in plan.constants:
        values = values_of(constant.values, blocks)
        if values is None:
            return None
        column = constant.column
        spelled = [column.spell(value) for value in values]
        known = None if None in spelled else [value for value in spelled if value is not None]
        found.append((constant.table, column.name, known, constant.only))
    return found


def _returned(plan: Plan, chunks: Any, recordings: tuple[Recording, ...]) -> None:
    """Record the rows that came back: chunks of rows, or None when they can't be seen."""
    for one in plan.returned:
        waiting = [recording for recording in recordings if one.table not in recording.tables]
        if not waiting:
            continue
        at, spell = one.position, one.column.spell
        spelled: set[bytes | None] = set()
        if chunks is None:
            spelled.add(None)
        else:
            values = {row[at] for rows in chunks for row in rows}
            if None in values and one.certain:
                values.discard(None)
            spelled.update([spell(value) for value in values])
        for recording in waiting:
            if None in spelled:
                recording.read_table(one.table)
            else:
                recording.read_rows(one.table, one.column.name, spelled, one.only)  # type: ignore[arg-type]


def _consumed(plan: Plan, chunks: Iterable[Any], recordings: tuple[Recording, ...]) -> Iterator[Any]:
    """The chunks of a result, each recorded before anybody sees it. Who doesn't take all of them has read
    which come first."""
    tables = {one.table for one in plan.returned}
    for recording in recordings:
        recording.begin_reading(tables)
    for rows in chunks:
        _returned(plan, (rows,), recordings)
        yield rows
    for recording in recordings:
        recording.end_reading(tables)


def _everything(recordings: tuple[Recording, ...], why: str) -> None:
    for recording in recordings:
        recording.read_everything(why)


# Plans

_plans: dict[tuple[str, str, str], Plan] = {}


def forget() -> None:
    """Definitions of the database have changed: nothing that was known of statements is kept."""
    _plans.clear()
    rawsql.forget()


def _plan(compiler: Any, sql: str, blocks: list[Block]) -> tuple[Plan, str]:
    """The plan of a query; a reason instead when it may read everything."""
    connection = compiler.connection
    # A text with queries in it may have been made of others that are gone: it is looked at each time.
    if len(blocks) != 1 or not blocks[0].outermost:
        return _new_plan(compiler, sql, blocks)
    key = (connection.alias, connection.settings_dict["NAME"], sql)
    plan = _plans.get(key)
    if plan is not None:
        return plan, ""
    same = (*key[:2], _NUMBERS.sub(r"\1 0", _LISTS.sub("%s", sql)))
    plan = _plans.get(same)
    everything = ""
    if plan is None:
        plan, everything = _new_plan(compiler, sql, blocks)
    if not everything:
        if len(_plans) >= _MOST:
            _plans.clear()
        _plans[key] = _plans[same] = plan
    return plan, everything


def _new_plan(compiler: Any, sql: str, blocks: list[Block]) -> tuple[Plan, str]:
    connection = compiler.connection
    statement = tables_of(sql, connection)
    known = catalog_of(connection)
    plan = plan_of(blocks, connection.vendor, partial(exact_columns, connection, known))
    if statement.reads is None:
        return plan, statement.why
    tables = set(plan.tables)
    compiled = Counter([clause.table_name for block in blocks for clause in block.clauses])
    # What is named more often than it was compiled stands in some text that the ORM was given.
    tables.update([table for table in statement.reads if statement.named[table] >= compiled[table] + 1])
    tables.update([table for table in statement.reads if not compiled[table]])
    if plan.notes and compiled != statement.named:
        tables.update(compiled)
    for table in compiled:
        behind = known.reads(parts(table))
        if behind != {table}:
            tables |= {table, *behind}
    return plan.with_tables(tables), ""


# Texts that go to the database


def _execute(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def _execute_with_wrappers(self: Any, sql: Any, params: Any, many: bool, executor: Any) -> Any:
        recordings = current()
        if not recordings:
            return original(self, sql, params, many, executor)
        compiled = _local.compiled
        if compiled is not None and compiled.sql is None:
            compiled.sql = sql
            if self.db.execute_wrappers:
                executor = partial(_rewritten, executor, self.db, sql)
            return original(self, sql, params, many, executor)
        statement = tables_of(sql, self.db)
        _record(statement, recordings)
        if self.db.execute_wrappers:
            executor = partial(_rewritten, executor, self.db, sql)
        try:
            return original(self, sql, params, many, executor)
        except Exception:
            # What is there already may be what it failed at.
            if statement.writes is None:
                _everything(recordings, "a write that failed")
            else:
                _tables(statement.writes, recordings)
            raise

    return _execute_with_wrappers


def _rewritten(
    executor: Any, connection: Any, seen: Any, sql: Any, params: Any, many: bool, context: Any
) -> Any:
    """After the wrappers that somebody else put around the execution: the text may be another one now."""
    if sql is not seen and not _is_commented(sql, seen, connection.vendor):
        _record(tables_of(sql, connection), current())
    return executor(sql, params, many, context)


def _is_commented(sql: Any, seen: Any, vendor: str) -> bool:
    """Whether a text is one that was seen, with comments before or behind."""
    if not isinstance(sql, str) or not isinstance(seen, str):
        return False
    before, found, behind = sql.partition(seen)
    return bool(found) and not read_text(before, vendor) and not read_text(behind, vendor)


def _record(statement: Statement, recordings: tuple[Recording, ...]) -> None:
    """A statement that the ORM didn't make reads tables as a whole."""
    if statement.reads is None:
        _everything(recordings, statement.why)
    else:
        _tables(statement.reads, recordings)


def _tables(tables: Iterable[str], recordings: tuple[Recording, ...]) -> None:
    for recording in recordings:
        for table in tables:
            recording.read_table(table)


def _callproc(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def callproc(self: Any, *args: Any, **kwargs: Any) -> Any:
        _everything(current(), "callproc")
        return original(self, *args, **kwargs)

    return callproc


def _getattr(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def __getattr__(self: Any, name: str) -> Any:
        if name in _AROUND:
            _everything(current(), f"cursor.{name}")
        return original(self, name)

    return __getattr__
