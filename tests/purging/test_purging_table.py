"""The purge clock as a file: reboots, damage, deletion, forks, and processes that are killed."""

import errno
import gc
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from uncork.pages import clock as layout
from uncork.pages.clock import COUNTER, HEADER_WORDS, Verdict
from uncork.purging.table import LEAP, ClockTable, Opening

SLOTS = 64
TAGS = [b"a", b"b", b"c"]

OpenTable = Callable[..., ClockTable]


@pytest.fixture
def open_table(tmp_path: Path) -> Iterator[OpenTable]:
    """Opens the clock in tmp_path, under a boot of the machine that is a number."""
    tables = []

    def opened(boot: int = 1, slots: int = SLOTS) -> ClockTable:
        tables.append(ClockTable(tmp_path, slots, lambda: boot.to_bytes(16, "big")))
        return tables[-1]

    yield opened
    for table in tables:
        table.close(clean=False)


def verdict(table: ClockTable, stamp: int, tag: bytes = b"a") -> Verdict:
    return table.clock.verdict(stamp, [table.slot(tag)])


def test_a_purge_is_seen_by_all_who_have_the_file_open(open_table: OpenTable) -> None:
    one, other = open_table(), open_table()
    assert (one.opening, other.opening) == (Opening.CREATED, Opening.FOUND)
    stamp = other.clock.stamp()
    assert one.purge([b"a"]) == stamp + 1 == other.clock.stamp()
    assert verdict(other, stamp) is Verdict.PURGED
    assert verdict(other, stamp, b"b") is Verdict.VALID
    other.purge([b"b"], soft=True)
    assert verdict(one, stamp, b"b") is Verdict.SOFT
    one.purge_all()
    assert verdict(other, stamp, b"b") is Verdict.PURGED


def test_the_file_is_as_large_as_its_slots_and_private(open_table: OpenTable) -> None:
    status = open_table().path.stat()
    assert status.st_size == 8 * (HEADER_WORDS + 2 * SLOTS)
    assert status.st_mode & 0o777 == 0o600


def test_it_keeps_its_size(open_table: OpenTable) -> None:
    open_table()
    assert open_table(slots=2 * SLOTS).clock.slots == SLOTS


@pytest.mark.parametrize("clean", [True, False])
def test_a_restart_within_a_boot_purges_nothing(open_table: OpenTable, clean: bool) -> None:
    table = open_table()
    table.purge([b"b"])
    stamp = table.clock.stamp()
    table.close(clean)
    again = open_table()
    assert again.opening is Opening.FOUND
    assert verdict(again, stamp) is Verdict.VALID
    assert verdict(again, stamp - 1, b"b") is Verdict.PURGED


def test_a_clean_reboot_purges_nothing(open_table: OpenTable) -> None:
    table = open_table()
    stamp = table.clock.stamp()
    table.close()
    again = open_table(boot=2)
    assert again.opening is Opening.REBOOTED
    assert verdict(again, stamp) is Verdict.VALID
    third = open_table(boot=3)  # and nothing was purged in between
    assert third.opening is Opening.REBOOTED
    assert verdict(third, stamp) is Verdict.VALID


def test_an_unclean_reboot_purges_everything(open_table: OpenTable) -> None:
    table = open_table()
    stamp = table.clock.stamp()
    again = open_table(boot=2)
    assert again.opening is Opening.UNCLEAN
    assert verdict(again, stamp) is Verdict.PURGED
    assert again.clock.stamp() > stamp + LEAP // 2
    assert verdict(again, again.clock.stamp()) is Verdict.VALID
    assert open_table(boot=2).opening is Opening.FOUND


def test_stamps_that_were_lost_with_the_counter_never_come_true(open_table: OpenTable) -> None:
    """The disk may have an older counter than the pages have stamps: no number of purges makes them valid."""
    table = open_table()
    lost = table.clock.stamp() + 1000
    again = open_table(boot=2)
    assert verdict(again, lost) is Verdict.PURGED
    assert again.clock.stamp() > lost


def test_a_purge_under_a_clean_file_makes_it_unclean_first(open_table: OpenTable) -> None:
    user, purger = open_table(), open_table()
    user.close()
    assert purger.clock.words[layout.CLEAN] == 1
    stamp = purger.clock.stamp()
    purger.purge([b"b"])
    assert purger.clock.words[layout.CLEAN] == 0
    again = open_table(boot=2)
    assert again.opening is Opening.UNCLEAN
    assert verdict(again, stamp) is Verdict.PURGED


def test_a_file_that_was_copied_purges_everything(open_table: OpenTable) -> None:
    table = open_table()
    stamp = table.clock.stamp()
    table.close()
    copy = table.path.with_suffix(".copy")
    copy.write_bytes(table.path.read_bytes())
    copy.rename(table.path)
    again = open_table()
    assert again.opening is Opening.MOVED
    assert verdict(again, stamp) is Verdict.PURGED
    assert open_table().opening is Opening.FOUND


