"""What a developer sees of a write on the terminal of `uncork serve`: what changed, and what it took back.

    events_event 42 changed → 3 pages purged

Lives here: the line, and counting. Doesn't know: what is purged. Only in a process that UNCORK_TERMINAL tells
so; the pages are counted in a thread, behind the purge.
"""

import os
import threading
from collections.abc import Collection
from functools import cache

from django.apps import apps

from uncork.pages.tags import tag_slots
from uncork.purging.table import ClockTable
from uncork.stores.listing import pages

VARIABLE = "UNCORK_TERMINAL"

# Beyond so many stored pages they are not counted.
_MOST_PAGES = 5000
# Rows and tables that a line names.
_MOST_NAMED = 3
_STANDARD_ERROR = 2


def watching() -> bool:
    """Whether anybody wants to see it."""
    return VARIABLE in os.environ


class Watched:
    """A purge that is about to be made, of these tags; then `tell`."""

    def __init__(self, table: ClockTable, tags: Collection[bytes]) -> None:
        self._table = table
        self._tags = tags
        clock = table.clock
        self._before = {slot: clock.last_purge(slot) for slot in tag_slots(tags, clock.slots)}

    def tell(self, counter: int) -> None:
        """Say what was purged. `counter`: the purge clock's value after it."""
        threading.Thread(target=self._tell, args=(counter,), daemon=True).start()

    def _tell(self, counter: int) -> None:
        count = self.count(counter)
        if count == 0:
            return
        purged = "" if count is None else f" → {count} page{'' if count == 1 else 's'} purged"
        os.write(_STANDARD_ERROR, f"{what_changed(self._tags)}{purged}\n".encode())

    def count(self, counter: int) -> int | None:
        """How many stored pages were good until then; None when there are too many to look at."""
        clock, before = self._table.clock, self._before
        count = 0
        for number, page in enumerate(pages(self._table.path.parent / "pages")):
            if number >= _MOST_PAGES:
                return None
            if page.stamp < counter and not before.keys().isdisjoint(page.slots):
                last = max(before[slot] if slot in before else clock.last_purge(slot) for slot in page.slots)
                count += last <= page.stamp
        return count


def what_changed(tags: Collection[bytes]) -> str:
    """The rows, by their primary keys, or tables that these tags are of; or the tags themselves."""
    keys = _keys()
    rows: dict[str, set[str]] = {}
    others: list[str] = []
    for tag in tags:
        name, equals, value = tag.partition(b"=")
        if not name.startswith(b"db:"):
            others.append(tag.decode(errors="replace"))
        elif name not in (b"db:*", b"db:?"):
            table = name[3:].decode(errors="replace").partition(".")[0]
            found = rows.setdefault(table, set())
            if equals and b"~" not in value and keys.get(table) == name.rpartition(b".")[2].decode():
                found.add(value.decode(errors="replace"))
    named = [
        f"{table} {', '.join(sorted(found))}" if 0 < len(found) <= _MOST_NAMED else table
        for table, found in sorted(rows.items())
    ]
    named += sorted(others)
    if len(named) > _MOST_NAMED:
        named[_MOST_NAMED:] = [f"{len(named) - _MOST_NAMED} more"]
    return f"{', '.join(named) or 'something'} changed"


@cache
def _keys() -> dict[str, str]:
    """The primary key's column, by table."""
    return {
        model._meta.db_table: model._meta.pk.column for model in apps.get_models(include_auto_created=True)
    }
