"""Whatever a query gives can change only with a write of which it has a tag.

Random rows, random queries, random writes of one row: if a query gives something else after a write, the tags
of that write meet those that were recorded. And each rule of what a query reads, broken on purpose, is found.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import pytest
from django.contrib.contenttypes.models import ContentType
from django.db import connections, transaction
from testsite.chance import SHAPES, Chance, Write, attempt, run

from support.soak import soak
from uncork.django import modelcolumns, queries, readreturned, readrules, rows
from uncork.django.columns import tracked
from uncork.django.readblocks import Block
from uncork.django.readcolumns import Used
from uncork.django.recording import enter, start

QUERIES, WRITES = 60, 150
"""So many of each, all with all, on the same rows."""

SAMPLE = 0.02


@dataclass
class Tally:
    seconds: float = 0
    checks: int = 0
    purged: int = 0
    sampled: int = 0
    changed: int = 0
    wrong: str = ""


class Asked:
    """A query, what it gave, and the tags that were recorded."""

    def __init__(self, text: str, using: str) -> None:
        self.text = text
        self.connection = connections[using]
        self.tags: set[bytes] = set()
        self.result: Any = None
        self.statements: list[tuple[Any, Any, Any]] = []

    def ask(self) -> "Asked":
        statements: list[tuple[Any, Any]] = []

        def note(execute: Any, sql: Any, params: Any, many: bool, context: Any) -> Any:
            statements.append((sql, params))
            return execute(sql, params, many, context)

        recording = start()
        try:
            with enter(recording), self.connection.execute_wrapper(note):
                self.result = run(self.text)
        finally:
            recording.close()
        self.tags = recording.all_tags()
        self.statements = [(sql, params, self._rows(sql, params)) for sql, params in statements]
        return self

    def _rows(self, sql: Any, params: Any) -> Any:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)
            return cursor.fetchall()

    def names(self, table: str) -> bool:
        """Whether its text can be about a table at all. The view has other names in it."""
        return any(table in sql or "testsite_crowd" in sql for sql, _, _ in self.statements)

    def has_changed(self) -> bool:
        """Its statements tell it at once if nothing has; whether another order counts, the query tells."""
        if all(self._rows(sql, params) == rows for sql, params, rows in self.statements):
            return False
        return bool(run(self.text) != self.result)


def tags_of(write: Write) -> Callable[[], set[bytes]]:
    """The tags of a write that is made between this and the call of what it returns: by its row's values, all
    of them, before and after."""
    meta = write.model._meta
    names = tuple([field.column for field in meta.local_concrete_fields])
    known = tracked(write.model, connections[write.using].vendor)
    columns = rows.Columns(
        meta.db_table,
        names,
        (names.index(meta.pk.column),),
        tuple([names.index(name) for name in known]),
    )

    def now() -> dict[tuple[object, ...], rows.Row]:
        return {columns.key_of(row): row for row in map(tuple, write.rows(list(names)))}

    before = now()

    def tags() -> set[bytes]:
        after = now()
        pairs = [(before[key], after[key]) for key in before.keys() & after.keys()]
        one_sided = [(before | after)[key] for key in before.keys() ^ after.keys()]
        return rows.changed(columns, pairs) | rows.came_or_went(columns, one_sided)

    return tags


def explore(seed: int, using: str, until: float, shapes: tuple[str, ...] = SHAPES) -> Tally:
    """Compare many queries with many writes; up to the first that is wrong."""
    tally = Tally()
    chance = Chance(seed, using, shapes)
    with transaction.atomic(using):
        chance.fill()
        asked = []
        while len(asked) < QUERIES:
            query = attempt(using, Asked(chance.query(), using).ask)
            if query is not None:
                asked.append(query)
        for _ in range(WRITES):
            if time.monotonic() > until:
                break
            with transaction.atomic(using):
                write = chance.write()
                tags = tags_of(write)
                if attempt(using, write.run):
                    purged = tags()
                    for query in asked:
                        met = not purged.isdisjoint(query.tags)
                        tally.checks += 1
                        tally.purged += met
                        # Compared is what the purge would miss, and a sample of what it would not.
                        if met and not chance.often(SAMPLE):
                            continue
                        changed = query.names(write.model._meta.db_table) and query.has_changed()
                        tally.sampled += met
                        tally.changed += changed and met
                        if changed and not met:
                            tally.wrong = f"{query.text}\n  {write!r}\n  {sorted(query.tags)}"
                            break
                transaction.set_rollback(True, using)
            if tally.wrong:
                break
        transaction.set_rollback(True, using)
    return tally


def search(using: str, seconds: float, shapes: tuple[str, ...] = SHAPES, first: int = 1) -> Tally:
    """Explore for so long, or up to the first that is wrong."""
    began = time.monotonic()
    total = Tally()
    for seed in itertools.count(first):
        found = explore(seed, using, began + seconds, shapes)
        for name in ("checks", "purged", "sampled", "changed"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        total.wrong = found.wrong and f"seed {seed}: {found.wrong}"
        if total.wrong or time.monotonic() - began > seconds:
            break
    total.seconds = time.monotonic() - began
    return total


@pytest.fixture(autouse=True)
def clean(database: str) -> Iterator[None]:
    queries.install()
    queries.forget()
    ContentType.objects.clear_cache()
    yield
    queries.forget()


def test_no_result_changes_without_its_tags(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = search(database, soak(6))
    assert not found.wrong, found.wrong
    assert found.changed
    with capsys.disabled():
        print(
            f"\n  {database}: {found.checks} results after a write in {found.seconds:.0f} s, none stale,"
            f" {found.purged / found.checks:.1%} purged, {found.changed / found.sampled:.0%} of them changed"
        )


# Each rule, broken on purpose


def _conjunction(**ignored: bool) -> Callable[[Any], Any]:
    def is_conjunction(where: Any) -> bool:
        return (
            type(where) is readrules.WhereNode
            and (ignored.get("negated") or not where.negated)
            and (ignored.get("connector") or where.connector == "AND" or len(where.children) < 2)
        )

    return lambda original: is_conjunction


def _used(deciding: bool, shown: bool) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def used_in(*args: Any) -> Any:
            used = original(*args)
            return Used(
                used.deciding if deciding else frozenset(),
                used.shown if shown else frozenset(),
                used.loose,
            )

        return used_in

    return make


def _unordered(original: Any) -> Any:
    def used_in(blocks: list[Block], tables: Any) -> Any:
        return original([replace(block, order=[]) for block in blocks], tables)

    return used_in


def _always(result: Any) -> Callable[[Any], Any]:
    return lambda original: lambda *args: result


def _first_value(original: Any) -> Any:
    def values_of(values: Any, blocks: Any) -> Any:
        found = original(values, blocks)
        return found and found[:1]

    return values_of


def _columns(**changes: Any) -> Callable[[Any], Any]:
    """Every column is said to be other than it is. A function of the column makes the change."""

    def broken(original: Any) -> Any:
        def columns_of(table: str, vendor: str, enforces: bool) -> dict[str, Any]:
            return {
                name: replace(column, **{what: make(column) for what, make in changes.items()})
                for name, column in original(table, vendor, enforces).items()
            }

        return columns_of

    return broken


def _loose_keys(original: Any) -> Any:
    """Foreign keys that the database doesn't hold anybody to are taken for ones that it does."""

    def columns_of(table: str, vendor: str, enforces: bool) -> dict[str, Any]:
        found = dict(original(table, vendor, enforces))
        if table == "testsite_report":
            found["event_id"] = replace(found["event_id"], refers=("testsite_event", "id"))
        return found

    return columns_of


