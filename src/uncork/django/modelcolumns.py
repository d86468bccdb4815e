"""What the models say of a table's columns, as far as it tells rows apart.

Lives here: tracked columns with the kind of their values, what is unique, and which column refers to which.
Doesn't know: queries.
"""

from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models

from uncork.django.catalog import Catalog, parts
from uncork.django.columns import is_exact, spelling, tracked


class Kind(Enum):
    """Values of different kinds are never compared: a database may find 5 equal to '05'."""

    INTEGER = int
    TEXT = str
    UUID = UUID
    BOOLEAN = bool


class Worth(Enum):
    """How few rows a value of a column has, at a guess: the first is best."""

    KEY = 0
    UNIQUE = 1
    SOME = 2
    MANY = 3


@dataclass(frozen=True, slots=True)
class Column:
    """A tracked column. `refers`: the table and column where the database sees to it that there is a row."""

    name: str
    kind: Kind
    worth: Worth
    unique: bool
    nullable: bool
    refers: tuple[str, str] | None

    def spell(self, value: Any) -> bytes | None:
        """The bytes of a value; None for what isn't one of the column's, NULL included."""
        kind = type(value)
        if self.kind is Kind.INTEGER:
            return spelling(value) if issubclass(kind, int) else None
        if self.kind is Kind.TEXT:
            return spelling(value) if issubclass(kind, str) else None
        if self.kind is Kind.UUID:
            if kind is str:  # its digits, from a database that has no type for it
                value = value.replace("-", "").lower()
                return spelling(value) if len(value) == 32 else None
            return spelling(value) if kind is UUID else None
        return spelling(value) if kind is bool else None


@cache
def columns_of(table: str, vendor: str, enforces: bool) -> dict[str, Column]:
    """The tracked columns of a table, by name; none for a table that no model has.

    `enforces`: whether the database holds rows to their foreign keys.
    """
    found: dict[str, Column] | None = None
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table == table and not model._meta.proxy:
            own = {name: _column(field, vendor, enforces) for name, field in tracked(model, vendor).items()}
            # Where several models have one table, what they agree upon.
            found = own if found is None else {k: v for k, v in found.items() if own.get(k) == v}
    return found or {}


def exact_columns(connection: Any, catalog: Catalog, table: str) -> dict[str, Column]:
    """Those of `columns_of` that the database has as the models say: whoever made the table may have given a
    column another type or a collation, by which it finds more than equal values equal."""
    found = columns_of(table, connection.vendor, connection.features.supports_foreign_keys)
    relation = catalog.find(parts(table))
    if relation is None:
        return {}
    return {name: column for name, column in found.items() if relation.is_exact(name, column.kind.name)}


@cache
def all_columns(table: str) -> frozenset[str]:
    """All columns of a table, tracked or not; none for a table that no model has."""
    found: set[str] = set()
    for model in apps.get_models(include_auto_created=True):
        if model._meta.db_table == table and not model._meta.proxy:
            found.update([field.column for field in model._meta.local_concrete_fields])
    return frozenset(found)


@cache
def is_referred_to(table: str) -> bool:
    """Whether some model's foreign key points to a table."""
    return any(
        isinstance(field, models.ForeignKey)
        and field.remote_field.model._meta.concrete_model._meta.db_table == table
        for model in apps.get_models(include_auto_created=True)
        for field in model._meta.local_fields
    )


def _column(field: Any, vendor: str, enforces: bool) -> Column:
    managed = field.model._meta.managed
    target = field
    while target.remote_field is not None:
        target = target.target_field
    kind = target.get_internal_type()
    refers = None
    if managed and enforces and isinstance(field, models.ForeignKey) and field.db_constraint:
        other = field.target_field
        refers = (other.model._meta.db_table, other.column)
    unique = managed and field.unique
    return Column(
        name=field.column,
        kind=_KINDS.get(kind, Kind.INTEGER),
        worth=(
            Worth.KEY
            if unique and field.primary_key
            else Worth.UNIQUE
            if unique
            else Worth.MANY
            if kind == "BooleanField" or (refers is not None and refers[0] == "django_content_type")
            else Worth.SOME
        ),
        unique=unique,
        nullable=field.null,
        refers=refers,
    )


_KINDS = {
    "BooleanField": Kind.BOOLEAN,
    "CharField": Kind.TEXT,
    "SlugField": Kind.TEXT,
    "TextField": Kind.TEXT,
    "UUIDField": Kind.UUID,
}


@cache
def column_kind(field: Any, vendor: str) -> Kind | None:
    """The kind of a field's values (of a relation seen from its other end, too); None for others."""
    if isinstance(field, models.ForeignObjectRel):
        field = field.target_field
    if not is_exact(field, vendor):
        return None
    while field.remote_field is not None:
        field = field.target_field
    return _KINDS.get(field.get_internal_type(), Kind.INTEGER)
