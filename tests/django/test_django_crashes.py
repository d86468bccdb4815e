"""Processes that are killed while they write: what they had committed is purged by whoever comes next."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from testsite.models import Organisation

from uncork.pages.clock import Verdict
from uncork.pages.tags import READ_EVERYTHING, part_tag, row_tag, table_tag
from uncork.purging.pending import is_pending, settle
from uncork.purging.table import ClockTable

TABLE = b"testsite_organisation"

CHILD = """
import json, os, signal, sys
import django
from django.conf import settings
sys.path.insert(0, sys.argv[1])
settings.configure(
    DATABASES={"default": json.loads(sys.argv[2])},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.contenttypes", "testsite", "uncork.django"],
    USE_TZ=True,
)
django.setup()
from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper
from testsite.models import Organisation

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def insert(at):
    Organisation.objects.create(name=f"n{at}", code=f"c{at}", rank=at)

def dies_after(kind, name, when=lambda *args: True):
    original = getattr(kind, name)
    def method(self, *args):
        done = original(self, *args)
        if when(*args):
            die()
        return done
    setattr(kind, name, method)
"""

MOMENTS = {
    "before the commit": """
BaseDatabaseWrapper._commit = die
with transaction.atomic():
    insert(1)
""",
    "after the commit": """
dies_after(BaseDatabaseWrapper, "_commit")
with transaction.atomic():
    insert(1)
""",
    "after a statement in autocommit": """
connection.ensure_connection()
dies_after(CursorWrapper, "__exit__")
insert(1)
""",
    "after a statement of nobody's in autocommit": """
dies_after(CursorWrapper, "_execute", lambda sql, *_: "organisation" in sql)
with connection.cursor() as cursor:
    cursor.execute("INSERT INTO testsite_organisation (name, code, country, rank) VALUES ('', 'c1', '', 1)")
""",
}

FOREVER = """
at = 0
while True:
    if at % 3 == 0:
        insert(at)
    else:
        with transaction.atomic():
            insert(at)
            if at % 3 == 2:
                Organisation.objects.filter(code=f"c{at - 1}").update(code=f"u{at - 1}")
    os.write(1, b".")
    at += 1
"""


def start(alias: str, state_dir: Path, code: str) -> "subprocess.Popen[bytes]":
    kept = {name: settings.DATABASES[alias][name] for name in ("ENGINE", "NAME", "USER", "HOST")}
    place = str(Path(__file__).parent / "site")
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + code, place, json.dumps(kept | {"OPTIONS": {}})],
        env={**os.environ, "UNCORK_STATE_DIR": str(state_dir)},
        stdout=subprocess.PIPE,
    )


def purged(table: ClockTable, stamp: int, *tags: bytes) -> bool:
    return table.clock.verdict(stamp, [table.slot(tag) for tag in tags]) is Verdict.PURGED


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_process_is_killed(database: str, tmp_path: Path, moment: str) -> None:
    table = ClockTable(tmp_path)
    stamp = table.clock.stamp()
    with start(database, tmp_path, MOMENTS[moment]) as process:
        assert process.wait(60) == -signal.SIGKILL
    there = Organisation.objects.using(database).filter(code="c1").exists()
    assert there == (moment != "before the commit")
    assert is_pending(tmp_path) and not purged(table, stamp, table_tag(TABLE))
    settle(tmp_path, table)
    for tag in (table_tag(TABLE), READ_EVERYTHING):
        assert purged(table, stamp, tag)
    assert purged(table, stamp, row_tag(TABLE, b"code", b"c1"), part_tag(TABLE))
    assert not purged(table, stamp, b"something else")
    table.close(clean=False)


def test_a_process_is_killed_at_any_moment(database: str, tmp_path: Path) -> None:
    table = ClockTable(tmp_path)
    chance = random.Random(0)
    for _ in range(6):
        Organisation.objects.using(database).all().delete()
        connections[database].close()
        stamp = table.clock.stamp()
        with start(database, tmp_path, FOREVER) as process:
            assert process.stdout is not None
            assert process.stdout.read(1) == b"."
            time.sleep(chance.random() * 0.05)  # any instruction will do
            process.send_signal(signal.SIGKILL)
        settle(tmp_path, table)
        codes = Organisation.objects.using(database).values_list("code", flat=True)
        assert codes
        for code in codes:
            assert purged(table, stamp, row_tag(TABLE, b"code", code.encode()), part_tag(TABLE)), code
    table.close(clean=False)
