"""Tables whose columns are not what the models say: a value is found under another spelling."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connections
from testsite.models import Legacy

from support.purged import Purged
from uncork.django import queries
from uncork.django.recording import enter, start
from uncork.django.sqltext import collated_columns

CI = "CREATE COLLATION IF NOT EXISTS ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)"
CITEXT = "CREATE EXTENSION IF NOT EXISTS citext"

# The database, the type of the texts, what is there, and how it is found, too.
SPELLINGS: list[tuple[str, str, Any, Any]] = [
    ("default", "text COLLATE NOCASE", "AB", "ab"),
    ("default", "text COLLATE RTRIM", "AB  ", "AB"),
    ("default", "integer", 5, "05"),
    ("default", "numeric", 5, "5.0"),
    ("postgresql", "char(10)", "AB", "AB"),
    ("postgresql", "text COLLATE ci", "AB", "ab"),
    ("postgresql", "bigint", 5, "05"),
    ("postgresql", "citext", "AB", "ab"),
]


@pytest.fixture
def made(request: pytest.FixtureRequest) -> Iterator[Callable[[str, str], str]]:
    """Makes the table, of these types."""
    aliases: list[str] = []

    def make(alias: str, text: str, number: str = "integer") -> str:
        request.getfixturevalue({"default": "sqlite"}.get(alias, alias))
        aliases.append(alias)
        columns = f"code {text} PRIMARY KEY, label {text}, number {number}, title varchar(10)"
        with connections[alias].cursor() as cursor:
            if alias == "postgresql":
                cursor.execute(CI)
                if "citext" in text:
                    cursor.execute(CITEXT)
            cursor.execute(f"CREATE TABLE testsite_legacy ({columns})")
        return alias

    queries.forget()
    yield make
    for alias in aliases:
        with connections[alias].cursor() as cursor:
            cursor.execute("DROP TABLE testsite_legacy")
    queries.forget()


def is_purged(purged: Purged, alias: str, **condition: Any) -> bool:
    """Whether a page that shows the one row, which it finds so, is purged when that changes."""
    rows = Legacy.objects.using(alias)
    recording = start()
    with enter(recording):
        assert rows.get(**condition).title == "a"
    recording.close()
    purged.clear()
    rows.update(title="b")
    return bool(purged & recording.all_tags())


@pytest.mark.parametrize("column", ["code", "label"])
@pytest.mark.parametrize(("alias", "kind", "stored", "asked"), SPELLINGS)
def test_texts(made: Any, request: Any, alias: str, kind: str, stored: Any, asked: Any, column: str) -> None:
    made(alias, kind)
    purged = request.getfixturevalue("purged")
    Legacy.objects.using(alias).create(code=stored, label=stored, number=1)
    assert is_purged(purged, alias, **{column: asked})


def test_numbers(made: Any, request: Any) -> None:
    made("postgresql", "text", "numeric(10, 2)")
    purged = request.getfixturevalue("purged")
    Legacy.objects.using("postgresql").create(code="a", label="a", number=5)
    assert is_purged(purged, "postgresql", number=5)


@pytest.mark.parametrize("alias", ["default", "postgresql"])
def test_what_is_as_the_model_says_is_told_apart(made: Any, request: Any, alias: str) -> None:
    made(alias, "varchar(10)")
    purged = request.getfixturevalue("purged")
    Legacy.objects.using(alias).create(code="a", label="b", number=5)
    purged.clear()
    for condition in ({"code": "a"}, {"label": "b"}, {"number": 5}):
        recording = start()
        with enter(recording):
            Legacy.objects.using(alias).get(**condition)
        recording.close()
        assert b"db:testsite_legacy.*" in recording.all_tags()
        Legacy.objects.using(alias).create(code="other", label="x", number=7)
        assert not purged.take() & recording.all_tags()
        Legacy.objects.using(alias).filter(code="other").delete()
        purged.clear()


@pytest.mark.parametrize(
    ("sql", "columns"),
    [
        ("CREATE TABLE t (a text, b text COLLATE NOCASE, c int)", {"b"}),
        (
            'CREATE TABLE t ("A b" varchar(10) NOT NULL COLLATE "rtrim" UNIQUE, c text COLLATE BINARY)',
            {"a b"},
        ),
        ("CREATE TABLE t (a numeric(10, 2) COLLATE nocase, CHECK (a IN ('x, y COLLATE z', 'b')))", {"a"}),
        ("CREATE TABLE t (a text, b text AS (a COLLATE NOCASE))", {"b"}),
        ("CREATE TABLE t (a text, 'b", None),
    ],
)
def test_collations_of_sqlite(sql: str, columns: set[str] | None) -> None:
    assert collated_columns(sql) == columns
