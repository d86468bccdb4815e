"""The store stays within its size, and what was purged goes first."""

import os
import time
from pathlib import Path

from uncork.caching.freshness import Freshness
from uncork.edge.sweeper import Sweeper
from uncork.pages.page import Page
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields
from uncork.stores.disk import DiskStore

PAGES = 60
PAGE_BYTES = 40_000


def fill(store: DiskStore, table: ClockTable, now: float) -> list[bytes]:
    keys = []
    for i in range(PAGES):
        key = i.to_bytes(16, "big")
        freshness = Freshness(response_time=now, corrected_initial_age=0.0, lifetime=3600)
        slots = (table.slot(b"page-%d" % i),)
        page = Page(b"http://a/%d" % i, 200, Fields(), freshness, table.clock.stamp(), slots)
        writer = store.create(key, page)
        writer.write(os.urandom(PAGE_BYTES))
        writer.commit().close()
        # Page 0 was used longest ago, all of them long enough to be looked into. A sweep tells ages
        # apart that differ by 5 %.
        used = now - 7200 * 1.1 ** (PAGES - i)
        os.utime(store.path_of(key), (used, used))
        keys.append(key)
    return keys


def found(store: DiskStore, keys: list[bytes]) -> list[int]:
    present = []
    for i, key in enumerate(keys):
        entry = store.lookup(key)
        if entry is not None:
            entry.close()
            present.append(i)
    return present


def test_the_least_recently_used_go_until_there_is_room(tmp_path: Path) -> None:
    table = ClockTable(tmp_path)
    store = DiskStore(tmp_path / "pages")
    keys = fill(store, table, time.time())
    sweeper = Sweeper(tmp_path / "pages", lambda: PAGES * PAGE_BYTES // 2, table, print)
    report = sweeper.sweep()
    left = found(store, keys)
    assert report.bytes <= PAGES * PAGE_BYTES // 2
    assert left, "a sweep keeps what there is room for"
    assert left == list(range(PAGES - len(left), PAGES))
    table.close()


def test_purged_pages_go_even_when_there_is_room(tmp_path: Path) -> None:
    table = ClockTable(tmp_path)
    store = DiskStore(tmp_path / "pages")
    keys = fill(store, table, time.time())
    table.purge([b"page-7", b"page-8"])
    sweeper = Sweeper(tmp_path / "pages", lambda: 2**30, table, print)
    sweeper.sweep()
    assert found(store, keys) == [i for i in range(PAGES) if i not in (7, 8)]
    table.close()
