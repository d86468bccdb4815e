"""Purges of processes that have no purge clock, by way of the database."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db import connections, transaction
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st
from testsite.models import Topic

from support.edge_client import eventually
from support.purged import Purged, blind
from uncork.django import outbox
from uncork.django.clock import clock_table
from uncork.django.outbox import TABLE, packed, take, unpacked
from uncork.django.transactions import purge_at_commit
from uncork.pages.clock import Verdict
from uncork.pages.tags import READ_ANYTHING, READ_EVERYTHING, column_tag, row_tag
from uncork.purging.table import ClockTable

TOPIC = b"testsite_topic"


def slug(name: str) -> bytes:
    return row_tag(TOPIC, b"slug", name.encode())


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[None]:
    """For a process that can't reach the clock."""
    with override_settings(UNCORK={"state_dir": tmp_path / "missing"}):
        yield


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ClockTable]:
    """Of a process that has it."""
    found = ClockTable(tmp_path)
    yield found
    found.close(clean=False)


def left(alias: str) -> list[set[bytes]]:
    """What there is in the outbox, by transaction."""
    with connections[alias].cursor() as cursor:
        cursor.execute(f"SELECT tags FROM {TABLE} ORDER BY id")
        return [set(unpacked(bytes(tags))) for (tags,) in cursor.fetchall()]


def test_a_transaction(database: str, elsewhere: None) -> None:
    with transaction.atomic(using=database):
        Topic.objects.using(database).create(slug="a")
        with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
            Topic.objects.using(database).create(slug="b")
            raise ZeroDivisionError
        assert not left(database)
    (tags,) = left(database)
    assert slug("a") in tags and slug("b") not in tags


def test_a_transaction_that_is_rolled_back(database: str, elsewhere: None) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic(using=database):
        Topic.objects.using(database).create(slug="a")
        raise ZeroDivisionError
    assert not left(database)


def test_in_autocommit_it_stands_in_a_transaction_with_the_statement(database: str, elsewhere: None) -> None:
    Topic.objects.using(database).create(slug="a")
    assert slug("a") in left(database)[-1]
    Topic.objects.using(database).update(title="x")
    assert left(database)[-1] >= {slug("a"), column_tag(TOPIC, b"title")}
    Topic.objects.using(database).all()._raw_delete(database)
    assert slug("a") in left(database)[-1]
    with connections[database].cursor() as cursor:
        cursor.execute("INSERT INTO testsite_topic (slug, title) VALUES ('b', '')")
    assert left(database)[-1] == blind("testsite_topic")
    purge_at_commit({b"own"}, using=database)
    assert left(database)[-1] == {b"own"}
    assert len(left(database)) == 5


def test_what_may_stand_in_no_transaction(postgresql: str, elsewhere: None) -> None:
    with connections[postgresql].cursor() as cursor:
        cursor.execute("CREATE INDEX CONCURRENTLY by_title ON testsite_topic (title)")
        assert left(postgresql) == [{READ_ANYTHING, READ_EVERYTHING}]
        cursor.execute("DROP INDEX by_title")


def test_transactions_by_hand(database: str, elsewhere: None) -> None:
    connection = connections[database]
    connection.set_autocommit(False)
    Topic.objects.using(database).create(slug="a")
    connection.commit()
    assert slug("a") in left(database)[-1]
    connection.rollback()
    connection.set_autocommit(True)
    with connection.cursor() as cursor:
        cursor.execute("BEGIN")
        Topic.objects.using(database).create(slug="b")
        cursor.execute("COMMIT")
    assert slug("b") in left(database)[-1]


def test_a_transaction_that_has_failed_is_ended_as_ever(postgresql: str, elsewhere: None) -> None:
    connection = connections[postgresql]
    connection.set_autocommit(False)
    Topic.objects.using(postgresql).create(slug="a")
    with connection.cursor() as cursor:
        with pytest.raises(Exception, match="nobodys"):
            cursor.execute("SELECT * FROM nobodys")
        connection.commit()  # which is a rollback
    connection.set_autocommit(True)
    assert not left(postgresql) and not Topic.objects.using(postgresql).exists()


def test_who_has_a_clock_leaves_nothing(database: str, purged: Purged) -> None:
    Topic.objects.using(database).create(slug="a")
    assert purged and not left(database)


