"""What the last purges were of."""

import time
from pathlib import Path

from uncork.purging.history import RECORDS, History, Purge
from uncork.purging.table import ClockTable


def test_the_purge_of_a_page_is_found_by_the_clock(tmp_path: Path) -> None:
    table = ClockTable(tmp_path)
    stamp, slots = table.clock.stamp(), [table.slot(b"a"), table.slot(b"b")]
    assert table.clock.purged_at(stamp, slots) is None
    before = time.time()
    table.purge([b"b", b"c"])
    table.purge([b"d"])
    counter = table.clock.purged_at(stamp, slots)
    assert counter == stamp + 1
    found = table.history.find(counter)
    assert found is not None and (found.counter, found.what, found.soft) == (counter, "b c", False)
    assert before - 1 < found.at < time.time() + 1
    table.purge([b"a"], soft=True)
    softly = table.history.find(table.clock.purged_at(stamp, slots) or 0)
    assert softly is not None and (softly.what, softly.soft) == ("a", True)
    table.purge_all()
    last = table.history.find(table.clock.purged_at(stamp, slots) or 0)
    assert last is not None and last.what == "everything"
    table.close()


def test_what_is_long_ago_is_forgotten(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert history.find(7) is None
    history.add(7, [b"x" * 1000], soft=False)
    assert isinstance(found := history.find(7), Purge) and found.what == "x" * len(found.what)
    history.add(7 + RECORDS, [b"y"], soft=False)
    assert history.find(7) is None
    history.close()


def test_a_directory_that_takes_no_file_stops_no_purge(tmp_path: Path) -> None:
    (tmp_path / "purge.history").mkdir()
    table = ClockTable(tmp_path)
    assert table.purge([b"a"]) == table.clock.stamp()
    table.close()