def _asked(*left: str) -> Callable[[Any], Any]:
    """Some of what decides which rows there are is forgotten."""

    def broken(original: Any) -> Any:
        def asked(found: Any, block: Any, inner: Any) -> set[str]:
            blind = copy(block.compiler)
            if "having" in left:
                blind.having = blind.qualify = None
            if "windows" in left:
                blind.select = [one for one in blind.select if not one[0].contains_over_clause]
            seen = replace(
                block,
                compiler=blind,
                where=None if "where" in left else block.where,
                order=[] if "order" in left else block.order,
            )
            return original(found, seen, [] if "inner" in left else inner)

        return asked

    return broken


def _idle_alone(original: Any) -> Any:
    return lambda self, alias, source: alias not in self.asked


def _any_side(original: Any) -> Any:
    """An INNER JOIN keeps all rows, just as a LEFT JOIN does."""

    def over(self: Any, edge: Any, alias: str) -> Any:
        return original(self, replace(edge, inner=False) if alias == edge.child else edge, alias)

    return over


def _certain(original: Any) -> Any:
    def returned(*args: Any) -> Any:
        return {alias: one and replace(one, certain=True) for alias, one in original(*args).items()}

    return returned


def _outermost_only(original: Any) -> Any:
    return lambda blocks, *args: original(blocks[:1], *args)


def _first_plan(original: Any) -> Any:
    """A plan is kept by the tables that its statement names, not by its text."""
    kept: dict[Any, Any] = {}

    def plan(compiler: Any, sql: str, blocks: Any) -> Any:
        key = tuple(clause.table_name for block in blocks for clause in block.clauses)
        if key not in kept:
            kept[key] = original(compiler, sql, blocks)
        return kept[key]

    return plan


