"""A query of the ORM as it was compiled: its blocks, their tables and joins, the columns in expressions.

Lives here: reading Django's own structures of a query. Doesn't know: what follows from them (`readrules`).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models.expressions import Col, RawSQL
from django.db.models.sql.constants import INNER, LOUTER
from django.db.models.sql.datastructures import BaseTable, Join
from django.db.models.sql.query import Query
from django.db.models.sql.where import ExtraWhere

from uncork.django.modelcolumns import Column

Place = tuple[str, str]
"""A column of an alias."""

Columns = Callable[[str], Mapping[str, Column]]
"""The tracked columns of a table."""


class Odd(Exception):
    """Something of which nobody knows what it makes of a query. The message names it."""


@dataclass(slots=True)
class Block:
    """A query, or one within it: its tables, joined as they stand in FROM, and what else it is made of.

    `where`: what its rows must meet, before anything is made of several rows. `order`: what it is ordered by;
    None when that isn't known. `outermost`: its rows are those that come back.
    """

    compiler: Any
    clauses: list[Any]
    where: Any
    order: list[Any] | None
    outermost: bool

    def select(self) -> list[Any]:
        return [expression for expression, _, _ in getattr(self.compiler, "select", None) or ()]

    def later(self) -> list[Any]:
        """What groups, or rows that see others, must meet."""
        return [getattr(self.compiler, "having", None), getattr(self.compiler, "qualify", None)]


@dataclass(frozen=True, slots=True)
class Edge:
    """A join, by pairs of columns that are equal. `plain`: it asks for one such pair and nothing else."""

    parent: str
    child: str
    inner: bool
    pairs: tuple[tuple[str, str], ...]
    plain: bool


class Tables:
    """The aliases of a block: their tables and tracked columns, and the joins between them. Raises Odd."""

    def __init__(self, block: Block, columns: Columns) -> None:
        self.tables: dict[str, str] = {}
        self.columns: dict[str, Mapping[str, Column]] = {}
        self.edges: list[Edge] = []
        self.conditions: list[Any] = []
        """What joins ask for beside equalities."""
        for clause in block.clauses:
            kind = type(clause)
            if kind is not BaseTable and kind is not Join:
                raise Odd(kind.__name__)
            alias = clause.table_alias or clause.table_name
            self.tables[alias] = clause.table_name
            self.columns[alias] = columns(clause.table_name)
            if kind is Join:
                self._join(clause, alias)

    def _join(self, join: Any, alias: str) -> None:
        extra = join.join_field.get_extra_restriction(alias, join.parent_alias)
        if extra is not None:
            self.conditions.append(extra)
        if join.filtered_relation is not None:
            self.conditions.append(join.filtered_relation.resolved_condition)
        if join.join_type not in (INNER, LOUTER):
            raise Odd(str(join.join_type))
        plain = len(join.join_cols) == 1 and extra is None and join.filtered_relation is None
        edge = Edge(join.parent_alias, alias, join.join_type == INNER, tuple(join.join_cols), plain)
        self.edges.append(edge)

    def column(self, place: Place) -> Column | None:
        return self.columns.get(place[0], {}).get(place[1])

    def same_kind(self, one: Place, other: Place) -> bool:
        first, second = self.column(one), self.column(other)
        return first is not None and second is not None and first.kind is second.kind


def aliases_in(expressions: Iterable[Any]) -> set[str]:
    """The aliases of `places_in`. Raises Odd."""
    return {alias for alias, _ in places_in(expressions)}


def places_in(expressions: Iterable[Any]) -> set[Place]:
    """The columns that stand in expressions; queries within them are blocks of their own.

    Raises Odd at a text that nobody reads, and at a class that isn't Django's.
    """
    found: set[Place] = set()
    stack = [expression for expression in expressions if expression is not None]
    while stack:
        expression = stack.pop()
        kind = type(expression)
        if kind is Col:
            found.add((expression.alias, expression.target.column))
            continue
        if kind is RawSQL and (column := _COLUMN.fullmatch(expression.sql)) and not expression.params:
            found.add((column[1], column[2]))
            continue
        trusted = _trusted.get(kind)
        if trusted is None:
            trusted = _trusted[kind] = _is_trusted(kind)
        if not trusted:
            raise Odd(kind.__name__)
        if not isinstance(expression, Query):
            stack += [source for source in expression.get_source_expressions() if source is not None]
    return found


# With this text Django itself selects a column of the table between (prefetch_related).
_COLUMN = re.compile(r'"([^"%]+)"\."([^"%]+)"')

_trusted: dict[type, bool] = {}


def _is_trusted(kind: type) -> bool:
    return (
        kind.__module__.startswith("django.")
        and not issubclass(kind, (RawSQL, ExtraWhere))
        and hasattr(kind, "get_source_expressions")
    )
