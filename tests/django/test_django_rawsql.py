"""Tables in the text of an SQL statement: rows, and SQLite's own word for what it touches."""

import sqlite3
import time
from collections.abc import Iterator

import pytest
from django.db import connections
from hypothesis import given
from hypothesis import strategies as st
from testsite.models import Legacy

from uncork.django import rawsql
from uncork.django.rawsql import Kind, tables_of
from uncork.django.recording import enter, start
from uncork.django.sqltext import read_text

T = "testsite_"
VENDORS = ("sqlite", "postgresql")

# what it is | text | tables read | tables written; None: not known
BOTH = [
    ("plain", "SELECT id FROM testsite_event", {"event"}, set()),
    ("no table", "SELECT 1", set(), set()),
    (
        "comma",
        "SELECT 1 FROM testsite_event a, testsite_part AS b, testsite_topic",
        {"event", "part", "topic"},
        set(),
    ),
    (
        "joins",
        "SELECT 1 FROM testsite_event a LEFT JOIN testsite_part b ON (a.id = b.id) CROSS JOIN testsite_topic",
        {"event", "part", "topic"},
        set(),
    ),
    (
        "joins in parentheses",
        "SELECT 1 FROM (testsite_event a JOIN testsite_part b ON 1=1)",
        {"event", "part"},
        set(),
    ),
    (
        "a comma after ON",
        "SELECT 1 FROM testsite_event a JOIN testsite_part b ON (1=1), testsite_topic c",
        {"event", "part", "topic"},
        set(),
    ),
    ("a query as a table", "SELECT 1 FROM (SELECT id FROM testsite_event) e", {"event"}, set()),
    (
        "IN",
        "SELECT 1 FROM testsite_part WHERE event_id IN (SELECT id FROM testsite_event)",
        {"part", "event"},
        set(),
    ),
    ("a query as a value", "SELECT (SELECT COUNT(*) FROM testsite_event)", {"event"}, set()),
    (
        "union",
        "SELECT id FROM testsite_event UNION ALL SELECT id FROM testsite_part",
        {"event", "part"},
        set(),
    ),
    ("WITH", "WITH x AS (SELECT id FROM testsite_event) SELECT * FROM x", {"event"}, set()),
    (
        "WITH RECURSIVE",
        "WITH RECURSIVE x(n) AS (SELECT 1 UNION SELECT n + 1 FROM x) SELECT 1 FROM x, testsite_part",
        {"part"},
        set(),
    ),
    (
        "WITH a table's name",
        "WITH testsite_event AS (SELECT 1) SELECT * FROM testsite_event",
        {"event"},
        set(),
    ),
    ("quoted", 'SELECT "testsite_event"."id" FROM "testsite_event"', {"event"}, set()),
    ("case", "select 1 from TESTSITE_event", {"event"}, set()),
    ("in a string", "SELECT ' FROM testsite_part' FROM testsite_event", {"event"}, set()),
    (
        "in comments",
        "SELECT 1 /* FROM testsite_part */ FROM testsite_event -- , testsite_part",
        {"event"},
        set(),
    ),
    ("a view", "SELECT * FROM testsite_crowd", {"event", "part"}, set()),
    ("nobody's", "SELECT * FROM nobodys_table", None, set()),
    ("placeholders", "SELECT 1 FROM testsite_event WHERE id = %s AND title = %(title)s", {"event"}, set()),
    ("a column with a table's name", "SELECT testsite_part FROM testsite_event", {"event", "part"}, set()),
    ("INSERT", "INSERT INTO testsite_topic (slug, title) VALUES ('a', 'b')", set(), {"topic"}),
    (
        "INSERT from a query",
        "INSERT INTO testsite_topic (slug, title) SELECT title, title FROM testsite_event",
        {"event"},
        {"topic"},
    ),
    (
        "upsert",
        "INSERT INTO testsite_topic (slug) VALUES ('a') ON CONFLICT (slug) DO UPDATE SET title = 'b'",
        {"topic"},
        {"topic"},
    ),
    ("UPDATE", "UPDATE testsite_topic SET title = 'x' WHERE slug = 'a'", {"topic"}, {"topic"}),
    (
        "UPDATE from another",
        "UPDATE testsite_topic SET title = (SELECT MAX(title) FROM testsite_event)",
        {"topic", "event"},
        {"topic"},
    ),
    ("DELETE", "DELETE FROM testsite_topic", {"topic"}, {"topic"}),
    ("WITH and DELETE", "WITH x AS (SELECT 1) DELETE FROM testsite_topic", {"topic"}, {"topic"}),
    ("several", "SELECT 1 FROM testsite_event; DELETE FROM testsite_topic;", {"event", "topic"}, {"topic"}),
    ("savepoint", 'SAVEPOINT "testsite_event"', set(), set()),
    ("a definition", "CREATE TABLE x (id integer)", None, None),
    ("never closed", "SELECT 'a FROM testsite_event", None, None),
    ("too many parentheses", "SELECT 1 FROM testsite_event) x", None, None),
    ("no name", "SELECT 1 FROM %s", None, None),
    ("EXPLAIN", "EXPLAIN SELECT 1 FROM testsite_event", None, None),
]
SQLITE = [
    ("its catalogue", "SELECT name FROM sqlite_master", None, set()),
    ("brackets", "SELECT 1 FROM [testsite_event], `testsite_part`", {"event", "part"}, set()),
    ("main", "SELECT 1 FROM main.testsite_event", {"event"}, set()),
    ("REPLACE", "REPLACE INTO testsite_topic (slug) VALUES (replace('a', 'b', 'c'))", {"topic"}, {"topic"}),
    ("OR IGNORE", "INSERT OR IGNORE INTO testsite_topic (slug) VALUES ('a')", {"topic"}, {"topic"}),
    ("a setting", "PRAGMA foreign_keys = ON", set(), set()),
    ("another PRAGMA", "PRAGMA user_version = 3", None, None),
]
POSTGRESQL = [
    ("its catalogue", "SELECT relname FROM pg_class", None, set()),
    ("… by its schema", "SELECT relname FROM pg_catalog.pg_class", None, set()),
    ("a schema", 'SELECT 1 FROM public.testsite_event, "public"."testsite_part"', {"event", "part"}, set()),
    ("EXTRACT", 'SELECT EXTRACT(YEAR FROM "e"."id") FROM "testsite_event" "e"', {"event"}, set()),
    (
        "DISTINCT FROM",
        "SELECT 1 FROM testsite_event a WHERE a.id IS NOT DISTINCT FROM a.id",
        {"event"},
        set(),
    ),
    ("dollars", "SELECT $x$ FROM testsite_part $$ $x$ FROM testsite_event", {"event"}, set()),
    ("escapes", r"SELECT E'\' FROM testsite_part' FROM testsite_event", {"event"}, set()),
    ("nested comments", "SELECT 1 /* /* */ FROM testsite_part */ FROM testsite_event", {"event"}, set()),
    ("TABLE", "TABLE testsite_event", {"event"}, set()),
    (
        "LATERAL",
        "SELECT 1 FROM testsite_event e, LATERAL (SELECT e.id FROM ONLY testsite_part) x",
        {"event", "part"},
        set(),
    ),
    ("a function as a table", "SELECT 1 FROM generate_series(1, 3) n, testsite_event", {"event"}, set()),
    ("FOR UPDATE", "SELECT 1 FROM testsite_event e FOR NO KEY UPDATE OF e", {"event"}, set()),
    (
        "WITH that writes",
        "WITH x AS (DELETE FROM testsite_topic RETURNING *) SELECT * FROM x, testsite_event",
        {"event", "topic"},
        {"topic"},
    ),
    (
        "USING",
        "DELETE FROM testsite_topic t USING testsite_event e, testsite_part WHERE t.title = e.title",
        {"topic", "event", "part"},
        {"topic"},
    ),
    (
        "MERGE",
        "MERGE INTO testsite_topic t USING testsite_event e ON t.title = e.title WHEN MATCHED THEN DELETE"
        " WHEN NOT MATCHED THEN INSERT (slug) VALUES ('x')",
        {"topic", "event"},
        {"topic"},
    ),
    ("SELECT INTO", "SELECT 1 INTO x FROM testsite_event", None, None),
    ("COPY", "COPY testsite_event TO STDOUT", None, None),
    ("what runs a text", "SELECT query_to_xml('SELECT 1 FROM testsite_event', true, true, '')", None, None),
    ("DO", "DO $$ BEGIN DELETE FROM testsite_event; END $$", None, None),
    ("a setting", "SET LOCAL statement_timeout = 3", set(), set()),
    ("two phases", "COMMIT PREPARED 'x'", None, None),
]


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    rawsql.forget()
    yield
    rawsql.forget()


