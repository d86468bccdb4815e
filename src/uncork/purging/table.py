"""The purge clock as a file: mapped by every process of the machine, locked by those that purge.

Lives here: opening and creating the file, the lock, what a reboot means, closing.
Doesn't know: what the words mean to a page, which is `pages.clock`'s.

The kernel keeps what a killed process has stored in the mapping, so only the machine can lose a purge. The
file therefore says under which boot of the machine it was written, and whether all of it had reached the
disk ("clean"). A purge under a clean file first makes it unclean, durably. A file that is found under
another boot and not clean may lack purges: then everything is purged.
"""

import fcntl
import mmap
import os
import platform
import threading
import weakref
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from time import time_ns

from uncork.pages import clock as layout
from uncork.pages.clock import EVERYTHING, PurgeClock, clock_words
from uncork.pages.tags import tag_slot
from uncork.purging.history import History

FILE_NAME = "purge.clock"
DEFAULT_SLOTS = 2**20
"""16 MiB of file, of which only what is touched is memory. With a million tags in use, a purge of one also
purges, on average, what has one other."""

MAGIC = int.from_bytes(b"UNCKCLK1", "little")
VERSION = 2
LEAP = 2**40
"""Above any number of purges that a crash of the machine can have kept from the disk."""

_HEADER_BYTES = 8 * layout.HEADER_WORDS
_BOOT_ID_PATH = Path("/proc/sys/kernel/random/boot_id")


class Opening(Enum):
    """What was found when the clock was opened; all but the first two have purged everything."""

    FOUND = "found"
    REBOOTED = "found after a clean reboot"
    CREATED = "created"
    UNCLEAN = "the machine went down with purges that may not have reached the disk"
    MOVED = "the file was copied or restored"
    DAMAGED = "the file was damaged, and made anew"


