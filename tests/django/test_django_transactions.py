"""When what was written is purged: at the commit, right after a statement, or not at all."""

import asyncio
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, IntegrityError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import override_settings
from testsite.models import Event, Organisation, Topic

from support.purged import Purged, blind
from uncork.django import recording
from uncork.django.collected import MOST_TAGS
from uncork.django.transactions import purge_at_commit
from uncork.pages.record import Unshared
from uncork.pages.tags import READ_ANYTHING, READ_EVERYTHING, existence_tag, row_tag, table_tag
from uncork.purging.pending import is_pending

TOPIC = b"testsite_topic"
UNKNOWN = {READ_ANYTHING, READ_EVERYTHING}


def slug(name: str) -> bytes:
    return row_tag(TOPIC, b"slug", name.encode())


def write(alias: str, name: str = "a") -> None:
    Topic.objects.using(alias).create(slug=name)


def others_see(alias: str, *slugs: str) -> Callable[[], None]:
    """That a process which begins to read now finds these."""
    found: list[set[str]] = []

    def read() -> None:
        found.append(set(Topic.objects.using(alias).values_list("slug", flat=True)))
        connections[alias].close()

    def look() -> None:
        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        assert found.pop() >= set(slugs)

    return look


# Autocommit


def test_a_statement_in_autocommit(database: str, purged: Purged, tmp_path: Path) -> None:
    seen = []
    purged.meanwhile = lambda: (others_see(database, "a")(), seen.append(is_pending(tmp_path)))
    write(database)
    assert slug("a") in purged
    assert seen == [True] and not is_pending(tmp_path)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO testsite_topic (slug, title) VALUES ('a', '')",
        "INSERT INTO testsite_topic (slug, title) VALUES ('a', ''), ('b', '') RETURNING slug",
        "WITH x AS (SELECT 'a' AS slug) INSERT INTO testsite_topic (slug, title) SELECT slug, '' FROM x",
    ],
)
def test_sql_in_autocommit(database: str, purged: Purged, sql: str) -> None:
    purged.meanwhile = others_see(database, "a")
    with connections[database].cursor() as cursor:
        cursor.execute(sql)
        assert purged.take() == blind("testsite_topic")
        if "RETURNING" in sql:
            assert cursor.fetchone() == ("a",)
            assert cursor.fetchmany(5) == [("b",)]
            assert cursor.fetchall() == [] and cursor.rowcount == 2
            cursor.execute("SELECT slug FROM testsite_topic ORDER BY slug")
            assert [*cursor] == [("a",), ("b",)]
    assert not purged


def test_a_statement_that_fails_in_autocommit(database: str, purged: Purged, tmp_path: Path) -> None:
    write(database)
    purged.clear()
    with pytest.raises(IntegrityError):
        Topic.objects.using(database).create(slug="a")
    assert not purged and not is_pending(tmp_path)  # it is certain that nothing was written


