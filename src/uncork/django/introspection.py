"""The catalogues of databases, looked up where they are.

Lives here: one look at a database's own catalogue, kept for as long as the process. Doesn't know: what
follows from it (`catalog`), and who asks.

The catalogue is looked up again when a name comes up that wasn't there. A definition that changes while a
process runs is known to the next one.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from django.apps import apps

from uncork.django.catalog import Catalog, Relation, parts
from uncork.django.sqltext import Kind, Name, collated_columns, read_text

OWN_TRIGGERS = "uncork_"
"""Triggers whose names begin so write nothing that a page could read."""

_catalogs: dict[tuple[str, str], Catalog] = {}
_loading = Lock()


def catalog_of(connection: Any, names: Iterable[Name] = ()) -> Catalog:
    """The catalogue of a connection's database; looked up anew when one of these names isn't in the old one.

    Raises what the database raises.
    """
    key = (connection.alias, str(connection.settings_dict["NAME"]))
    known = _catalogs.get(key)
    if known is not None:
        new = [name for name in names if known.find(name) is None and name not in known.missing]
        if not new:
            return known
    with _loading:
        loaded = _LOADERS.get(connection.vendor, _load_nothing)(connection)
    loaded.missing.update(name for name in names if loaded.find(name) is None)
    if known is not None:
        loaded.missing |= known.missing
    _catalogs[key] = loaded
    return loaded


def forget() -> None:
    """Definitions have changed: look again."""
    _catalogs.clear()


def _spellings(vendor: str) -> dict[Name, str]:
    """How models spell the names of their tables, which may name a schema, too."""
    found = {}
    for model in apps.get_models(include_auto_created=True):
        table = model._meta.db_table
        name = parts(table)
        found[name if vendor == "postgresql" else tuple(part.lower() for part in name)] = table
    return found


@contextmanager
def _rows(connection: Any) -> Iterator[Callable[[str], list[Any]]]:
    """Asks the driver itself: this is no query of the application."""
    connection.ensure_connection()
    cursor = connection.connection.cursor()
    try:

        def rows(sql: str) -> list[Any]:
            cursor.execute(sql)
            return list(cursor.fetchall())

        yield rows
    finally:
        cursor.close()


def _load_nothing(connection: Any) -> Catalog:
    return Catalog(connection.vendor, {}, {})


def _load_sqlite(connection: Any) -> Catalog:
    with _rows(connection) as rows:
        schema = rows(
            "SELECT type, name, tbl_name, sql FROM sqlite_master UNION ALL"
            " SELECT type, name, tbl_name, sql FROM sqlite_temp_master"
        )
        keys = rows(
            "SELECT m.name, k.\"table\", k.on_delete NOT IN ('NO ACTION', 'RESTRICT'),"
            " k.on_update NOT IN ('NO ACTION', 'RESTRICT')"
            " FROM sqlite_master m, pragma_foreign_key_list(m.name) k WHERE m.type = 'table'"
        )
        columns = rows(
            "SELECT lower(m.name), c.name, upper(c.type) FROM sqlite_master m, pragma_table_xinfo(m.name) c"
            " WHERE m.type = 'table'"
        )
        temporary = {name.lower() for (name,) in rows("SELECT name FROM sqlite_temp_master")}
    spellings = _spellings("sqlite")
    relations: dict[Name, Relation] = {}
    collated: dict[str, set[str] | None] = {}
    for kind, name, _, sql in schema:
        if kind in ("table", "view"):
            virtual = sql is not None and sql[:14].upper() == "CREATE VIRTUAL"
            known = (name.lower(),)
            relation = Relation(
                spellings.get(known, name),
                view=_query_of(sql) if kind == "view" else None,
                opaque=virtual,
                follows=None if virtual else set(),
                altered=virtual or name.lower() in temporary,
            )
            relations[known] = relations["main", known[0]] = relation
            collated[known[0]] = collated_columns(sql or "") if kind == "table" else None
    for table, name, declared in columns:
        own = collated.get(table)
        if own is not None and name.lower() not in own and (of := _affinity(declared)) is not None:
            relations[(table,)].exact[name] = of
    # Functions of the process run in it: a query in one is seen like any other.
    catalog = Catalog("sqlite", relations, {})
    for child, parent, deletes, updates in keys:
        if (above := catalog.find((parent,))) is not None and above.follows is not None:
            if updates:
                above.follows.add(child)
            if deletes:
                above.cascades.add(child)
    for kind, name, table, sql in schema:
        on = catalog.find((table,))
        if kind == "trigger" and on is not None and not name.startswith(OWN_TRIGGERS):
            written = _written_by(sql, catalog)
            on.follows = None if written is None or on.follows is None else on.follows | written
            on.altered |= on.name in (written or ())
    return catalog


def _affinity(declared: str) -> str | None:
    """The kind of the values of a column of SQLite, by its type in upper case; None where the database turns
    some into others. Source: sqlite.org/datatype3.html §3.1"""
    if "INT" in declared:
        return "INTEGER"
    if any(part in declared for part in ("CHAR", "CLOB", "TEXT")):
        return "TEXT"
    return "BOOLEAN" if declared in ("BOOL", "BOOLEAN") else None


def _query_of(sql: str) -> str:
    """What stands behind the AS of CREATE VIEW name [(columns)] AS."""
    parts = re.split(r"\sAS\s", sql, maxsplit=1, flags=re.IGNORECASE)
    return parts[-1]


def _written_by(sql: str, catalog: Catalog) -> set[str] | None:
    """The tables that the statements of a SQLite trigger write to."""
    begin = sql.upper().find("BEGIN")
    body = sql[begin + 5 :].rstrip("; \t\r\n")
    if begin < 0 or body[-3:].upper() != "END":
        return None
    tables = set()
    for text in read_text(body[:-3], "sqlite"):
        if text.kind is Kind.UNKNOWN:
            return None
        for name in text.writes:
            if (relation := catalog.find(name)) is None:
                return None
            tables.add(relation.name)
    return tables


# Functions of PostgreSQL's own, and of extensions, that run what they are given, or go elsewhere for it.
_ODD = frozenset(
    [
        *["crosstab", "crosstab2", "crosstab3", "crosstab4", "crosstabn", "connectby", "xpath_table"],
        *["dblink", "dblink_exec", "dblink_get_result", "ts_rewrite", "ts_stat"],
        *[
            f"{what}_to_xml{how}"
            for what in ("cursor", "database", "query", "schema", "table")
            for how in ("", "schema", "_and_xmlschema")
        ],
    ]
)

_RELATIONS = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, pg_table_is_visible(c.oid), c.relrowsecurity,
    c.relhasrules, has_table_privilege(c.oid, 'SELECT'),
    CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
"""
# Types with one spelling of each value, and collations by which only equal texts are equal.
_EXACT = """
SELECT a.attrelid, a.attname, CASE t.typname WHEN 'bool' THEN 'BOOLEAN' WHEN 'uuid' THEN 'UUID'
    WHEN 'text' THEN 'TEXT' WHEN 'varchar' THEN 'TEXT' ELSE 'INTEGER' END
FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_collation l ON l.oid = a.attcollation
WHERE a.attnum > 0 AND NOT a.attisdropped AND t.typnamespace = 'pg_catalog'::regnamespace
    AND t.typname IN ('int2', 'int4', 'int8', 'bool', 'uuid', 'text', 'varchar')
    AND l.collisdeterministic IS NOT FALSE
"""
_CASCADES = """
SELECT confrelid, conrelid, confdeltype IN ('c', 'n', 'd'), confupdtype IN ('c', 'n', 'd') FROM pg_constraint
WHERE contype = 'f' AND (confdeltype IN ('c', 'n', 'd') OR confupdtype IN ('c', 'n', 'd'))
"""
# The functions of PostgreSQL's own change nothing but the row.
_TRIGGERS = f"""
SELECT tgrelid, f.pronamespace <> 'pg_catalog'::regnamespace FROM pg_trigger JOIN pg_proc f ON f.oid = tgfoid
WHERE NOT tgisinternal AND NOT starts_with(tgname, '{OWN_TRIGGERS}')
"""
# Those of extensions compute.
_FUNCTIONS = """
SELECT p.proname, p.provolatile = 'v'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname NOT IN ('pg_catalog', 'information_schema') AND NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
)
"""