class ClockTable:
    """The purge clock of a state directory. One object may be used by all threads of a process, and goes
    on working in its forks.

    `clock` is replaced when the file was deleted: keep no reference to it beyond a turn of the loop, and
    call `refresh` about once a second. `opening` says what was found. Raises OSError when the file can't be
    made, an unwritable directory or a full disk included.
    """

    def __init__(
        self, state_dir: Path, slots: int = DEFAULT_SLOTS, boot_id: Callable[[], bytes] | None = None
    ) -> None:
        """`slots` counts only when the file is made; one that exists keeps its size."""
        if not 2 <= slots <= 2**32:
            raise ValueError(f"{slots} slots")
        self.path = state_dir / FILE_NAME
        self._slots = slots
        self._boot_id = boot_id or _read_boot_id
        self.history = History(state_dir)
        self._mutex = threading.Lock()
        self._fd = -1
        with self._mutex:
            self._open()
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        _tables.add(self)

    def slot(self, tag: bytes) -> int:
        """Where a tag stands in this table."""
        return tag_slot(tag, self.clock.slots)

    @property
    def name(self) -> bytes:
        """The clock's own, made with it at random: two processes that know it have the same clock."""
        return b"%016x" % self.clock.words[layout.NAME]

    def purge(self, tags: Iterable[bytes], soft: bool = False) -> int:
        """Purge all pages that have one of these tags; the clock's new value.

        When it returns, every process of the machine refuses them (or, softly, holds them stale).
        """
        slots = self.clock.slots
        tags = list(tags)
        return self.purge_slots([tag_slot(tag, slots) for tag in tags], soft, tags)

    def purge_all(self, soft: bool = False) -> int:
        """Purge every page."""
        return self.purge_slots((EVERYTHING,), soft, (b"everything",))

    def purge_slots(self, slots: Iterable[int], soft: bool = False, what: Iterable[bytes] = ()) -> int:
        """Purge what is in these slots of this table. `what`: what is said of it in the history."""
        with self._mutex:
            # Inside the try: a signal's exception right after the lock was got must not leave it held.
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                if os.fstat(self._fd).st_nlink == 0:
                    self._replace()
                self._soil()
                counter = self.clock.purge(slots, soft)
                self.history.add(counter, what, soft)
                return counter
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def expect(self) -> None:
        """A purge will be due before the machine can be told to forget it: the file is unclean from now on.
        Costs a memory access when it is already."""
        if not self.clock.words[layout.CLEAN]:
            return
        with self._mutex:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                self._soil()
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)

    def refresh(self) -> bool:
        """Look after the file: whether `clock` was replaced, because the file was deleted.

        Also publishes what a purger that was killed half-way had begun. Costs a microsecond.
        """
        clock = self.clock
        if os.fstat(self._fd).st_nlink and clock.words[layout.ANNOUNCED] == clock.words[layout.COUNTER]:
            return False
        with self._mutex:
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                if os.fstat(self._fd).st_nlink == 0:
                    self._replace()
                self.clock.settle()
            finally:
                fcntl.flock(self._fd, fcntl.LOCK_UN)
        return self.clock is not clock

    def close(self, clean: bool = True, awaited: Callable[[], bool] | None = None) -> None:
        """Let go of the file. `clean`: write all of it to the disk first, so that a reboot purges nothing,
        unless others still await a purge: asked last, since who begins to await one looks at the file after.

        May be called while others use the file: their next purge makes it unclean again.
        """
        _tables.discard(self)
        with self._mutex:
            if self._fd < 0:
                return
            self.history.close()
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX)
                self.clock.settle()
                if clean:
                    self._map.flush()
                    self.clock.words[layout.CLEAN] = 1
                    self._map.flush(0, _HEADER_BYTES)
                    if awaited is not None and awaited():
                        self._soil()
            finally:
                os.close(self._fd)  # the lock goes with it
                self._fd = -1
                self.clock.release()
                try:
                    self._map.close()
                except BufferError:  # somebody holds a view: unmapped when the last one goes
                    pass

    def __del__(self) -> None:
        """Who forgets a table may have others still use its memory: only the file is let go."""
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)
            self._fd = -1

    # With the mutex held

    def _soil(self) -> None:
        """Make the file unclean, durably. The lock is held."""
        if self.clock.words[layout.CLEAN]:
            self.clock.words[layout.CLEAN] = 0
            self._map.flush(0, _HEADER_BYTES)

    def _open(self, least: int = 0) -> None:
        """Open or make the file and map it, and take the lock. A new counter starts well above `least`."""
        damaged = False
        while True:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
                status = os.fstat(fd)
                if status.st_nlink == 0:  # deleted while we waited for the lock
                    continue
                slots = self._slots if status.st_size == 0 else _geometry(fd, status.st_size)
                if slots is None:
                    # Never mended in place: others may have it mapped. It is made useless to them instead.
                    least = max(least, _retire(fd, status.st_size))
                    os.unlink(self.path)
                    damaged = True
                    continue
                if status.st_size == 0:
                    # Not sparse: a store into a hole of a full disk would kill the process that purges.
                    os.posix_fallocate(fd, 0, 8 * clock_words(slots))
                self._map_file(slots, status.st_ino)
                self.opening = self._settle_opening(status.st_size == 0, damaged, status.st_ino, least)
                fd, self._fd = self._fd, fd
                return
            finally:
                if fd >= 0:  # the former file's, after a success
                    os.close(fd)

    def _map_file(self, slots: int, inode: int) -> None:
        # Its own descriptor: mmap keeps a copy, and a fork's copy would keep the lock of a dead parent.
        fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_ino != inode:
                raise FileNotFoundError(f"{self.path} was replaced while it was opened")
            self._map = mmap.mmap(fd, 8 * clock_words(slots))
        finally:
            os.close(fd)
        self.clock = PurgeClock(memoryview(self._map).cast("Q"), _fence)

    def _settle_opening(self, empty: bool, damaged: bool, inode: int, least: int) -> Opening:
        """Make the file fit this boot of the machine. The lock is held."""
        words = self.clock.words
        boot = self._boot_id()
        now = (int.from_bytes(boot[:8], "little"), int.from_bytes(boot[8:16], "little"))
        before = (words[layout.BOOT_ID], words[layout.BOOT_ID + 1])
        self.clock.settle()
        while not words[layout.NAME]:
            words[layout.NAME] = int.from_bytes(os.urandom(8), "little")
        if empty:
            opening = Opening.DAMAGED if damaged else Opening.CREATED
            words[layout.VERSION] = VERSION
            words[layout.SLOTS] = self.clock.slots
        elif words[layout.INODE] != inode:
            opening = Opening.MOVED
            words[layout.NAME] = int.from_bytes(os.urandom(8), "little") or 1
        elif before == now:
            return Opening.FOUND
        else:
            opening = Opening.REBOOTED if words[layout.CLEAN] else Opening.UNCLEAN
        if opening is not Opening.REBOOTED:
            words[layout.CLEAN] = 0
            self.clock.start_at(max(time_ns(), words[layout.COUNTER] + LEAP, least + LEAP))
        # After the purge: whoever dies before these words leaves a file that the next one purges.
        words[layout.INODE] = inode
        words[layout.BOOT_ID], words[layout.BOOT_ID + 1] = now
        words[layout.MAGIC] = MAGIC
        return opening

    def _replace(self) -> None:
        """The file was deleted. By the old one, which others still have mapped, no page is valid any more."""
        self.clock.retire()
        self._open(self.clock.words[layout.COUNTER])

    def _after_fork(self) -> None:
        """In the child: a mutex that no thread holds, and a lock that is not shared with the parent."""
        self._mutex = threading.Lock()
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return
        if os.fstat(fd).st_ino == os.fstat(self._fd).st_ino:
            os.dup2(fd, self._fd, inheritable=False)
        os.close(fd)