def test_one_that_may_have_been_done_in_autocommit(
    database: str, purged: Purged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db.backends.utils import CursorWrapper

    execute = CursorWrapper._execute

    def cut_off(self: object, *args: object) -> None:
        execute(self, *args)
        raise DatabaseError("the connection is gone")

    connections[database].ensure_connection()
    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(CursorWrapper, "_execute", cut_off)
        write(database)
    assert purged == blind("testsite_topic")
    assert is_pending(tmp_path)  # the database may still be at it


# Transactions


def test_a_transaction(database: str, purged: Purged, tmp_path: Path) -> None:
    called: list[bool] = []
    with transaction.atomic(using=database):
        transaction.on_commit(lambda: called.append(slug("a") in purged), using=database)
        write(database)
        assert not purged and not is_pending(tmp_path)
        purged.meanwhile = others_see(database, "a")
    assert slug("a") in purged
    assert called == [True]
    assert not is_pending(tmp_path)


def test_a_transaction_is_rolled_back(database: str, purged: Purged) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
        write(database)
        raise ZeroDivisionError
    with transaction.atomic(using=database):
        write(database)
        transaction.set_rollback(True, using=database)
    write(database, "b")
    assert slug("b") in purged and slug("a") not in purged


def test_savepoints(database: str, purged: Purged) -> None:
    with transaction.atomic(using=database):
        write(database, "a")
        with transaction.atomic(using=database):
            write(database, "b")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
            write(database, "c")
            with transaction.atomic(using=database):
                write(database, "d")
            raise ZeroDivisionError
        with transaction.atomic(using=database, savepoint=False):
            write(database, "e")
    assert {name for name in "abcde" if slug(name) in purged} == set("abe")


def test_savepoints_by_hand(database: str, purged: Purged) -> None:
    with transaction.atomic(using=database):
        first = connections[database].savepoint()
        write(database, "a")
        second = connections[database].savepoint()
        write(database, "b")
        connections[database].savepoint_rollback(second)
        write(database, "c")
        connections[database].savepoint_rollback(second)
        write(database, "d")
        connections[database].savepoint_commit(second)
        connections[database].savepoint_commit(first)
    assert {name for name in "abcd" if slug(name) in purged} == set("ad")


def test_savepoints_in_sql_only_purge_more(database: str, purged: Purged) -> None:
    with transaction.atomic(using=database), connections[database].cursor() as cursor:
        write(database, "a")
        cursor.execute("SAVEPOINT x")
        write(database, "b")
        cursor.execute("ROLLBACK TO SAVEPOINT x")
        write(database, "c")
        cursor.execute("RELEASE SAVEPOINT x")
    assert {slug("a"), slug("c")} <= purged


def test_a_savepoint_in_autocommit_is_a_transaction_to_sqlite(sqlite: str, purged: Purged) -> None:
    with connections[sqlite].cursor() as cursor:
        cursor.execute("SAVEPOINT x")
        write(sqlite)
        assert not purged
        purged.meanwhile = others_see(sqlite, "a")
        cursor.execute("RELEASE x")
    assert slug("a") in purged


def test_a_transaction_in_sql(database: str, purged: Purged) -> None:
    with connections[database].cursor() as cursor:
        cursor.execute("BEGIN")
        write(database, "a")
        assert not purged
        purged.meanwhile = others_see(database, "a")
        cursor.execute("COMMIT")
        assert slug("a") in purged.take()
        purged.meanwhile = None
        cursor.execute("-- at last\nBEGIN")
        write(database, "b")
        cursor.execute("ROLLBACK")
        purged.clear()
        write(database, "c")
    assert slug("c") in purged and slug("b") not in purged


@pytest.mark.parametrize(
    "before",
    [
        "SET LOCAL lock_timeout = '1s'",
        "SHOW lock_timeout",
        "NOTIFY x",
        "SAVEPOINT x",
        "SELECT 1",
        "/* a /* comment */ SELECT */",
        "SET x.y = 'a;'",
    ],
)
def test_several_statements_in_one_text(postgresql: str, purged: Purged, before: str) -> None:
    separator = " " if before.startswith("/*") else "; "
    with transaction.atomic(using=postgresql), connections[postgresql].cursor() as cursor:
        cursor.execute(f"{before}{separator}UPDATE testsite_topic SET title = 'x'")
        assert not purged
    assert purged == blind("testsite_topic")


@pytest.mark.parametrize("composed", [False, True])
def test_a_transaction_in_one_text(postgresql: str, purged: Purged, composed: bool) -> None:
    from psycopg.sql import SQL

    kind = SQL if composed else str
    insert = "INSERT INTO testsite_topic (slug, title) VALUES ('a', '')"
    with connections[postgresql].cursor() as cursor:
        purged.meanwhile = others_see(postgresql, "a")
        cursor.execute(kind(f"BEGIN; {insert}; COMMIT"))
        assert purged.take() == blind("testsite_topic")
        purged.meanwhile = None
        cursor.execute(kind("begin; UPDATE testsite_topic SET title = 'x'"))
        purged.clear()
        cursor.execute("COMMIT")
        assert purged.take() == blind("testsite_topic")
        cursor.execute(kind("BEGIN; SELECT 1; COMMIT"))
        assert not purged
    with transaction.atomic(using=postgresql), connections[postgresql].cursor() as cursor:
        write(postgresql, "b")
        cursor.execute(kind("COMMIT; UPDATE testsite_topic SET title = 'y'"))
        assert slug("b") in purged and blind("testsite_topic") <= purged


def test_statements_that_wrote_before_a_constraint_refused_them(
    sqlite: str, purged: Purged, tmp_path: Path
) -> None:
    insert = "INSERT INTO testsite_topic (slug, title) VALUES (%s, '')"
    with connections[sqlite].cursor() as cursor, pytest.raises(IntegrityError):
        cursor.executemany(insert, [("a",), ("a",)])
    assert purged.take() == blind("testsite_topic") and not is_pending(tmp_path)
    with connections[sqlite].cursor() as cursor, pytest.raises(IntegrityError):
        cursor.execute("INSERT OR FAIL INTO testsite_topic (slug, title) VALUES ('b', ''), ('b', '')")
    assert purged == blind("testsite_topic") and not is_pending(tmp_path)
    assert set(Topic.objects.using(sqlite).values_list("slug", flat=True)) == {"a", "b"}


def test_a_commit_behind_djangos_back(postgresql: str, purged: Purged) -> None:
    with transaction.atomic(using=postgresql), connections[postgresql].cursor() as cursor:
        write(postgresql)
        purged.meanwhile = others_see(postgresql, "a")
        cursor.execute("COMMIT")
        assert slug("a") in purged


def test_transactions_by_hand(database: str, purged: Purged) -> None:
    connection = connections[database]
    connection.set_autocommit(False)
    write(database, "a")
    assert not purged
    connection.commit()
    assert slug("a") in purged.take()
    write(database, "b")
    connection.rollback()
    write(database, "c")
    connection.commit()
    assert slug("c") in purged and slug("b") not in purged
    connection.set_autocommit(True)


def test_sqlite_commits_when_autocommit_is_set(sqlite: str, purged: Purged) -> None:
    connections[sqlite].set_autocommit(False)
    write(sqlite)
    purged.meanwhile = others_see(sqlite, "a")
    connections[sqlite].set_autocommit(True)
    assert slug("a") in purged


def test_a_connection_is_closed_in_a_transaction(database: str, purged: Purged) -> None:
    with transaction.atomic(using=database):
        write(database, "a")
        connections[database].close()
    write(database, "b")
    assert slug("b") in purged and slug("a") not in purged


def test_two_phases(postgresql: str, purged: Purged) -> None:
    """Where another server allows it; ours refuses, and takes the transaction back."""
    with connections[postgresql].cursor() as cursor:
        cursor.execute("BEGIN")
        write(postgresql)
        with pytest.raises(DatabaseError):
            cursor.execute("PREPARE TRANSACTION 'x'")
        with pytest.raises(DatabaseError):
            cursor.execute("COMMIT PREPARED 'x'")
    assert purged >= UNKNOWN


def test_a_commit_of_which_nobody_knows_whether_it_was_done(
    database: str, purged: Purged, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = BaseDatabaseWrapper._commit

    def cut_off(self: object) -> None:
        commit(self)
        raise DatabaseError("the connection is gone")

    with monkeypatch.context() as patch, pytest.raises(DatabaseError):
        patch.setattr(BaseDatabaseWrapper, "_commit", cut_off)
        with transaction.atomic(using=database):
            write(database)
    assert slug("a") in purged
    assert is_pending(tmp_path)


def test_a_commit_that_is_refused(database: str, purged: Purged, tmp_path: Path) -> None:
    with pytest.raises(IntegrityError), transaction.atomic(using=database):
        Event.objects.using(database).create(title="of nobody", organisation_id=1)
    assert not purged and not is_pending(tmp_path)


def test_durable_blocks(database: str, purged: Purged) -> None:
    with transaction.atomic(using=database, durable=True):
        write(database)
        assert not purged
    assert slug("a") in purged


def test_databases_have_transactions_of_their_own(sqlite: str, other: str, purged: Purged) -> None:
    with transaction.atomic(using=sqlite):
        write(sqlite, "a")
        write(other, "b")
        assert slug("b") in purged and slug("a") not in purged
    assert slug("a") in purged


def test_a_large_transaction_folds_to_its_tables(sqlite: str, purged: Purged) -> None:
    with transaction.atomic(using=sqlite):
        write(sqlite, "alone")
        for at in range(MOST_TAGS // 2 // 500 + 1):
            Topic.objects.using(sqlite).bulk_create([Topic(slug=f"s{at}-{n}") for n in range(500)])
        purge_at_commit([b"own"], using=sqlite)
    assert purged - {b"own"} >= blind("testsite_topic")
    assert b"own" in purged and len(purged) <= MOST_TAGS


async def _write(alias: str) -> None:
    await Topic.objects.using(alias).acreate(slug="a")


def test_the_async_orm(sqlite: str, purged: Purged) -> None:
    asyncio.run(_write(sqlite))
    assert slug("a") in purged

    @sync_to_async
    def both() -> None:
        with transaction.atomic(using=sqlite):
            write(sqlite, "b")
            assert slug("b") not in purged
        connections[sqlite].close()

    asyncio.run(both())
    assert slug("b") in purged


# Tags of the application's own


def test_own_tags(database: str, purged: Purged) -> None:
    purge_at_commit([b"now"], using=database)
    assert purged.take() == {b"now"}
    with transaction.atomic(using=database):
        purge_at_commit([b"then"], using=database)
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
            purge_at_commit([b"never"], using=database)
            raise ZeroDivisionError
        assert not purged
    assert purged == {b"then"}


# What goes wrong


def test_without_a_clock_everything_goes_on(
    sqlite: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with override_settings(UNCORK={"state_dir": tmp_path / "missing"}), caplog.at_level(logging.WARNING):
        write(sqlite, "a")
        Topic.objects.using(sqlite).filter(slug="a").update(title="b")
        Topic.objects.using(sqlite).filter(slug="a").delete()
    assert [record.name for record in caplog.records] == ["uncork"]
    assert "No purge clock" in caplog.text


def test_a_clock_that_comes_while_a_transaction_runs(sqlite: str, purged: Purged, tmp_path: Path) -> None:
    with override_settings(UNCORK={"state_dir": tmp_path / "later", "outbox": False}):
        with transaction.atomic(using=sqlite):
            write(sqlite)
            (tmp_path / "later").mkdir()
        assert purged == blind("testsite_topic")


def test_where_nothing_can_be_noted_all_is_purged_still(
    sqlite: str, purged: Purged, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pending").write_bytes(b"")
    write(sqlite, "a")
    write(sqlite, "b")
    assert {slug("a"), slug("b")} <= purged
    assert caplog.text.count("Not a directory") == len(caplog.records) == 2
    assert caplog.text.count("a crash may lose them") == 1


# Renders


def test_a_render_that_read_what_was_rolled_back_is_not_shared(database: str, purged: Purged) -> None:
    render = recording.start()
    with recording.enter(render), transaction.atomic(using=database):
        write(database, "a")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
            raise ZeroDivisionError
        assert not render.unshared
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
            write(database, "b")
            raise ZeroDivisionError
        assert Unshared.NOT_RECORDED in render.unshared
    render.close()


def test_what_we_look_up_is_no_read_of_the_render(database: str, purged: Purged) -> None:
    Organisation.objects.using(database).create(name="n", code="c")
    render = recording.start()
    with recording.enter(render):
        Organisation.objects.using(database).filter(code="c").update(rank=3)
        Organisation.objects.using(database).filter(rank=3)._raw_delete(database)
    render.close()
    # What the statements ask for themselves, and no row that was only looked at.
    assert render.all_tags().isdisjoint({b"db:testsite_organisation", READ_EVERYTHING})
    assert {existence_tag(b"testsite_organisation"), table_tag(b"testsite_organisation")} <= purged
