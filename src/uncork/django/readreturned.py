"""Rule 2 of what a query reads: tables that count by the rows that came back.

Lives here: which tables of a query are only looked up for rows that are seen anyway, and by which column of
the result that is told. Doesn't know: constants, and where the result is.

Think of a row of such a table X that no row of the result was made of. Could another value in it have put it
there, or have changed which others are there? Not if X is only looked up, by a unique column, for the rows of
another table whose own changes are seen, and if nothing that lies behind X, seen from there, asks for any.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models.expressions import Col, ColPairs

from uncork.django.modelcolumns import Column
from uncork.django.readblocks import Block, Edge, Odd, Place, Tables, aliases_in
from uncork.django.readcolumns import Used


@dataclass(frozen=True, slots=True)
class Returned:
    """Of this table, the rows that have in this column what stands at a position of the result's rows, and of
    them these columns `only` (None: all).

    `certain`: a NULL there says that there is no such row, and that none comes but with a change elsewhere.
    """

    table: str
    column: Column
    position: int
    certain: bool
    only: tuple[str, ...] | None


def returned(
    found: Tables, block: Block, inner: list[Block], known: set[str], used: Used | None
) -> dict[str, Returned | None]:
    """By alias, what counts by the rows that came back; None for a table that doesn't count at all.

    `known`: the aliases that count by constants. What nothing leads to is known then, too, for it counts in
    some other way. Raises Odd.
    """
    query = block.compiler.query
    if query.extra_tables or query.combinator or query.distinct_fields:
        raise Odd("extra, a combined query or DISTINCT ON")
    asked = _asked(found, block, inner)
    rule = _Rule(found, positions_of(block), asked, asked | _shown(block), known, used)
    came: dict[str, Returned | None] = {}
    waiting = [alias for alias in found.tables if alias not in known]
    while waiting:
        for alias in waiting:
            one = rule.look_up(alias)
            if one:
                came[alias] = one[0]
                break
        else:
            alias = waiting[0]
        known.add(alias)
        waiting.remove(alias)
    return came


def positions_of(block: Block) -> dict[Place, int]:
    """Where columns stand in a row of the result."""
    positions: dict[Place, int] = {}
    for at, expression in enumerate(block.select()):
        if type(expression) is ColPairs:
            raise Odd("a composite key")  # it is several columns of the row
        if type(expression) is Col:
            positions.setdefault((expression.alias, expression.target.column), at)
    return positions


def _asked(found: Tables, block: Block, inner: list[Block]) -> set[str]:
    """The aliases whose columns decide which rows there are. Raises Odd where nobody knows."""
    asked: list[Any] = [block.where, *block.later(), *found.conditions]
    for expression in block.select():
        if type(expression) is not Col:
            aliases_in([expression])  # what isn't understood may make one row of many
            # An aggregate sees one row of a table that is looked up by what its groups are made of.
            if expression.contains_over_clause:
                asked.append(expression)
    if block.order is None:
        raise Odd("an order that isn't known")
    aliases_in(block.order)
    if block.compiler.query.is_sliced:
        asked += block.order
    for within in inner:
        asked += [within.where, *within.later(), *within.select(), *(within.order or ())]
    return aliases_in(asked) | {edge.child for edge in found.edges if not edge.plain}


def _shown(block: Block) -> set[str]:
    """The aliases whose columns are in the result, or order or group it."""
    groups = block.compiler.query.group_by
    return aliases_in([*block.select(), *(block.order or ()), *(groups if isinstance(groups, tuple) else ())])


class _Rule:
    """`asked`: aliases whose columns decide which rows there are; `needed`: those that are made use of."""

    def __init__(
        self,
        found: Tables,
        positions: dict[Place, int],
        asked: set[str],
        needed: set[str],
        known: set[str],
        used: Used | None,
    ) -> None:
        self.found = found
        self.positions = positions
        self.asked = asked
        self.needed = needed
        self.known = known
        self.used = used

    def look_up(self, alias: str) -> tuple[Returned | None] | tuple[()]:
        """How an alias counts when it is looked up from one that is known; empty when it can't be told."""
        for edge in self.found.edges:
            if alias in (edge.parent, edge.child):
                one = self._over(edge, alias)
                if one:
                    return one
        return ()

    def _over(self, edge: Edge, alias: str) -> tuple[Returned | None] | tuple[()]:
        other = edge.parent if alias == edge.child else edge.child
        if other not in self.known or not edge.plain or not self._idle(alias, other):
            return ()
        ((left, right),) = edge.pairs
        ends = ((edge.child, right), (edge.parent, left))
        own, source = ends if alias == edge.child else ends[::-1]
        column, from_ = self.found.column(own), self.found.column(source)
        if column is None or from_ is None or column.kind is not from_.kind or not column.unique:
            return ()
        # Where the database sees to it, there is a row for each value, and none can come later.
        sure = from_.refers == (self.found.tables[alias], column.name)
        # Rows of the other table without a partner are kept, and seen, only on the left of a LEFT JOIN.
        kept = alias == edge.child and not edge.inner
        if not kept and not (sure and edge.inner):
            return ()
        table = self.found.tables[alias]
        if self._unused(alias, other):
            return (None,)
        only = None if self.used is None else self.used.only(alias, table, column.name)
        if source in self.positions:
            return (Returned(table, column, self.positions[source], True, only),)
        if own in self.positions:
            return (Returned(table, column, self.positions[own], sure, only),)
        return ()

    def _unused(self, alias: str, source: str) -> bool:
        """Whether nothing of the alias, nor of what it leads to, is used: as if it weren't there."""
        behind = [edge.child for edge in self.found.edges if edge.parent == alias and edge.child != source]
        return alias not in self.needed and all(self._unused(child, alias) for child in behind)

    def _idle(self, alias: str, source: str) -> bool:
        """Whether neither the alias, nor what it leads to away from the source, drops or adds any row."""
        if alias in self.asked:
            return False
        for edge in self.found.edges:
            if edge.child == alias and edge.parent != source:
                return False
            if edge.parent == alias and edge.child != source:
                if not edge.plain or not self._idle(edge.child, alias):
                    return False
                ((left, right),) = edge.pairs
                from_, to = self.found.column((alias, left)), self.found.column((edge.child, right))
                if to is None or not to.unique:
                    return False
                sure = from_ is not None and from_.refers == (self.found.tables[edge.child], right)
                if edge.inner and not (sure and from_ is not None and not from_.nullable):
                    return False
        return True
