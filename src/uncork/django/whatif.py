"""What a change of a row would purge. Run as `python -m uncork.django.whatif MODEL PK [COLUMN …]`.

Lives here: finding the row, and the tags of an UPDATE of it as it is in the database. Doesn't know: which
pages carry them.

The tags are made by the code that makes them when the row is really written (`writes`, `rows`), from its
values before and from values after that are like no others: pages that would only be purged because of what
the new value is can't be told.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from uncork.django.answers import Refused, answer, in_words
from uncork.django.injected import inject


def what_if(arguments: list[str]) -> Mapping[str, Any]:
    """`arguments`: a model as `app.Model`, a primary key, and the columns or fields that change (none: all
    but the primary key).

    Keys: row (what it is called), tables (of the model, and of those that it inherits from), columns (that
    change), unknown (those of them by whose new values more would be purged), tags (as Latin-1).
    """
    if len(arguments) < 2:
        raise Refused("say a model and a primary key")
    label, key, *names = arguments
    inject()
    try:
        import django

        django.setup()
    except Exception as error:
        raise Refused(in_words(error)) from None
    model = _model(label)
    fields = _fields(model, names)
    try:
        return _tags(model, key, fields)
    except Refused:
        raise
    except Exception as error:  # the database's own, or the project's
        raise Refused(f"looking at {model._meta.label} {key}: {in_words(error)}") from None


def _model(label: str) -> Any:
    """By `app.Model`, by the model's name alone where there is one such, or by the name of its table."""
    from django.apps import apps

    models = apps.get_models(include_auto_created=True)
    name = label.lower()
    found = [one for one in models if name == one._meta.label_lower]
    found = found or [one for one in models if name == one._meta.model_name]
    found = found or [one for one in models if name == one._meta.db_table.lower() and not one._meta.proxy]
    labels = {one._meta.label for one in found}
    if len(labels) > 1:
        raise Refused(f"there are several models {label!r}: {', '.join(sorted(labels))}")
    if not found:
        known = {spelled: one._meta.label for one in models for spelled in (one._meta.label, one.__name__)}
        raise Refused(f"there is no model {label!r}{_meant(label, known)}")
    return found[0]


def _fields(model: Any, names: Iterable[str]) -> list[Any]:
    """The fields of these names, or columns; of an inherited one, the model's that has it."""
    concrete = model._meta.concrete_fields
    known = {name: field for field in concrete for name in (field.column, field.attname, field.name)}
    found = []
    for name in names:
        if name in known:
            found.append(known[name])
            continue
        for many in model._meta.many_to_many:
            if many.name == name:
                through = many.remote_field.through._meta.label
                raise Refused(
                    f"{name} of {model._meta.label} is in rows of {through}: ask what if one of these"
                )
        columns = {spelled: field.column for spelled, field in known.items()}
        raise Refused(f"{model._meta.label} has no column {name!r}{_meant(name, columns)}")
    return found


def _tags(model: Any, key: str, fields: list[Any]) -> dict[str, Any]:
    from django.core.exceptions import ValidationError
    from django.db import router

    using = router.db_for_write(model)
    meta = model._meta
    parts = key.split(",") if len(meta.pk_fields) > 1 else [key]
    try:
        values = [field.to_python(part) for field, part in zip(meta.pk_fields, parts, strict=True)]
        wanted = values[0] if len(values) == 1 else tuple(values)
        row = model._base_manager.using(using).filter(pk=wanted).first()
    except (ValueError, ValidationError):
        row = None
    if row is None:
        raise Refused(f"there is no {meta.label} {key}")
    tags: set[bytes] = set()
    tables, changing, unknown = [], [], []
    concrete = meta.concrete_model
    for one in (concrete, *concrete._meta.all_parents):
        mine = [field for field in one._meta.local_concrete_fields if not field.primary_key]
        if fields:
            mine = [field for field in one._meta.local_concrete_fields if field in fields]
        tables.append(one._meta.db_table)
        if mine:
            told = tags_of_update(
                one, using, getattr(row, one._meta.pk.attname, row.pk), [f.column for f in mine]
            )
            tags |= told[0]
            unknown += told[1]
            changing += [field.column for field in mine]
    return {
        "row": f"{meta.label} {key}: {row}",
        "tables": tables,
        "columns": list(dict.fromkeys(changing)),
        "unknown": unknown,
        "tags": sorted(tag.decode("latin-1") for tag in tags),
    }


def tags_of_update(model: Any, using: str, key: Any, names: list[str]) -> tuple[set[bytes], list[str]]:
    """What an UPDATE of these columns of a row of the model's own table purges; and those of them by whose
    values rows are told apart."""
    from django.db import connections
    from django.db.models.sql.subqueries import UpdateQuery

    from uncork.django.rows import changed
    from uncork.django.transactions import look
    from uncork.django.write import Write, columns_of

    query = model._base_manager.using(using).filter(pk=key).query.chain(UpdateQuery)
    write = Write(query.get_compiler(using))
    if not write.can_look():
        return set(write.tags), []
    connection = connections[using]
    columns = columns_of(model, connection.vendor, tuple(names))
    quote = connection.ops.quote_name
    where, params = query.get_compiler(using).compile(query.where)
    listed = ", ".join([quote(name) for name in columns.names])
    before = [
        tuple(row)
        for row in look(connection, f"SELECT {listed} FROM {quote(write.table)} WHERE {where}", params)
    ]
    different = {at for at, name in enumerate(columns.names) if name in names}
    pairs = [
        (row, [object() if at in different else value for at, value in enumerate(row)]) for row in before
    ]
    write.rows = [*before]
    write.looked(lambda _: changed(columns, pairs))
    return set(write.tags | write.more), [columns.names[at] for at in columns.tracked if at in different]


def _meant(name: str, known: Mapping[str, str]) -> str:
    """`known`: what may be said for each name."""
    spelled = {one.lower(): right for one, right in known.items()}
    meant = dict.fromkeys(spelled[one] for one in difflib.get_close_matches(name.lower(), spelled, 3, 0.8))
    return (
        f"; did you mean {' or '.join(meant)}?"
        if meant
        else f"; there are {', '.join(dict.fromkeys(known.values()))}"
    )


if __name__ == "__main__":
    answer(what_if)