def _any_outer(original: Any) -> Any:
    """A column of the outer query that has no constant counts as one that has."""

    def held(found: Any, block: Any, number: int, vendor: str, outer: Any) -> Any:
        class Any_(dict):  # type: ignore[type-arg]
            def get(self, place: Any, default: Any = None) -> Any:
                return next(iter(self.values()), None)

        return original(found, block, number, vendor, Any_(outer))

    return held


def _no_text(original: Any) -> Any:
    """What the text names beyond what was compiled is overlooked."""

    def tables_of(sql: Any, connection: Any) -> Any:
        found = original(sql, connection)
        return replace(found, reads=frozenset()) if found.reads else found

    return tables_of


def _no_views(original: Any) -> Any:
    """A view is taken for a table of its own."""

    def new_plan(compiler: Any, sql: str, blocks: Any) -> Any:
        plan, everything = original(compiler, sql, blocks)
        named = {clause.table_name for block in blocks for clause in block.clauses}
        return replace(plan, tables=plan.tables & named), everything

    return new_plan


@dataclass
class Mutant:
    """A rule that is broken: what stands in for what, and the shape of queries that are near it."""

    name: str
    shape: str
    place: Any
    attribute: str
    make: Callable[[Any], Any]
    only: str = ""

    def __str__(self) -> str:
        return self.name


RULE = readreturned._Rule
MUTANTS = [
    Mutant("OR counts as AND", "anything", readrules, "is_conjunction", _conjunction(connector=True)),
    Mutant("NOT is overlooked", "anything", readrules, "is_conjunction", _conjunction(negated=True)),
    Mutant("of IN, the first value alone", "anything", queries, "values_of", _first_value),
    Mutant("values are never looked for", "anything", queries, "values_of", _always([])),
    Mutant("any outer column is a constant", "tied", readrules, "_held", _any_outer),
    Mutant("queries within read nothing", "anything", queries, "plan_of", _outermost_only),
    Mutant("plans are kept by their tables", "anything", queries, "_plan", _first_plan),
    Mutant("text in a query is overlooked", "texts", queries, "tables_of", _no_text),
    Mutant("a view is a table", "anything", queries, "_new_plan", _no_views),
    Mutant("which rows there are is overlooked", "shown_alone", readrules, "_is_referred_to", _always(True)),
    Mutant("what decides counts where it is shown", "looked_up", readrules, "used_in", _used(False, True)),
    Mutant("what is shown is overlooked", "looked_up", readrules, "used_in", _used(True, False)),
    Mutant("the order of rows is overlooked", "anything", readrules, "used_in", _unordered),
    Mutant("conditions are overlooked", "looked_up", readreturned, "_asked", _asked("where")),
    Mutant("conditions on groups are overlooked", "looked_up", readreturned, "_asked", _asked("having")),
    Mutant("the order of a slice is overlooked", "looked_up", readreturned, "_asked", _asked("order")),
    Mutant("windows are overlooked", "looked_up", readreturned, "_asked", _asked("windows")),
    Mutant("what queries within ask is overlooked", "looked_up", readreturned, "_asked", _asked("inner")),
    Mutant("what lies behind is overlooked", "looked_up", RULE, "_idle", _idle_alone),
    Mutant("any column is unique", "multiplied", modelcolumns, "columns_of", _columns(unique=lambda _: True)),
    Mutant("an INNER JOIN drops no row", "dangling", RULE, "_over", _any_side),
    Mutant("keys that nobody is held to are trusted", "dangling", modelcolumns, "columns_of", _loose_keys),
    Mutant("NULL says that there is no row", "shown_alone", readrules, "returned", _certain),
    Mutant("no table looked up is used", "looked_up", RULE, "_unused", _always(True)),
    Mutant("what orders and groups is not used", "shown_alone", readreturned, "_shown", _always(set())),
]
# The rules are the same for both databases: all mutants meet both in the long run alone.
MEETINGS = [
    (mutant, alias)
    for mutant in MUTANTS
    for alias in ("default", "postgresql")
    if (mutant.only or "default") == alias or (soak(1) > 1 and not mutant.only)
]


@pytest.mark.parametrize(("mutant", "database"), MEETINGS, indirect=["database"], ids=str)
def test_a_broken_rule_is_found(
    database: str, mutant: Mutant, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mutant.place, mutant.attribute, mutant.make(getattr(mutant.place, mutant.attribute)))
    found = search(database, soak(60), (mutant.shape,))
    assert found.wrong, f"not found in {found.checks} checks"
    if soak(1) > 1:
        with capsys.disabled():
            print(f"\n  broken: {mutant.name} ({database}): found after {found.checks} checks", end="")