def _geometry(fd: int, size: int) -> int | None:
    """The number of slots of a whole file, or None when it is damaged."""
    if size < _HEADER_BYTES:
        return None
    words = memoryview(os.pread(fd, _HEADER_BYTES, 0)).cast("Q")
    slots, counter = words[layout.SLOTS], words[layout.COUNTER]
    if words[layout.MAGIC] != MAGIC or words[layout.VERSION] != VERSION or size != 8 * clock_words(slots):
        return None
    # A purge announces the next counter and no other, and no clock has come that far.
    if words[layout.ANNOUNCED] not in (counter, counter + 1) or counter >= 2**63:
        return None
    return slots


def _retire(fd: int, size: int) -> int:
    """Make a damaged file refuse every page, for those who have it mapped; its counter, if it has one."""
    if size < _HEADER_BYTES + 8:
        return 0
    counter = int.from_bytes(os.pread(fd, 8, 8 * layout.COUNTER), "little")
    counter = min(counter, time_ns() + LEAP)  # damaged it may be anything, and there must be room above it
    os.pwrite(fd, layout.NEVER.to_bytes(8, "little"), _HEADER_BYTES)
    os.pwrite(fd, (counter + 1).to_bytes(8, "little"), 8 * layout.COUNTER)
    return counter


def _read_boot_id() -> bytes:
    """16 bytes that are the machine's until it boots again; random ones where the kernel gives none."""
    try:
        return bytes.fromhex(_BOOT_ID_PATH.read_text().strip().replace("-", ""))[:16].ljust(16, b"\0")
    except (OSError, ValueError):
        return os.urandom(16)


def _full_fence() -> None:
    """Order all loads and stores before it with all after it.

    The release of the first pair and the acquisition of the second keep their order, and nothing moves
    over both. Source: Arm Architecture Reference Manual, B2.3 (Load-Acquire, Store-Release)
    """
    for _ in range(2):
        _fence_lock.acquire()
        _fence_lock.release()


# Held for an instant by whoever passes; reentrant, so that a signal handler between the two can pass as well.
_fence_lock = threading.RLock()
_fence = None if platform.machine() in ("x86_64", "AMD64", "i686") else _full_fence

_tables: "weakref.WeakSet[ClockTable]" = weakref.WeakSet()


def _tables_after_fork() -> None:
    global _fence_lock
    _fence_lock = threading.RLock()
    for table in list(_tables):
        table._after_fork()


os.register_at_fork(after_in_child=_tables_after_fork)