def found(sql: object, alias: str) -> tuple[set[str] | None, set[str] | None]:
    statement = tables_of(sql, connections[alias])
    return tuple(
        None if names is None else {name.removeprefix(T) for name in names}
        for names in (statement.reads, statement.writes)
    )


@pytest.mark.parametrize(("what", "sql", "reads", "writes"), BOTH, ids=[row[0] for row in BOTH])
def test_tables_in_a_text(database: str, what: str, sql: str, reads: set[str], writes: set[str]) -> None:
    assert found(sql, database) == (reads, writes)


@pytest.mark.parametrize(("what", "sql", "reads", "writes"), SQLITE, ids=[row[0] for row in SQLITE])
def test_tables_in_a_text_of_sqlite(
    sqlite: str, what: str, sql: str, reads: set[str], writes: set[str]
) -> None:
    assert found(sql, sqlite) == (reads, writes)


@pytest.mark.parametrize(("what", "sql", "reads", "writes"), POSTGRESQL, ids=[row[0] for row in POSTGRESQL])
def test_tables_in_a_text_of_postgresql(
    postgresql: str, what: str, sql: str, reads: set[str], writes: set[str]
) -> None:
    assert found(sql, postgresql) == (reads, writes)


def test_the_kinds(database: str) -> None:
    connection = connections[database]
    for sql, kind in (
        ("SELECT 1", Kind.SELECT),
        ("(SELECT 1)", Kind.SELECT),
        ("VALUES (1)", Kind.SELECT),
        ("UPDATE testsite_topic SET title = ''", Kind.WRITE),
        ("ROLLBACK TO SAVEPOINT x", Kind.CONTROL),
        ("", Kind.CONTROL),
        ("DROP TABLE x", Kind.UNKNOWN),
    ):
        assert tables_of(sql, connection).kind is kind, sql


