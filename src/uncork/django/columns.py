"""The columns by whose values rows are told apart, and how a value becomes bytes.

Lives here: which columns of a table are tracked, and the one spelling of a value, whether it comes from a
filter, from a row of the database, or from what is about to be written.
Doesn't know: queries, and what is read or written.

A column is tracked where equality in the database is equality of these bytes. So no floats, no dates, no text
with a collation of its own, and on databases that compare text without case, no text at all.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import models

# Values longer than this are tracked by nobody: their rows count as the whole table. Bytes.
_LONGEST = 200

_INTEGERS = frozenset(
    {
        "AutoField",
        "BigAutoField",
        "BigIntegerField",
        "BooleanField",
        "IntegerField",
        "PositiveBigIntegerField",
        "PositiveIntegerField",
        "PositiveSmallIntegerField",
        "SmallAutoField",
        "SmallIntegerField",
    }
)
_TEXTS = frozenset({"CharField", "SlugField", "TextField"})
# Those that compare text as bytes unless a column says otherwise.
_EXACT_VENDORS = frozenset({"postgresql", "sqlite"})


@cache
def tracked(model: type[models.Model], vendor: str) -> Mapping[str, Any]:
    """The tracked columns of a model's own table, each with its field: the primary key first, then what is
    unique, then the others. `vendor`: the database's, as `connection.vendor`.

    The primary key of a table that Django made for a many-to-many field is not: rows are written without
    anyone being told it, and nobody asks for it. Where several models have one table, what all of them track.
    """
    model = model._meta.concrete_model
    found = _tracked(model, vendor)
    for other in apps.get_models(include_auto_created=True):
        if other is not model and not other._meta.proxy and other._meta.db_table == model._meta.db_table:
            theirs = _tracked(other, vendor)
            found = {column: field for column, field in found.items() if column in theirs}
    return found


def _tracked(model: type[models.Model], vendor: str) -> dict[str, Any]:
    meta = model._meta
    indexed: set[str] = set()
    for index in meta.indexes:
        indexed.update([name.lstrip("-") for name in index.fields])
    for constraint in meta.constraints:
        indexed.update(getattr(constraint, "fields", ()))
    for group in meta.unique_together:
        indexed.update(group)
    # What a generic relation looks its rows up by, for which nobody need have made an index.
    for field in meta.private_fields:
        indexed.update([name for name in (getattr(field, "fk_field", None),) if isinstance(name, str)])
    found = [
        field
        for field in meta.local_concrete_fields
        if (
            field.primary_key or field.unique or field.db_index or field.remote_field or field.name in indexed
        )
        and not (field.primary_key and meta.auto_created)
        and is_exact(field, vendor)
    ]
    found.sort(key=lambda field: (not field.primary_key, not field.unique))
    return {field.column: field for field in found}


def is_exact(field: Any, vendor: str) -> bool:
    """Whether equality of a column's values is equality of `spelling`s."""
    target = field
    while target.remote_field is not None:
        if getattr(target, "target_field", None) is None:
            return False
        target = target.target_field
    # A field of somebody's own may prepare its values as it likes.
    if not type(target).__module__.startswith("django."):
        return False
    kind = target.get_internal_type()
    if kind in _INTEGERS or kind == "UUIDField":
        return True
    return kind in _TEXTS and vendor in _EXACT_VENDORS and not getattr(target, "db_collation", None)


def spelling(value: Any) -> bytes | None:
    """The bytes of a value, as it is handed to the database's driver or comes from it; None when it can't
    be told apart from others in this way.

    A NULL is a value like any other here: that no `=` finds it is the database's business.
    """
    if value is None:
        return b"\0"
    if isinstance(value, int):
        return b"%d" % value
    if isinstance(value, str):
        # A UUID is 32 hexadecimal digits to a database that has no type for it.
        found = value.encode("utf-8", "surrogatepass")
        return found if len(found) <= _LONGEST else None
    if isinstance(value, UUID):
        return value.hex.encode()
    return None
