"""What a query of the ORM depends on: the rules.

Lives here: the plan of a query, rules 1 and 3. Doesn't know: who runs it, what recordings are, nor how it was
noticed that it ran (`queries`).

Each table of each block of a query counts in one of four ways:

1. by constants: a condition that every row of the block must meet holds a tracked column to values, or a
   column that a join makes equal to it. Rows with other values change nothing;
2. by what came back (`readreturned`): it is only looked up, by a unique column, for rows that are seen;
3. by its parts: which rows there are, the columns that decide among them, and what the rows that came back
   show;
4. as a whole, where nobody knows which columns are used.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models.expressions import Col, ColPairs
from django.db.models.fields.related_lookups import RelatedExact, RelatedIn
from django.db.models.fields.tuple_lookups import TupleExact, TupleIn
from django.db.models.lookups import Exact, In, IntegerFieldExact
from django.db.models.sql.where import AND, WhereNode

from uncork.django.modelcolumns import Column, Kind, all_columns, column_kind
from uncork.django.readblocks import Block, Columns, Odd, Place, Tables, aliases_in
from uncork.django.readcolumns import Used, used_in
from uncork.django.readreturned import Returned, positions_of, returned

_ONE = frozenset({Exact, IntegerFieldExact, RelatedExact, TupleExact})
_SEVERAL = frozenset({In, RelatedIn, TupleIn})
_TUPLES = frozenset({TupleExact, TupleIn})


@dataclass(frozen=True, slots=True)
class Values:
    """Where the values are that a column is held to: in a lookup among the conditions of a block."""

    block: int
    path: tuple[int, ...]
    alias: str
    target: Any
    output: Any
    at: int | None = None
    """Where its value is in a tuple, when several columns are compared at once."""


@dataclass(frozen=True, slots=True)
class Constant:
    """Rule 1: of this table, the rows that have one of these values in this column, and of them these columns
    `only` (None: all)."""

    table: str
    column: Column
    values: Values
    only: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a query reads, but for the values. `notes`: why it is coarser than it might be."""

    tables: frozenset[str]
    existence: frozenset[str]
    columns: tuple[tuple[str, tuple[str, ...]], ...]
    constants: tuple[Constant, ...]
    returned: tuple[Returned, ...]
    notes: tuple[str, ...]

    def with_tables(self, tables: set[str]) -> "Plan":
        """The plan, with these tables as a whole."""
        return Plan(
            frozenset(tables),
            self.existence - tables,
            tuple([(table, names) for table, names in self.columns if table not in tables]),
            tuple([constant for constant in self.constants if constant.table not in tables]),
            tuple([one for one in self.returned if one.table not in tables]),
            self.notes,
        )


def plan_of(blocks: list[Block], vendor: str, columns: Columns) -> Plan:
    """What a query of these blocks reads: the outermost first, if its rows come back. `columns`: those that
    rows are told apart by."""
    parts = _Parts()
    constants: list[Constant] = []
    came: list[Returned] = []
    notes: list[str] = []
    outer: dict[Place, Values] = {}
    within = {clause.table_alias for block in blocks if not block.outermost for clause in block.clauses}
    try:
        used: Used | None = used_in(blocks, [Tables(block, columns) for block in blocks])
    except Odd:
        used = None
    for number, block in enumerate(blocks):
        try:
            found = Tables(block, columns)
            held = _held(found, block, number, vendor, outer)
        except Odd as odd:
            notes.append(str(odd))
            parts.tables.update(
                [clause.table_name for clause in block.clauses if hasattr(clause, "table_name")]
            )
            continue
        best = {alias: place for alias in found.tables if (place := _best(found, held, alias)) is not None}
        for alias, place in best.items():
            table, column = found.tables[alias], found.columns[alias][place[1]]
            exact = used is not None and (column.unique or not used.loose)
            only = used.only(alias, table, column.name) if used is not None and exact else None
            constants.append(Constant(table, column, held[place], only))
        left = [alias for alias in found.tables if alias not in best]
        known = set(best)
        if block.outermost:
            outer = {place: values for place, values in held.items() if place[0] not in within}
            if len(found.tables) > 1 and left:
                try:
                    looked_up = returned(found, block, blocks[1:], set(best), used)
                except Odd as odd:
                    notes.append(str(odd))
                else:
                    came.extend([one for one in looked_up.values() if one is not None])
                    known.update(looked_up)
                    left = [alias for alias in left if alias not in looked_up]
        for alias in left:
            parts.read(found, block, alias, known, used)
            known.add(alias)
    plan = Plan(
        frozenset(),
        frozenset(parts.existence),
        tuple([(table, tuple(sorted(names))) for table, names in sorted(parts.columns.items())]),
        tuple(constants),
        (*came, *parts.came),
        tuple(dict.fromkeys(notes)),
    )
    return plan.with_tables(parts.tables)


class _Parts:
    """Rule 3, and 4."""

    def __init__(self) -> None:
        self.tables: set[str] = set()
        self.existence: set[str] = set()
        self.columns: dict[str, set[str]] = {}
        self.came: list[Returned] = []

    def read(self, found: Tables, block: Block, alias: str, known: set[str], used: Used | None) -> None:
        table = found.tables[alias]
        if used is None or (used.loose and block.outermost):
            self.tables.add(table)
            return
        names = {*used.decides(alias)}
        shown = used.shows(alias)
        key = _key(found, block, alias)
        if key is not None:
            column, position = key
            only = None if {*shown} >= all_columns(table) else tuple([c for c in shown if c != column.name])
            self.came.append(Returned(table, column, position, True, only))
        else:
            names.update(shown)
        if names:
            self.columns.setdefault(table, set()).update(names)
        if not _is_referred_to(found, alias, known):
            self.existence.add(table)


