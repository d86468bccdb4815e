"""Purges that are noted before they are due: by living processes, by dead ones, and across reboots."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from uncork.pages.clock import CLEAN, EVERYTHING, Verdict
from uncork.purging.pending import DIRECTORY, MOST_SLOTS, Journal, is_pending, settle
from uncork.purging.table import ClockTable, Opening

SLOTS = 8192
may_fork = pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")


@pytest.fixture
def table(tmp_path: Path) -> Iterator[ClockTable]:
    found = ClockTable(tmp_path, SLOTS)
    yield found
    found.close(clean=False)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    found = Journal(tmp_path)
    yield found
    found.close()


def files(state_dir: Path) -> list[Path]:
    return sorted((state_dir / DIRECTORY).iterdir())


def purged(table: ClockTable, stamp: int, slot: int) -> bool:
    return table.clock.verdict(stamp, [slot]) is Verdict.PURGED


def test_a_living_process_settles_its_own(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    stamp = table.clock.stamp()
    note = journal.begin(table, [3, 5])
    assert is_pending(tmp_path)
    assert settle(tmp_path, table) == 0
    assert table.clock.stamp() == stamp
    journal.end(note)
    assert not is_pending(tmp_path)
    assert settle(tmp_path, table) == 0
    assert table.clock.stamp() == stamp


def test_as_many_files_as_are_needed_at_once(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    for _ in range(3):
        notes = [journal.begin(table, [1]), journal.begin(table, [2])]
        assert len(files(tmp_path)) == 2
        for note in notes:
            journal.end(note)


def test_one_that_is_left_is_purged_for_a_minute(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    journal.begin(table, [3, 5]).leave()
    purges = []
    for second in range(1000, 1070):
        stamp = table.clock.stamp()
        if settle(tmp_path, table, now=second + 0.5):
            assert purged(table, stamp, 3) and purged(table, stamp, 5) and not purged(table, stamp, 4)
            purges.append(second - 1000)
    assert purges == [0, 1, 3, 7, 15, 31, 60]
    assert files(tmp_path) == []


def test_a_clock_of_the_wall_that_goes_back_delays_nothing(
    tmp_path: Path, table: ClockTable, journal: Journal
) -> None:
    journal.begin(table, [3]).leave()
    assert settle(tmp_path, table, now=5000)
    assert settle(tmp_path, table, now=100)
    assert settle(tmp_path, table, now=101)
    assert settle(tmp_path, table, now=160)
    assert files(tmp_path) == []


def test_slots_of_another_clock_purge_everything(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    note = journal.begin(table, [3])
    note.leave()
    (tmp_path / "purge.clock").unlink()
    table.purge([b"a"])  # makes it anew
    stamp = table.clock.stamp()
    assert settle(tmp_path, table) == 1
    assert purged(table, stamp, EVERYTHING)
    assert files(tmp_path) == []


def test_more_slots_than_there_is_room_for_are_everything(
    tmp_path: Path, table: ClockTable, journal: Journal
) -> None:
    stamp = table.clock.stamp()
    journal.begin(table, range(1, MOST_SLOTS + 1)).leave()
    settle(tmp_path, table)
    assert purged(table, stamp, MOST_SLOTS) and not purged(table, stamp, MOST_SLOTS + 1)
    journal.begin(table, range(1, MOST_SLOTS + 2)).leave()
    settle(tmp_path, table)
    assert purged(table, stamp, EVERYTHING)


def test_a_file_that_was_deleted_is_made_anew(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    journal.end(journal.begin(table, [3]))
    files(tmp_path)[0].unlink()
    stamp = table.clock.stamp()
    journal.begin(table, [3]).leave()
    assert settle(tmp_path, table) == 1
    assert purged(table, stamp, 3)


@pytest.mark.parametrize("content", [b"", b"x", bytes(20 * 1024)])
def test_what_was_never_finished_is_removed(tmp_path: Path, table: ClockTable, content: bytes) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "1-0").write_bytes(content)
    stamp = table.clock.stamp()
    assert not is_pending(tmp_path)
    assert settle(tmp_path, table) == 0
    assert files(tmp_path) == [] and table.clock.stamp() == stamp


def test_what_is_no_note_purges_everything(tmp_path: Path, table: ClockTable) -> None:
    (tmp_path / DIRECTORY).mkdir()
    (tmp_path / DIRECTORY / "1-0").write_bytes(b"\1" * 20 * 1024)
    stamp = table.clock.stamp()
    assert settle(tmp_path, table) == 1
    assert purged(table, stamp, EVERYTHING) and files(tmp_path) == []


def test_a_directory_that_can_not_be_written_to_is_an_error(tmp_path: Path, table: ClockTable) -> None:
    (tmp_path / DIRECTORY).write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        Journal(tmp_path).begin(table, [1])


@may_fork
def test_a_fork_keeps_nothing_of_its_parents(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    """A parent that dies lets go of its notes, though a child of it lives on, and has notes of its own."""
    read, write = os.pipe()
    inner_read, inner_write = os.pipe()
    parent = os.fork()
    if parent == 0:
        journal.end(journal.begin(table, [1]))
        note = journal.begin(table, [3])
        child = os.fork()
        if child == 0:
            os.close(inner_write)
            other = journal.begin(table, [5])
            note.empty()  # is not its own
            os.write(write, b".")
            os.read(inner_read, 1)
            journal.end(other)
            os._exit(0)
        signal.pause()
        os._exit(1)
    os.close(inner_read)
    os.read(read, 1)
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    stamp = table.clock.stamp()
    assert settle(tmp_path, table) == 1
    assert purged(table, stamp, 3) and not purged(table, stamp, 5)
    for fd in (inner_write, write):
        os.close(fd)
    assert os.read(read, 1) == b""  # the child has ended
    os.close(read)


def test_threads_have_notes_of_their_own(tmp_path: Path, table: ClockTable, journal: Journal) -> None:
    def work() -> None:
        for slot in range(1, 200):
            note = journal.begin(table, [slot])
            table.purge_slots([slot])
            journal.end(note)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        assert settle(tmp_path, table) == 0
    for thread in threads:
        thread.join()
    assert len(files(tmp_path)) <= 4


# The machine goes down: nothing that was only noted may be lost


def boot(number: int) -> bytes:
    return number.to_bytes(16, "big")


def test_a_note_makes_a_clean_clock_unclean(tmp_path: Path, journal: Journal) -> None:
    ClockTable(tmp_path, SLOTS, lambda: boot(1)).close()
    table = ClockTable(tmp_path, SLOTS, lambda: boot(1))
    assert table.clock.words[CLEAN]
    note = journal.begin(table, [3])
    assert ClockTable(tmp_path, SLOTS, lambda: boot(2)).opening is Opening.UNCLEAN
    journal.end(note)
    table.close(clean=False)


def test_a_clock_is_not_closed_cleanly_while_something_is_noted(tmp_path: Path, journal: Journal) -> None:
    table = ClockTable(tmp_path, SLOTS, lambda: boot(1))
    note = journal.begin(table, [3])
    ClockTable(tmp_path, SLOTS, lambda: boot(1)).close(awaited=lambda: is_pending(tmp_path))
    assert not table.clock.words[CLEAN]
    journal.end(note)
    ClockTable(tmp_path, SLOTS, lambda: boot(1)).close(awaited=lambda: is_pending(tmp_path))
    assert table.clock.words[CLEAN]
    table.close(clean=False)


# Processes that are killed

WRITER = """
import os, sys
from pathlib import Path
from uncork.purging.pending import Journal
from uncork.purging.table import ClockTable

state_dir = Path(sys.argv[1])
table = ClockTable(state_dir)
journal = Journal(state_dir)
at = 0
while True:
    slots = [1 + (7 * at + part) % 8000 for part in range(6)]
    note = journal.begin(table, slots)
    os.write(1, b"%d\\n" % at)  # what others see of it: a commit
    table.purge_slots(slots)
    journal.end(note)
    at += 1
"""


def test_a_killed_process_loses_no_purge_of_what_it_did(tmp_path: Path, table: ClockTable) -> None:
    chance = random.Random(0)
    for _ in range(12):
        stamp = table.clock.stamp()
        writer = subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE)
        assert writer.stdout is not None
        first = writer.stdout.readline()
        time.sleep(chance.random() * 0.02)  # any instruction will do
        writer.send_signal(signal.SIGKILL)
        done = (first + writer.stdout.read()).decode().split("\n")[:-1]
        writer.stdout.close()
        writer.wait()
        settle(tmp_path, table)
        assert done
        for at in map(int, done):
            assert all(purged(table, stamp, 1 + (7 * at + part) % 8000) for part in range(6))
