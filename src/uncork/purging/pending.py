"""Purges that are about to be due: noted before a commit, so that a crash between the two loses none.

Lives here: the notes of a process, and settling those of processes that died.
Doesn't know: what is committed, and where; which tags the slots are of.

A note is a file that its process holds locked. It says which slots are to be purged as soon as what is
happening now has happened, and is emptied after the purge. Whoever dies lets go of the lock, and leaves a
note that anybody settles. `docs/page-file.md` draws it.

A database may still be at work on a commit whose sender died, or that it was cut off from: so the slots of
such a note are purged again and again, for a minute.
"""

import errno
import fcntl
import itertools
import mmap
import os
import struct
import weakref
from collections.abc import Sequence
from pathlib import Path
from time import time

from uncork.pages.clock import EVERYTHING
from uncork.purging.table import ClockTable

DIRECTORY = "pending"
SETTLING_SECONDS = 60
"""So long after a note was found without its process, no commit of it is waited for any more."""

# The words of a note; the slots follow, 4 bytes each.
_MAGIC_WORD, _CLOCK, _COUNT, _FOUND, _DUE = range(5)
_HEADER_WORDS = 8
_MAGIC = int.from_bytes(b"UNCKPND1", "little")
_SIZE = 20 * 1024
MOST_SLOTS = (_SIZE - 8 * _HEADER_WORDS) // 4
"""Of one note. More are noted as everything, which only a crash at that very moment would purge."""


class Note:
    """One file of this process, for one thing at a time. One that is forgotten is left to others."""

    def __init__(self, directory: Path) -> None:
        """Raises OSError when the file can't be made."""
        self._fd = -1
        self._fd, self.path = _create(directory)
        try:
            # Not sparse: a store into a hole of a full disk would kill the process.
            os.posix_fallocate(self._fd, 0, _SIZE)
            # Its own descriptor: mmap keeps a copy, and a fork's copy would keep the lock of a dead parent.
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
            try:
                self._map = mmap.mmap(fd, _SIZE)
            finally:
                os.close(fd)
        except BaseException:
            self.leave()
            raise
        self._words = memoryview(self._map)[: 8 * _HEADER_WORDS].cast("Q")
        self._slots = memoryview(self._map)[8 * _HEADER_WORDS :].cast("I")
        self._words[_MAGIC_WORD] = _MAGIC
        _notes.add(self)

    def write(self, clock: bytes, slots: Sequence[int]) -> None:
        """These slots of the clock with that name are to be purged as soon as what comes now has happened."""
        if len(slots) > MOST_SLOTS:
            slots = (EVERYTHING,)
        self._words[_CLOCK] = int(clock, 16)
        for at, slot in enumerate(slots):
            self._slots[at] = slot
        self._words[_COUNT] = len(slots)  # last: before it, nothing is noted

    def empty(self) -> None:
        """They are purged."""
        if self._fd >= 0:  # a fork's is its parent's
            self._words[_COUNT] = 0

    def leave(self) -> None:
        """Let go of the file: what is in it is for others to settle."""
        _notes.discard(self)
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    __del__ = leave

    def is_there(self) -> bool:
        """Whether others can still find it."""
        return self._fd >= 0 and os.fstat(self._fd).st_nlink > 0


class Journal:
    """The notes of this process in a state directory: as many as it ever needed at once. Safe in all threads
    and in forks."""

    def __init__(self, state_dir: Path) -> None:
        self._directory = state_dir / DIRECTORY
        self._free: list[Note] = []
        _journals.add(self)

    def begin(self, table: ClockTable, slots: Sequence[int]) -> Note:
        """Note that these slots may be due before they are purged. Raises OSError when it can't be noted."""
        try:
            note = self._free.pop()
        except IndexError:
            note = Note(self._directory)
        if not note.is_there():
            note.leave()
            note = Note(self._directory)
        note.write(table.name, slots)
        table.expect()
        return note

    def end(self, note: Note) -> None:
        """They are purged, or were not due after all."""
        note.empty()
        if note.is_there():
            self._free.append(note)

    def close(self) -> None:
        """Let go of all notes that are not in use."""
        while self._free:
            self._free.pop().leave()

    def _after_fork(self) -> None:
        self._free = []


