"""The tables that an SQL statement reads and writes.

Lives here: the text of a statement, and the database's catalogue, put together. Doesn't know: queries of the
ORM, values, rows: a statement reads and writes tables as a whole.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from uncork.django import introspection
from uncork.django.catalog import Catalog, NotKnown
from uncork.django.sqltext import Kind, Text, read_text

# Statements are kept by their text; so many of them.
_MOST = 4096
# Longer ones are read each time: who puts values into the text makes a new one of each. Characters.
_LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Statement:
    """What is known of a statement. None: it may be any table.

    Tables are spelled as in tags. What is written includes what the database itself writes then: by foreign
    keys that cascade, by triggers.
    """

    kind: Kind
    reads: frozenset[str] | None
    writes: frozenset[str] | None
    why: str = ""
    """Why something is not known."""
    named: Counter[str] = field(default_factory=Counter)
    """How often the text itself names a table or a view."""


_known: dict[tuple[str, str, str], Statement] = {}


def tables_of(sql: Any, connection: Any) -> Statement:
    """What a statement reads and writes, of a connection of Django's. It never raises."""
    if not isinstance(sql, str):
        # A composed statement of the driver's.
        try:
            sql = sql.decode() if isinstance(sql, bytes) else sql.as_string(connection.connection)
        except Exception as error:
            return Statement(Kind.UNKNOWN, None, None, type(error).__name__)
    key = (connection.alias, str(connection.settings_dict["NAME"]), sql)
    found = _known.get(key)
    if found is None:
        try:
            found = _look_up(sql, connection)
        except (
            Exception
        ) as error:  # the database's own: a connection that is broken, a transaction that failed
            return Statement(Kind.UNKNOWN, None, None, type(error).__name__)
        if len(sql) <= _LONGEST:
            if len(_known) >= _MOST:
                _known.clear()
            _known[key] = found
    return found


def forget() -> None:
    """Definitions of the database have changed: look at it again."""
    introspection.forget()
    _known.clear()


def _look_up(sql: str, connection: Any) -> Statement:
    texts = read_text(sql, connection.vendor)
    if not any(text.kind is Kind.SELECT or text.kind is Kind.WRITE for text in texts):
        kinds = {text.kind for text in texts}
        if Kind.UNKNOWN in kinds:
            return Statement(Kind.UNKNOWN, None, None, "a statement that is not understood")
        return Statement(Kind.CONTROL, frozenset(), frozenset())
    names = {name for text in texts for name in (*text.reads, *text.writes) if name[0] not in text.common}
    known = introspection.catalog_of(connection, names)
    parts = [_of_text(text, known) for text in texts]
    return parts[0] if len(parts) == 1 else _together(parts)


def _of_text(text: Text, known: Catalog) -> Statement:
    if text.kind is Kind.UNKNOWN:
        return Statement(Kind.UNKNOWN, None, None, "a statement that is not understood")
    if text.kind is Kind.CONTROL:
        return Statement(Kind.CONTROL, frozenset(), frozenset())
    reads: frozenset[str] | None
    writes: frozenset[str] | None
    why = ""
    try:
        reads = known.named(text)
    except NotKnown as error:
        reads, why = None, str(error)
    try:
        writes = frozenset().union(*(known.writes(name) for name in text.writes))
    except NotKnown as error:
        writes, why = None, str(error)
    if any(known.functions.get(name) for name in text.functions):
        writes = None
    kind = Kind.WRITE if text.writes else Kind.UNKNOWN if writes is None else Kind.SELECT
    named: Counter[str] = Counter()
    for name, count in (text.reads + Counter(text.writes)).items():
        if (relation := known.find(name)) is not None:
            named[relation.name] += count
    return Statement(kind, reads, writes, why, named)


def _together(parts: list[Statement]) -> Statement:
    reads: frozenset[str] | None = frozenset()
    writes: frozenset[str] | None = frozenset()
    for part in parts:
        reads = None if reads is None or part.reads is None else reads | part.reads
        writes = None if writes is None or part.writes is None else writes | part.writes
    kinds = [part.kind for part in parts]
    kind = next(kind for kind in (Kind.UNKNOWN, Kind.WRITE, Kind.SELECT) if kind in kinds)
    named = sum((part.named for part in parts), Counter[str]())
    return Statement(kind, reads, writes, next((part.why for part in parts if part.why), ""), named)