def test_it_can_be_switched_off(database: str, tmp_path: Path) -> None:
    with override_settings(UNCORK={"state_dir": tmp_path / "missing", "outbox": False}):
        Topic.objects.using(database).create(slug="a")
    assert not left(database)


def test_without_the_table_everything_goes_on(postgresql: str, elsewhere: None) -> None:
    with connections[postgresql].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RENAME TO gone")
        try:
            Topic.objects.using(postgresql).create(slug="a")
        finally:
            cursor.execute(f"ALTER TABLE gone RENAME TO {TABLE}")
    assert Topic.objects.using(postgresql).get().slug == "a"


def test_a_table_that_can_not_be_written_to_keeps_nobody_from_a_commit(
    database: str, elsewhere: None, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_said", set())
    with connections[database].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {TABLE} RENAME COLUMN tags TO others")
        try:
            with transaction.atomic(using=database):
                Topic.objects.using(database).create(slug="a")
        finally:
            cursor.execute(f"ALTER TABLE {TABLE} RENAME COLUMN others TO tags")
    assert Topic.objects.using(database).get().slug == "a"
    assert caplog.text.count("nothing can be left in the outbox") == 1


def test_nobody_takes_anything_out(
    database: str, elsewhere: None, table: ClockTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_MOST_KEPT", 3)
    monkeypatch.setattr(outbox, "_LOOK_AGAIN", 1)
    for name in "abcdefg":
        Topic.objects.using(database).create(slug=name)
    assert [bool(tags) for tags in left(database)] == [False, True, True]
    stamp = table.clock.stamp()
    take(connections[database], table)
    assert table.clock.verdict(stamp, []) is Verdict.PURGED


# Who has the clock


def test_what_is_taken_out_is_purged(database: str, elsewhere: None, table: ClockTable) -> None:
    for name in ("a", "b"):
        Topic.objects.using(database).create(slug=name)
    stamp = table.clock.stamp()
    assert take(connections[database], table) == 2
    assert table.clock.verdict(stamp, [table.slot(slug("b"))]) is Verdict.PURGED
    assert table.clock.verdict(stamp, [table.slot(slug("c"))]) is Verdict.VALID
    assert not left(database)
    assert take(connections[database], table) == 0


def test_nobody_is_waited_for_who_has_not_committed(
    postgresql: str, elsewhere: None, table: ClockTable
) -> None:
    Topic.objects.using(postgresql).create(slug="a")
    connection = connections[postgresql].copy()
    try:
        with transaction.atomic(using=postgresql):
            Topic.objects.using(postgresql).create(slug="b")
            outbox.put(connections[postgresql], {b"not yet"})
            assert take(connection, table) == 1
        assert take(connection, table) == 2
    finally:
        connection.close()


def test_a_process_that_serves_looks_every_second(
    database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "_SECONDS", 0.02)
    table = ClockTable(tmp_path)
    with override_settings(UNCORK={"state_dir": tmp_path / "missing"}):
        Topic.objects.using(database).create(slug="a")
    stamp = table.clock.stamp()
    with override_settings(UNCORK={"state_dir": tmp_path}):
        assert clock_table() is not None
        outbox.look_after()
        outbox.look_after()
        try:
            eventually(lambda: table.clock.verdict(stamp, [table.slot(slug("a"))]) is Verdict.PURGED)
            eventually(lambda: not left(database))
            assert sum(thread.name == "uncork-outbox" for thread in threading.enumerate()) == 1
        finally:
            outbox.stop()
    table.close(clean=False)


def test_one_process_of_a_machine_looks(tmp_path: Path, table: ClockTable) -> None:
    one, other = outbox._Looking(), outbox._Looking()
    assert one._is_ours(table) and one._is_ours(table) and not other._is_ours(table)
    os.close(one.lock)  # its process dies
    one.lock = -1
    assert other._is_ours(table) and not one._is_ours(table)
    other.let_go()


@given(st.sets(st.binary()))
def test_a_row_holds_any_tags(tags: set[bytes]) -> None:
    assert set(unpacked(packed(tags))) == tags


def test_the_models_table_is_the_one_that_is_migrated() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "uncork", check=True, dry_run=True, verbosity=0)
