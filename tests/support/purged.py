"""What a process purges: the purge clock of a test's own, and the tags that go into it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.test import override_settings

from uncork.pages.tags import READ_ANYTHING, READ_EVERYTHING, parent_tag, part_tag, table_tag
from uncork.purging.table import ClockTable


class Purged(set[bytes]):
    """The tags that were purged since the last `take`, and what to do at each purge."""

    meanwhile: Callable[[], object] | None = None

    def take(self) -> set[bytes]:
        found = set(self)
        self.clear()
        return found


@contextmanager
def watching(state_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Purged]:
    """Give the process a clock there, and tell what it purges."""
    purged = Purged()
    original = ClockTable.purge

    def purge(self: ClockTable, tags: object, soft: bool = False) -> int:
        tags = set(tags)  # type: ignore[call-overload]
        purged.update(tags)
        if purged.meanwhile is not None:
            purged.meanwhile()
        return original(self, tags, soft)

    ClockTable(state_dir, slots=64).close()
    monkeypatch.setattr(ClockTable, "purge", purge)
    with override_settings(UNCORK={"state_dir": state_dir}):
        yield purged


def blind(*tables: str) -> set[bytes]:
    """What a write to rows purges that nobody looked at."""
    tags = {READ_EVERYTHING}
    for table in tables:
        tags |= {table_tag(table.encode()), part_tag(table.encode())}
    return tags


def covers(purged: set[bytes], tag: bytes) -> bool:
    """Whether a page with that tag of a database is purged."""
    if tag in purged or READ_ANYTHING in purged:
        return True
    whole, tilde, _ = tag.rpartition(b"~")
    # Who has the tag of a column of some rows has that of their coming and going as well.
    if tilde and parent_tag(tag) is not None and whole + b"~+" in purged:
        return True
    table = parent_tag(tag)
    if table is None:
        # A whole table's, or one of the tags for a part of it that are not rows.
        name = tag.removeprefix(b"db:")
        table = b"db:" + name.rpartition(b".")[0] if b"." in name else tag
    return table + b".*" in purged