def settle(state_dir: Path, table: ClockTable, now: float | None = None) -> int:
    """Purge what dead processes had noted and may not have purged; how many notes that was.

    To be called at the start of whoever has the clock, and every second by one of them. `now`: seconds since
    the epoch. Raises OSError of what can't be read, when the rest is done.
    """
    settled = 0
    failure: OSError | None = None
    try:
        with os.scandir(state_dir / DIRECTORY) as found:
            paths = [entry.path for entry in found]
    except FileNotFoundError:
        return 0
    for path in paths:
        try:
            settled += _settle(path, table, int(time() if now is None else now))
        except (FileNotFoundError, BlockingIOError):
            pass  # another one settled it, or its process lives
        except OSError as error:
            failure = error
    if failure is not None:
        raise failure
    return settled


def is_pending(state_dir: Path) -> bool:
    """Whether anything is noted there by anybody."""
    try:
        with os.scandir(state_dir / DIRECTORY) as found:
            paths = [entry.path for entry in found]
    except FileNotFoundError:
        return False
    for path in paths:
        try:
            with open(path, "rb") as file:
                head = file.read(8 * _HEADER_WORDS)
        except FileNotFoundError:
            continue
        if len(head) == 8 * _HEADER_WORDS and memoryview(head).cast("Q")[_COUNT]:
            return True
    return False


def _settle(path: str, table: ClockTable, now: int) -> bool:
    """Settle one note; whether anything was due. Raises BlockingIOError when somebody has it."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink == 0:
            return False
        data = os.pread(fd, _SIZE, 0)
        words = memoryview(data.ljust(_SIZE, b"\0"))[: 8 * _HEADER_WORDS].cast("Q")
        count, found, due = words[_COUNT], words[_FOUND], words[_DUE]
        if len(data) < _SIZE or not count:  # its process died while it made it, or when it had no use for it
            os.unlink(path)
            return False
        if words[_MAGIC_WORD] != _MAGIC or b"%016x" % words[_CLOCK] != table.name or count > MOST_SLOTS:
            # Where these slots are in our clock, nobody knows.
            table.purge_all()
            os.unlink(path)
            return True
        if found and found <= now < due:
            return False
        slots = memoryview(data)[8 * _HEADER_WORDS :].cast("I")[:count]
        table.purge_slots([slot for slot in slots if slot < table.clock.slots], what=[b"(its process died)"])
        found = min(found or now, now)
        if now - found >= SETTLING_SECONDS:
            os.unlink(path)
        else:
            # After 0, 1, 3, 7, 15, 31 and 60 seconds.
            due = min(now + (now - found) + 1, found + SETTLING_SECONDS)
            os.pwrite(fd, struct.pack("=QQ", found, due), 8 * _FOUND)
        return True
    finally:
        os.close(fd)


def _create(directory: Path) -> tuple[int, str]:
    """A new file in there, locked, and its path."""
    for number in _numbers:
        path = str(directory / f"{os.getpid()}-{number}")
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:  # left by a process that had our number
            continue
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            directory.mkdir(mode=0o700, exist_ok=True)
            continue
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.fstat(fd).st_nlink:
            return fd, path
        os.close(fd)  # somebody took it for a dead process's before we had the lock
    raise AssertionError


_numbers = itertools.count()
_notes: "weakref.WeakSet[Note]" = weakref.WeakSet()
_journals: "weakref.WeakSet[Journal]" = weakref.WeakSet()


def _after_fork() -> None:
    """In the child: notes are its parent's, and so are their locks."""
    for note in list(_notes):
        note.leave()
    for journal in list(_journals):
        journal._after_fork()


os.register_at_fork(after_in_child=_after_fork)
