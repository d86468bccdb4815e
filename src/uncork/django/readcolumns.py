"""Which columns a query makes use of, and for what.

Lives here: the columns that decide which rows there are, and those that are only shown. Doesn't know: how
rows are told apart, and what follows from all this (`readrules`).

A column that is only shown, or that the rows are ordered by, matters in the rows that came back. One that
decides, in a condition, a join, an ordering of which a part is taken, a group, an aggregate, matters in every
row of its table.
"""

from dataclasses import dataclass
from typing import Any

from django.db.models.expressions import Col

from uncork.django.modelcolumns import all_columns
from uncork.django.readblocks import Block, Odd, Place, Tables, places_in


@dataclass(frozen=True, slots=True)
class Used:
    """Of all blocks of a query. `loose`: a part of the rows comes back, and it doesn't say which: then any
    change of a row may bring others."""

    deciding: frozenset[Place]
    shown: frozenset[Place]
    loose: bool = False

    def decides(self, alias: str) -> list[str]:
        return sorted([column for found, column in self.deciding if found == alias])

    def shows(self, alias: str) -> list[str]:
        return sorted([column for found, column in self.shown if found == alias])

    def only(self, alias: str, table: str, key: str) -> tuple[str, ...] | None:
        """What is used of an alias beside the column that its rows are told apart by; None when that is all
        there is."""
        found = {*self.decides(alias), *self.shows(alias)}
        return None if found >= all_columns(table) else tuple(sorted(found - {key}))


def used_in(blocks: list[Block], tables: list[Tables]) -> Used:
    """The columns that a query of these blocks uses. Raises Odd where nobody knows."""
    deciding: set[Place] = set()
    shown: set[Place] = set()
    loose = False
    for block, found in zip(blocks, tables, strict=True):
        query = block.compiler.query
        if query.distinct_fields or query.extra_tables:
            raise Odd("DISTINCT ON or extra tables")
        select, order = block.select(), block.order
        expressions: list[Any] = [block.where, *block.later(), *found.conditions]
        if block.outermost and not query.combinator:
            plain = [one for one in select if type(one) is Col]
            shown.update([(one.alias, one.target.column) for one in plain])
            expressions += [one for one in select if type(one) is not Col]
            if order is None:
                raise Odd("an order that isn't known")
            if query.is_sliced or query.group_by is not None:
                expressions += order
                loose = query.is_sliced and not order and bool(plain)
            else:
                shown |= places_in(order)
        else:
            expressions += [*select, *(order or ())]
        if isinstance(query.group_by, tuple | list):
            expressions += query.group_by
        deciding |= places_in(expressions)
        for edge in found.edges:
            for left, right in edge.pairs:
                deciding |= {(edge.parent, left), (edge.child, right)}
    return Used(frozenset(deciding), frozenset(shown), loose)
