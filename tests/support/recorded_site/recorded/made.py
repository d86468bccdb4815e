"""One write: its dice, and what of it a reader may hold us to.

It tells `{"event 3": 7, "event 4": None}`: when it is acknowledged, row 3 is of version 7 or later, and row 4
is gone for ever. It says nothing of rows that another write may have changed meanwhile, so that what it says
is true whatever runs beside it. Primary keys are never used again.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import transaction
from django.db.models import F, Model

KINDS = ("talk", "walk", "work")
COLOURS = ("red", "blue", "green")
FILES = 2
USERS = 4


class Undone(Exception):
    """Rolls back whatever is open."""


class Write:
    """One write: its dice, and what it did for certain."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.seed = seed
        self.rows: dict[str, int | None] = {}
        self._number = 0

    def name(self) -> str:
        """A new one, never used before."""
        self._number += 1
        return f"n{self.seed:x}-{self._number}"

    def pick(self, model: type[Model], using: str = "default") -> Any:
        """A random row; raises Undone when there is none."""
        keys = list(model._default_manager.using(using).order_by("pk").values_list("pk", flat=True))
        if not keys:
            raise Undone
        return model._default_manager.using(using).filter(pk=self.dice.choice(keys)).first() or self.undo()

    def maybe(self, model: type[Model]) -> Any:
        """A random row, or None."""
        try:
            return self.pick(model) if self.dice.random() < 0.8 else None
        except Undone:
            return None

    def undo(self) -> Any:
        raise Undone

    def changed(self, row: Any, version: int) -> None:
        known = self.rows.get(called(row), 0)
        if known is not None:
            self.rows[called(row)] = max(known, version)

    def gone(self, row: Any) -> None:
        self.rows[called(row)] = None

    def update(self, row: Any, **values: Any) -> None:
        """By a query. The row's version in memory is the one that was read, so the new one is later."""
        found = type(row)._default_manager.filter(pk=row.pk).update(version=F("version") + 1, **values)
        if found:
            self.changed(row, row.version + 1)

    def save(self, row: Any, *fields: str) -> None:
        before = row.version
        row.version = F("version") + 1
        row.save(force_update=True, update_fields=[*fields, "version"] if fields else None)
        self.changed(row, before + 1)

    def delete(self, row: Any) -> None:
        name = type(row).__name__
        key = row.pk
        _, counts = row.delete()
        row.pk = key
        if any(label.endswith(f".{name}") for label in counts):
            self.gone(row)

    @contextmanager
    def block(self) -> Iterator[None]:
        """A transaction or a savepoint; what it did is forgotten when it is rolled back."""
        before = dict(self.rows)
        try:
            with transaction.atomic():
                yield
        except BaseException:
            self.rows = before
            raise


def called(row: Any) -> str:
    """How pages call a row."""
    name = {"VisibleEvent": "event", "Venue": "place"}.get(type(row).__name__, type(row).__name__.lower())
    return f"{name} {row.pk}"
