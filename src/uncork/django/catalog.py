"""What a database knows of the names in an SQL statement: tables, views, functions, and what follows a write.

Lives here: what follows from a database's own catalogue. Doesn't know: how that is looked up
(`introspection`), and whole statements (`rawsql`).
"""

from dataclasses import dataclass, field

from uncork.django.sqltext import Kind, Name, Text, read_text


class NotKnown(Exception):
    """It can't be told which tables stand behind a name; the message names it."""


def parts(table: str) -> Name:
    """The name of a model's table, which may name a schema, too."""
    return tuple(table.strip('"').split('"."'))


@dataclass(slots=True)
class Relation:
    """A table or a view. `name`: as in tags."""

    name: str
    view: str | None = None
    """The query of a view; empty when it can't be seen. None: a table."""
    family: set[str] = field(default_factory=set)
    """Tables whose rows are also this one's, or the other way round (partitions)."""
    opaque: bool = False
    """What is read of it depends on more than its rows: policies, a module of its own."""
    follows: set[str] | None = field(default_factory=set)
    """Tables that the database itself writes to when this one is written to. None: not known."""
    cascades: set[str] = field(default_factory=set)
    """Those that it writes to when a row is deleted from this one, besides."""
    altered: bool = False
    """Rows are not what statements make of them, or can't all be looked at."""
    exact: dict[str, str] = field(default_factory=dict)
    """Columns in which only equal values are equal, whatever models say, each with the name of their
    `modelcolumns.Kind`: no collation or type that takes several spellings for one."""

    def is_exact(self, column: str, kind: str) -> bool:
        """Whether a column is one of these, for values of that kind."""
        found = self.exact.get(column)
        # A database that has no type for a UUID has its digits.
        return found == kind or (found == "TEXT" and kind == "UUID")


@dataclass(slots=True)
class Catalog:
    """What is known of one database."""

    vendor: str
    relations: dict[Name, Relation]
    """By (name,), and by (schema, name) too."""
    functions: dict[str, bool]
    """Those of which nobody knows what they read: whether they may write."""
    missing: set[Name] = field(default_factory=set)
    _reads: dict[str, frozenset[str]] = field(default_factory=dict)
    _writes: dict[tuple[str, bool], frozenset[str]] = field(default_factory=dict)

    def find(self, name: Name) -> Relation | None:
        """The relation of that name."""
        if self.vendor != "postgresql":
            name = tuple(part.lower() for part in name)
        return self.relations.get(name)

    def reads(self, name: Name) -> frozenset[str]:
        """The tables that are read when this is. Raises NotKnown."""
        relation = self.find(name)
        if relation is None:
            raise NotKnown(f"nothing is known of {'.'.join(name)}")
        return self._behind(relation, frozenset())

    def named(self, text: Text, within: frozenset[str] = frozenset()) -> frozenset[str]:
        """The tables that a statement reads. Raises NotKnown."""
        unknown = text.functions.intersection(self.functions)
        if unknown:
            raise NotKnown(f"what the function {min(unknown)} reads")
        names: set[Name] = {*text.reads}
        if text.rereads:
            names |= text.writes
        tables: set[str] = set()
        for name in names:
            relation = self.find(name)
            if relation is not None:
                tables |= self._behind(relation, within)
            elif len(name) > 1 or name[0] not in text.common:
                raise NotKnown(f"nothing is known of {'.'.join(name)}")
        # Whatever else has the name of a table counts as one: perhaps that place was not understood.
        for mention in text.mentions:
            if (mention,) not in names and (mention,) not in text.writes:
                relation = self.find((mention,))
                if relation is not None:
                    tables |= self._behind(relation, within)
        return frozenset(tables)

    def _behind(self, relation: Relation, within: frozenset[str]) -> frozenset[str]:
        found = self._reads.get(relation.name)
        if found is not None:
            return found
        if relation.opaque or relation.name in within:
            raise NotKnown(f"what {relation.name} reads")
        if relation.view is None:
            tables = frozenset({relation.name, *relation.family})
        else:
            texts = read_text(relation.view, self.vendor)
            if len(texts) != 1 or texts[0].kind is not Kind.SELECT:
                raise NotKnown(f"what the view {relation.name} reads")
            tables = self.named(texts[0], within | {relation.name})
        self._reads[relation.name] = tables
        return tables

    def writes(self, name: Name, deletes: bool = True) -> frozenset[str]:
        """The tables that may change when this is written to; `deletes`: also by deleting from it.
        Raises NotKnown."""
        relation = self.find(name)
        if relation is None:
            raise NotKnown(f"nothing is known of {'.'.join(name)}")
        found = self._writes.get((relation.name, deletes))
        if found is None:
            tables, new = {relation.name}, [relation]
            while new:
                one = new.pop()
                if one.view is not None or one.follows is None:
                    raise NotKnown(f"what is written with {relation.name}")
                follows = one.follows if one is relation and not deletes else one.follows | one.cascades
                for table in follows - tables:
                    tables.add(table)
                    behind = self.find((table,))
                    if behind is None:
                        raise NotKnown(f"what is written with {relation.name}")
                    new.append(behind)
            found = self._writes[relation.name, deletes] = frozenset(tables)
        return found