def patched(word: int, value: int) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[8 * word : 8 * word + 8] = value.to_bytes(8, "little")
        path.write_bytes(data)

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-1]), id="cut off"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes() + b"x"), id="too long"),
        pytest.param(lambda path: path.write_bytes(b"x"), id="one byte"),
        pytest.param(lambda path: path.write_bytes(bytes(len(path.read_bytes()))), id="zeros"),
        pytest.param(patched(layout.MAGIC, 1), id="magic"),
        pytest.param(patched(layout.VERSION, 1), id="version"),
        pytest.param(patched(layout.SLOTS, SLOTS + 1), id="slots"),
        pytest.param(patched(COUNTER, 2**64 - 1), id="counter at the end"),
        pytest.param(patched(COUNTER, 5), id="counter"),
        pytest.param(patched(layout.ANNOUNCED, 5), id="announced"),
    ],
)
def test_a_damaged_file_is_made_anew_and_everything_purged(
    open_table: OpenTable, damage: Callable[[Path], object]
) -> None:
    table = open_table()
    stamp = table.clock.stamp()
    damage(table.path)
    again = open_table()
    assert again.opening is Opening.DAMAGED
    assert verdict(again, stamp) is Verdict.PURGED
    assert verdict(again, again.clock.stamp()) is Verdict.VALID
    assert again.purge([b"a"]) == again.clock.stamp()
    assert open_table().opening is Opening.FOUND


def test_who_has_a_damaged_file_mapped_finds_nothing_valid_in_it(
    open_table: OpenTable,
) -> None:
    user = open_table()
    patched(layout.MAGIC, 1)(user.path)  # written in place: the same file
    purger = open_table()
    assert purger.opening is Opening.DAMAGED
    assert verdict(user, user.clock.stamp()) is Verdict.PURGED
    assert user.clock.retired
    assert user.refresh()
    stamp = user.clock.stamp()
    assert verdict(user, stamp) is Verdict.VALID
    purger.purge([b"a"])
    assert verdict(user, stamp) is Verdict.PURGED


def test_a_purge_after_the_file_was_deleted_reaches_who_still_has_it(open_table: OpenTable) -> None:
    user, purger = open_table(), open_table()
    old = user.clock
    user.path.unlink()
    purger.purge([b"b"])
    assert purger.opening is Opening.CREATED
    assert old.verdict(old.stamp(), []) is Verdict.PURGED
    assert user.refresh()
    assert user.clock.stamp() == purger.clock.stamp() > old.stamp()
    assert not user.refresh()


def test_a_purger_that_died_half_way_is_settled(open_table: OpenTable) -> None:
    table = open_table()
    words, slot = table.clock.words, table.slot(b"a")
    words[layout.ANNOUNCED] = words[HEADER_WORDS + slot] = words[COUNTER] + 1
    assert verdict(table, table.clock.stamp()) is Verdict.PURGED
    assert not table.refresh()
    assert verdict(table, table.clock.stamp()) is Verdict.VALID


def test_closing_twice_does_nothing_and_views_stay_readable(open_table: OpenTable) -> None:
    table = open_table()
    words = memoryview(table.clock.words)
    table.close()
    table.close()
    assert words[layout.CLEAN] == 1


def test_a_clock_that_can_not_be_made_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError) as raised:
        ClockTable(tmp_path / "missing")
    assert raised.value.errno == errno.ENOENT
    with pytest.raises(ValueError):
        ClockTable(tmp_path, slots=1)


def test_threads_lose_no_purge(open_table: OpenTable) -> None:
    table = open_table()
    before = table.clock.stamp()
    threads = [threading.Thread(target=lambda: [table.purge([b"a"]) for _ in range(500)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.clock.stamp() == before + 2000


# Other tests may have left threads; the children run nothing but a purge.
may_fork = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@may_fork
def test_forks_and_other_processes_lose_no_purge(open_table: OpenTable) -> None:
    """A fork shares the parent's open file: its lock must be its own."""
    table = open_table()
    before = table.clock.stamp()
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            for _ in range(2000):
                table.purge([b"a"])
            os._exit(0)
        children.append(child)
    for _ in range(2000):
        table.purge([b"a"])
    assert all(os.waitpid(child, 0)[1] == 0 for child in children)
    assert table.clock.stamp() == before + 10_000


@may_fork
def test_a_fork_goes_on_while_a_thread_of_its_parent_holds_the_lock(open_table: OpenTable) -> None:
    table = open_table()
    with table._mutex:
        child = os.fork()
        if child == 0:
            table.purge([b"a"])
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0


PURGER = """
import os, sys
from pathlib import Path
from uncork.purging.table import ClockTable

table = ClockTable(Path(sys.argv[1]), boot_id=lambda: (1).to_bytes(16, "big"))
at = 0
while True:
    table.purge([b"tag-%d-%d" % (at, part) for part in range(6)])
    os.write(1, b"%d\\n" % at)
    at += 1
"""


def test_a_killed_purger_loses_no_purge_that_it_acknowledged(open_table: OpenTable, tmp_path: Path) -> None:
    table = open_table(slots=2**16)
    chance = random.Random(0)
    for _ in range(8):
        stamp = table.clock.stamp()
        purger = subprocess.Popen([sys.executable, "-c", PURGER, str(tmp_path)], stdout=subprocess.PIPE)
        assert purger.stdout is not None
        first = purger.stdout.readline()
        time.sleep(chance.random() * 0.02)  # any instruction will do
        purger.send_signal(signal.SIGKILL)
        acknowledged = (first + purger.stdout.read()).decode().split("\n")[:-1]
        purger.stdout.close()
        purger.wait()
        assert acknowledged
        for at in map(int, acknowledged):
            for part in range(6):
                assert verdict(table, stamp, b"tag-%d-%d" % (at, part)) is Verdict.PURGED
        table.purge([b"x"])  # the lock is free, and what was begun is settled
        now = table.clock.stamp()
        assert all(table.clock.verdict(now, [slot]) is Verdict.VALID for slot in range(table.clock.slots))


def test_a_table_that_is_forgotten_holds_no_file(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(os.listdir("/proc/self/fd"))

    gc.collect()
    before = descriptors()
    table = ClockTable(tmp_path)
    table.purge([b"a"])
    assert descriptors() > before
    del table
    gc.collect()
    assert descriptors() == before