def test_statements_that_are_no_text(postgresql: str) -> None:
    from psycopg import sql

    composed = sql.SQL("SELECT 1 FROM {}").format(sql.Identifier("testsite_event"))
    connections[postgresql].ensure_connection()
    assert found(composed, postgresql) == ({"event"}, set())
    assert found(b"SELECT 1 FROM testsite_event", postgresql) == ({"event"}, set())
    assert found(object(), postgresql) == (None, None)


def test_a_table_that_is_made_later_is_found(database: str) -> None:
    assert found("SELECT 1 FROM later", database)[0] is None
    with connections[database].cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE made_later (id integer)")
        assert found("SELECT 1 FROM made_later", database) == ({"made_later"}, set())


def test_a_failed_transaction_is_no_lasting_answer(postgresql: str) -> None:
    connection = connections[postgresql]
    connection.set_autocommit(False)
    try:
        with connection.cursor() as cursor, pytest.raises(Exception, match="nobodys"):
            cursor.execute("SELECT * FROM nobodys")
        rawsql.forget()
        assert found("SELECT 1 FROM testsite_event", postgresql) == (None, None)
        connection.rollback()
        assert found("SELECT 1 FROM testsite_event", postgresql) == ({"event"}, set())
    finally:
        connection.rollback()
        connection.set_autocommit(True)


def define(alias: str, *statements: str) -> None:
    with connections[alias].cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)