def _key(found: Tables, block: Block, alias: str) -> tuple[Column, int] | None:
    """The column of the result that tells which row of an alias was shown, and its position."""
    if not block.outermost or block.compiler.query.combinator:
        return None
    positions = positions_of(block)
    for name, column in found.columns[alias].items():
        if column.unique and not column.nullable and (alias, name) in positions:
            return column, positions[(alias, name)]
    return None


def _is_referred_to(found: Tables, alias: str, known: set[str]) -> bool:
    """Whether a row of an alias counts only for rows that refer to it: then one that comes changes nothing
    by itself, and before one goes, these must change, which is seen. The database sees to it."""
    for edge in found.edges:
        if len(edge.pairs) != 1 or alias not in (edge.parent, edge.child):
            continue
        ((left, right),) = edge.pairs
        if alias == edge.child:
            other, own, source = edge.parent, right, found.column((edge.parent, left))
        elif edge.inner:
            other, own, source = edge.child, left, found.column((edge.child, right))
        else:
            continue
        if other in known and source is not None and source.refers == (found.tables[alias], own):
            return True
    return False


def _held(
    found: Tables, block: Block, number: int, vendor: str, outer: dict[Place, Values]
) -> dict[Place, Values]:
    """The columns that have a constant in every row of the block, and where it is.

    Raises Odd when some condition is of nobody knows what: an OR of its own may break out of its place.
    """
    aliases_in([block.where, *found.conditions])
    held: dict[Place, Values] = {}
    counts: dict[Place, int] = {}
    for path, leaf in conditions_of(block.where):
        rhs = leaf.rhs
        for at, alias, target, output in _compared(leaf):
            place = (alias, target.column)
            column = found.column(place)
            if column is None or column.kind is not column_kind(output, vendor):
                continue
            if column.kind is Kind.BOOLEAN and vendor != "postgresql":
                continue  # what is true there may be another number than 1
            if not hasattr(rhs, "as_sql"):
                count = len(rhs) if type(leaf) in _SEVERAL else 1
                if place not in held or count < counts[place]:
                    held[place] = Values(number, path, alias, target, output, at)
                    counts[place] = count
            elif type(rhs) is Col and type(leaf) in _ONE and rhs.alias not in found.tables:
                # A column of the outermost query: in every row that counts there, it has that constant.
                there = outer.get((rhs.alias, rhs.target.column))
                if there is not None and column_kind(there.output, vendor) is column.kind:
                    held.setdefault(place, there)
                    counts.setdefault(place, 1)
    _spread(found, held)
    return held


def _compared(leaf: Any) -> list[tuple[int | None, str, Any, Any]]:
    """The columns on a lookup's left: place in a tuple, alias, field, and the field that prepares values."""
    lhs = leaf.lhs
    if leaf.bilateral_transforms:
        return []
    if type(lhs) is Col and type(leaf) not in _TUPLES:
        return [(None, lhs.alias, lhs.target, lhs.output_field)]
    if type(lhs) is ColPairs and type(leaf) in _TUPLES:
        pairs = enumerate(zip(lhs.targets, lhs.sources, strict=True))
        return [(at, lhs.alias, target, source) for at, (target, source) in pairs]
    return []


def conditions_of(where: Any, path: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], Any]]:
    """The equalities that all rows must meet, each with its path: those under AND alone, and not negated."""
    if not is_conjunction(where):
        return
    for at, child in enumerate(where.children):
        kind = type(child)
        if kind in _ONE or kind in _SEVERAL:
            yield (*path, at), child
        elif kind is WhereNode:
            yield from conditions_of(child, (*path, at))


def is_conjunction(where: Any) -> bool:
    """Whether all children must be met."""
    return (
        type(where) is WhereNode and not where.negated and (where.connector == AND or len(where.children) < 2)
    )


def _spread(found: Tables, held: dict[Place, Values]) -> None:
    """A join makes two columns equal: what one is held to, the other is.

    Not from the right side of a LEFT JOIN to its left, whose rows are kept without a partner, too.
    """
    changed = bool(held)
    while changed:
        changed = False
        for edge in found.edges:
            for left, right in edge.pairs:
                parent, child = (edge.parent, left), (edge.child, right)
                if found.same_kind(parent, child) and (parent in held) != (child in held):
                    if parent in held:
                        held[child] = held[parent]
                        changed = True
                    elif edge.inner:
                        held[parent] = held[child]
                        changed = True


def _best(found: Tables, held: dict[Place, Values], alias: str) -> Place | None:
    """By which column an alias is read: the one with the fewest rows."""
    places = [(alias, name) for name in found.columns[alias] if (alias, name) in held]
    return min(places, key=lambda place: found.columns[alias][place[1]].worth.value, default=None)


def values_of(values: Values, blocks: list[Block]) -> list[Any] | None:
    """The values that a column is held to. None when they aren't where they were expected.

    A plan is kept by the text of its statement: here it shows whether it is this query's, too.
    """
    node: Any = blocks[values.block].where
    for at in values.path:
        if not is_conjunction(node) or at >= len(node.children):
            return None
        node = node.children[at]
    kind = type(node)
    if kind not in _ONE and kind not in _SEVERAL:
        return None
    rhs = node.rhs
    if hasattr(rhs, "as_sql"):
        return None
    for place, alias, target, output in _compared(node):
        if (
            place == values.at
            and alias == values.alias
            and target is values.target
            and output is values.output
        ):
            found = rhs if kind in _SEVERAL else [rhs]
            if place is not None:
                found = [one[place] for one in found]
            # No column equals NULL.
            return [value for value in found if value is not None]
    return None