def _load_postgresql(connection: Any) -> Catalog:
    with _rows(connection) as rows:
        found = rows(_RELATIONS)
        kin = rows("SELECT inhparent, inhrelid FROM pg_inherits")
        exact = rows(_EXACT)
        cascades, triggers, functions = rows(_CASCADES), rows(_TRIGGERS), rows(_FUNCTIONS)
    spellings = _spellings("postgresql")
    by_oid: dict[int, Relation] = {}
    relations: dict[Name, Relation] = {}
    for oid, schema, name, kind, visible, policies, rules, readable, view in found:
        spelled = spellings.get((schema, name)) or (name if visible else f"{schema}.{name}")
        relation = Relation(spelled, view=view, opaque=policies, altered=policies or not readable)
        if kind == "v" or (rules and kind != "m"):
            relation.follows = None
        by_oid[oid] = relations[schema, name] = relation
        if visible:
            relations[(name,)] = relation
    for oid, name, of in exact:
        if oid in by_oid:
            by_oid[oid].exact[name] = of
    for parent, child in kin:
        if parent in by_oid and child in by_oid:
            above, below = by_oid[parent], by_oid[child]
            family = above.family | below.family | {above.name, below.name}
            for member in by_oid.values():
                if member.name in family:
                    member.family = family
    for parent, child, deletes, updates in cascades:
        follows = by_oid[parent].follows if parent in by_oid and child in by_oid else None
        if follows is not None:
            if updates:
                follows.add(by_oid[child].name)
            if deletes:
                by_oid[parent].cascades.add(by_oid[child].name)
    for oid, anything in triggers:
        if oid in by_oid:
            by_oid[oid].altered = True
            if anything:
                by_oid[oid].follows = None
    unknown: dict[str, bool] = dict.fromkeys(_ODD, True)
    for name, writes in functions:
        unknown[name] = unknown.get(name, False) or writes
    return Catalog("postgresql", relations, unknown)


_LOADERS: dict[str, Callable[[Any], Catalog]] = {"sqlite": _load_sqlite, "postgresql": _load_postgresql}