def test_views_of_views(database: str) -> None:
    define(
        database,
        "CREATE VIEW v_one AS -- not FROM testsite_topic\n SELECT e.id FROM testsite_event e WHERE e.id > 0",
        "CREATE VIEW v_two AS WITH x AS (SELECT id FROM v_one) SELECT x.id FROM x, testsite_part p",
    )
    try:
        assert found("SELECT * FROM v_two", database) == ({"event", "part"}, set())
        assert found("INSERT INTO v_one (id) VALUES (1)", database) == (set(), None)
    finally:
        define(database, "DROP VIEW v_two", "DROP VIEW v_one")


def test_a_view_that_is_made_anew(database: str) -> None:
    made = "CREATE VIEW testsite_legacy AS SELECT '' AS code, {} AS label, 1 AS number, '' AS title FROM {}"
    with connections[database].cursor() as cursor:
        for column, table in (("title", "testsite_topic"), ("name", "testsite_organisation")):
            cursor.execute(made.format(column, table))
            for _ in range(2):
                recording = start()
                with enter(recording):
                    Legacy.objects.using(database).filter(label="x").exists()
                recording.close()
                assert table in recording.tables
            cursor.execute("DROP VIEW testsite_legacy")


def test_what_the_database_writes_itself(database: str) -> None:
    body = {
        "default": [
            "CREATE TRIGGER noted AFTER INSERT ON w_two BEGIN DELETE FROM testsite_topic; SELECT 1; END"
        ],
        "postgresql": [
            "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN DELETE FROM testsite_topic; RETURN NEW; END $$",
            "CREATE TRIGGER noted AFTER INSERT ON w_two FOR EACH ROW EXECUTE FUNCTION note()",
        ],
    }[database]
    define(
        database,
        "CREATE TABLE w_one (id integer PRIMARY KEY)",
        "CREATE TABLE w_two (id integer PRIMARY KEY, one_id integer REFERENCES w_one (id) ON DELETE CASCADE)",
        "CREATE TABLE w_three (two_id integer REFERENCES w_two (id) ON DELETE SET NULL)",
    )
    try:
        assert found("DELETE FROM w_one", database)[1] == {"w_one", "w_two", "w_three"}
        rawsql.forget()
        define(database, *body)
        expected = {"default": {"w_one", "w_two", "w_three", "topic"}, "postgresql": None}[database]
        assert found("DELETE FROM w_one", database)[1] == expected
        assert found("DELETE FROM w_three", database)[1] == {"w_three"}
    finally:
        define(database, "DROP TABLE w_three", "DROP TABLE w_two", "DROP TABLE w_one")
        if database == "postgresql":
            define(database, "DROP FUNCTION note")


def test_functions_partitions_policies_and_materialized_views(postgresql: str) -> None:
    define(
        postgresql,
        "CREATE FUNCTION f_reads() RETURNS int LANGUAGE sql STABLE AS 'SELECT MAX(id) FROM testsite_event'",
        "CREATE FUNCTION f_writes() RETURNS void LANGUAGE sql AS 'DELETE FROM testsite_event'",
        "CREATE TABLE p_all (id integer) PARTITION BY RANGE (id)",
        "CREATE TABLE p_low PARTITION OF p_all FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE p_high PARTITION OF p_all FOR VALUES FROM (10) TO (20)",
        "CREATE TABLE p_own (id integer)",
        "ALTER TABLE p_own ENABLE ROW LEVEL SECURITY",
        "CREATE MATERIALIZED VIEW m_crowd AS SELECT COUNT(*) FROM testsite_event",
        "CREATE VIEW v_function AS SELECT f_reads()",
    )
    try:
        for sql, reads, writes in (
            ("SELECT f_reads()", None, set()),
            ("SELECT f_writes()", None, None),
            ("SELECT * FROM f_reads()", None, set()),
            ("SELECT * FROM p_low", {"p_all", "p_low", "p_high"}, set()),
            ("SELECT * FROM p_all", {"p_all", "p_low", "p_high"}, set()),
            ("SELECT * FROM p_own", None, set()),
            ("SELECT * FROM m_crowd", {"m_crowd"}, set()),
            ("REFRESH MATERIALIZED VIEW m_crowd", set(), {"m_crowd"}),
            ("SELECT * FROM v_function", None, set()),
        ):
            assert found(sql, postgresql) == (reads, writes), sql
    finally:
        define(
            postgresql,
            "DROP MATERIALIZED VIEW m_crowd",
            "DROP TABLE p_all, p_own",
            "DROP VIEW v_function",
            "DROP FUNCTION f_reads, f_writes",
        )


