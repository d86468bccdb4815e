"""What becomes of a table when it is written, which no query says.

Lives here: whether a table's rows are what its statements say, and which other tables the database writes to
through cascades and triggers. Doesn't know: queries, tags, and how a database is asked (`introspection`).

The database's own word is taken, not the models': a cascade or a trigger that a migration made by hand counts
like any other.
"""

from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum
from typing import Any

from uncork.django.catalog import NotKnown, parts
from uncork.django.introspection import catalog_of


class Kind(Enum):
    """What is known of a write to a table. The value is what is said of it where a write is explained."""

    PLAIN = "its rows can be looked at, and are what the statements say"
    UNSEEN = "its rows can't be looked at, or are not what the statements say"
    UNKNOWN = "a view, a table with triggers, or something else that may write to any table"


@dataclass(frozen=True, slots=True)
class Nature:
    """The tables that may change when one is written, that one included: `touched` by any write, `reached`
    when a row is deleted from it."""

    kind: Kind
    touched: frozenset[str] = frozenset()
    reached: frozenset[str] = frozenset()


UNKNOWN = Nature(Kind.UNKNOWN)


def nature(connection: Any, table: str) -> Nature:
    """What a table is, and what the database does with it by itself. `table`: as models spell it."""
    name = parts(table)
    try:
        catalog = catalog_of(connection, [name])
        touched, reached = catalog.writes(name, deletes=False), catalog.writes(name)
    except NotKnown:
        return UNKNOWN
    except Exception:  # the database's own: the connection is broken, or the transaction
        return UNKNOWN
    relation = catalog.find(name)
    assert relation is not None
    return Nature(Kind.UNSEEN if relation.altered else Kind.PLAIN, touched, reached)


def may_write(connection: Any, called: Collection[str]) -> bool:
    """Whether one of these functions may write. Lower-case names; keywords before a bracket do no harm."""
    if not called:
        return False
    try:
        functions = catalog_of(connection).functions
    except Exception:
        return True
    return any(functions.get(name) for name in called)
