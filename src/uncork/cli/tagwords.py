"""Tags in words: what of which table a page read.

Lives here: the data's tags by table, and how precise each is. Doesn't know: who has them, and where they
stand in a clock.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from uncork.pages.tags import COMING_OR_GOING, READ_ANYTHING, READ_EVERYTHING

_DATA = b"db:"
_SHOWN = 8
"""So many values or names of one kind are written out for people."""


@dataclass(frozen=True, slots=True)
class Part:
    """What one tag of the data says; see `pages.tags`. `table` None: any table. `implied`: it goes with every
    tag that says more."""

    table: str | None
    column: str | None = None
    value: str | None = None
    other: str | None = None
    existence: bool = False
    implied: bool = False


def part_of(tag: bytes) -> Part | None:
    """None for a tag that is the application's own, or a URL's."""
    if not tag.startswith(_DATA):
        return None
    if tag in (READ_ANYTHING, READ_EVERYTHING):
        return Part(None, implied=tag == READ_ANYTHING)
    left, equals, value = tag[len(_DATA) :].partition(b"=")
    if equals:
        table, _, column = left.rpartition(b".")
        value, tilde, other = value.rpartition(b"~") if b"~" in value else (value, b"", b"")
        only = text(other) if tilde and other != COMING_OR_GOING else None
        existence = bool(tilde) and other == COMING_OR_GOING
        return Part(text(table), text(column), _value(value), only, existence)
    if left.endswith(b".*"):
        return Part(text(left[:-2]), implied=True)
    if left.endswith(b".+"):
        return Part(text(left[:-2]), existence=True)
    if left.endswith(b"~"):
        table, _, column = left[:-1].rpartition(b".")
        return Part(text(table), text(column))
    return Part(text(left))


def by_table(tags: Iterable[bytes]) -> dict[str, Any]:
    """All of them, as JSON has it.

    Keys: everything (nobody knows which tables were read), own (tags that are not the data's), tables: of
    each its name as table, whole, existence, columns (of all rows) and rows: column, values, only (the
    columns that were read of these rows; None for all).
    """
    found: dict[str, Any] = {"everything": False, "own": [], "tables": []}
    tables: dict[str, dict[str, Any]] = {}
    rows: dict[str, dict[tuple[str, str], set[str] | None]] = {}
    for tag in sorted(tags):
        part = part_of(tag)
        if part is None:
            found["own"].append(text(tag))
        elif part.table is None:
            found["everything"] |= not part.implied
        elif not part.implied:
            empty = {"table": part.table, "whole": False, "existence": False, "columns": [], "rows": []}
            table = tables.setdefault(part.table, empty)
            if part.value is not None and part.column is not None:
                known = rows.setdefault(part.table, {})
                if part.other is None and not part.existence:
                    known[part.column, part.value] = None
                elif (only := known.setdefault((part.column, part.value), set())) is not None and part.other:
                    only.add(part.other)
            elif part.column is not None:
                table["columns"].append(part.column)
            elif part.existence:
                table["existence"] = True
            else:
                table["whole"] = True
    for name, each in rows.items():
        groups: dict[tuple[str, tuple[str, ...] | None], list[str]] = {}
        for (column, value), only in each.items():
            groups.setdefault((column, None if only is None else tuple(sorted(only))), []).append(value)
        tables[name]["rows"] = [
            {
                "column": column,
                "values": sorted(values, key=_by_number),
                "only": None if only is None else [*only],
            }
            for (column, only), values in groups.items()
        ]
    found["tables"] = list(tables.values())
    return found


def told_by_table(found: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What `by_table` says, for people: a name, and a line of it."""
    if found["everything"]:
        yield "any table", "every write: there was a query that isn't understood"
    for table in found["tables"]:
        if table["whole"]:
            yield table["table"], "all of it"
        for rows in table["rows"]:
            yield table["table"], _rows(rows["column"], rows["values"], rows["only"])
        if table["columns"]:
            yield table["table"], f"of all rows {_listed(table['columns'])}"
        if table["existence"]:
            yield table["table"], "which rows there are"
    if found["own"]:
        yield "tags", _listed(found["own"])


def in_words(tag: bytes) -> str:
    """One tag, for people: `events_event: title of rows id=42`."""
    part = part_of(tag)
    if part is None:
        return text(tag)
    if part.table is None:
        return "any table" if part.implied else "queries that aren't understood"
    if part.implied:
        said = "rows that nobody looked at"
    elif part.value is not None and part.column is not None:
        coming = "which are the " if part.existence else f"{part.other} of " if part.other else ""
        said = f"{coming}rows {part.column}={part.value}"
    elif part.column is not None:
        said = f"{part.column} of all rows"
    else:
        said = "which rows there are" if part.existence else "all of it"
    return f"{part.table}: {said}"


def precision(tag: bytes) -> int:
    """The more a tag says, the less is this."""
    part = part_of(tag)
    if part is None:
        return 0
    if part.value is not None:
        return 1 if part.other else 2
    if part.column is not None or part.existence:
        return 3
    return 5 if part.table is None else 4


def text(value: bytes) -> str:
    return value.decode("utf-8", "backslashreplace")


def _value(value: bytes) -> str:
    return "NULL" if value == b"\0" else text(value)


def _rows(column: str, values: list[str], only: list[str] | None) -> str:
    rows = f"rows {column}={_listed(values)}"
    if only is None:
        return rows
    return f"{rows}, of them {_listed(only) if only else 'which there are'}"


def _listed(values: list[str]) -> str:
    shown = ", ".join(values[:_SHOWN])
    more = len(values) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def _by_number(value: str) -> tuple[int, str]:
    return (int(value) if value.isdecimal() and len(value) < 20 else -1, value)