# SQLite tells an authorizer every table that a statement touches.

SELECTS = st.recursive(
    st.sampled_from(
        ["SELECT id FROM {}", "SELECT max(id) AS id FROM {} x", 'SELECT "id" FROM "main"."{}" AS "y"']
    ),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"SELECT id FROM ({two[0]}) a WHERE id IN ({two[1]})"),
        st.tuples(inner, inner).map(
            lambda two: f"SELECT id FROM ({two[0]}) u UNION SELECT id FROM ({two[1]}) v"
        ),
        inner.map(lambda one: f"WITH c AS ({one}) SELECT x.id FROM c x, {{}} y WHERE x.id = y.id"),
        inner.map(
            lambda one: f"SELECT a.id FROM {{}} a LEFT JOIN ({one}) b ON (a.id IS NOT DISTINCT FROM b.id)"
        ),
        inner.map(lambda one: f"SELECT a.id FROM {{}} a JOIN ({{}} b JOIN {{}} c ON (1)) ON (({one}) > 0)"),
        inner.map(
            lambda one: (
                f"SELECT (CASE WHEN EXISTS({one}) THEN 1 ELSE id END) AS id FROM {{}} ORDER BY 1, ({one})"
            )
        ),
    ),
    max_leaves=4,
)
TABLES = ["organisation", "event", "part", "report", "crowd"]


@given(st.data())
def test_every_table_that_sqlite_touches_is_found(data: st.DataObject) -> None:
    sql = data.draw(SELECTS)
    sql = sql.format(
        *(data.draw(st.sampled_from([T + table for table in TABLES])) for _ in range(sql.count("{}")))
    )
    touched: set[str] = set()

    def authorize(action: int, table: str | None, *rest: object) -> int:
        if action == sqlite3.SQLITE_READ and table and not table.startswith("sqlite_"):
            touched.add(table)
        return sqlite3.SQLITE_OK

    connection = sqlite3.connect(":memory:")
    try:
        for table in TABLES[:-1]:
            connection.execute(f"CREATE TABLE {T}{table} (id integer)")
        connection.execute(
            f"CREATE VIEW {T}crowd AS SELECT e.id FROM {T}event e, {T}part p WHERE e.id = p.id"
        )
        connection.set_authorizer(authorize)
        connection.execute(sql).fetchall()
    finally:
        connection.close()
    texts = read_text(sql, "sqlite")
    assert [text.kind for text in texts] == [Kind.SELECT], sql
    names = {name[-1] for name in texts[0].reads}
    if f"{T}crowd" in names:
        names |= {f"{T}event", f"{T}part"}
    assert touched - {f"{T}crowd"} <= names, sql


@given(st.text("()\"'`[];,.-/*$ %aselectfromjoinwhererunion\n", max_size=60), st.sampled_from(VENDORS))
def test_no_text_is_too_odd(text: str, vendor: str) -> None:
    read_text("SELECT 1 FROM " + text, vendor)


@pytest.mark.parametrize(
    "text", ["(" * 50_000, "'" * 100_000, "/*" * 50_000, "$a" * 50_000, "--" * 50_000, "a." * 50_000]
)
@pytest.mark.parametrize("vendor", VENDORS)
def test_no_text_takes_long(text: str, vendor: str) -> None:
    began = time.process_time()
    read_text("SELECT 1 FROM " + text, vendor)
    assert time.process_time() - began < 5
