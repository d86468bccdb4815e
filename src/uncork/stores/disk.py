"""Pages as files of a directory, shared by all processes of the machine.

Lives here: names, the way from a temporary file to its place, damaged files, a full disk.
Doesn't know: the layout of a page file (`pages.pagefile`), and which files must go (`stores.sweeping`).

    ROOT/ab/cdef…          the file at the key whose hexadecimal form is abcdef…
    ROOT/tmp/lock          held while somebody begins to use the store
    ROOT/tmp/PID-TIME/     one for each process: what it is writing, and a lock that ends with the process

A file gets its name by rename(2) when it is complete, so a crash of any process leaves whole files and
temporary ones. Nothing waits for the disk: a machine that goes down may leave damaged files, and the purge
clock then purges all of them. Its time of modification says when a file was last used.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from errno import ENOENT
from hashlib import blake2b
from itertools import count
from pathlib import Path
from time import monotonic, time, time_ns
from typing import TypeVar

from uncork.pages.keys import union
from uncork.pages.page import Page
from uncork.pages.pagefile import (
    CODINGS,
    DIGEST_SIZE,
    CorruptPage,
    decode_head,
    digest,
    encode_head,
    head_length,
)
from uncork.stores.contract import Signpost, Statistics, StoredPage, StoreFull

T = TypeVar("T")

TEMPORARY = "tmp"
FIRST_READ = 4096
"""Bytes: a head is rarely longer, and reading more of a page of memory costs nothing."""


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """`touch_after`: seconds after which a page that is used is marked as used again, so that recency is
    known to that precision. `retry_after`: seconds for which a store that was full takes no page."""

    touch_after: float = 900.0
    retry_after: float = 10.0


class DiskStore:
    """A store in the directory `root`, which is made when it isn't there. Raises OSError when it can't be.

    One object belongs to one thread; open it after the fork. Opening takes the same time however many
    pages there are.
    """

    def __init__(self, root: Path, options: DiskOptions | None = None) -> None:
        self.root = root
        self._options = options or DiskOptions()
        self._prefix = os.path.join(os.path.abspath(root), "")
        self._counters = Statistics()
        self._serial = count()
        self._full_until = 0.0
        self._home = f"{self._prefix}{TEMPORARY}/{os.getpid()}-{time_ns()}"
        self._lock = -1
        self._make_directories()

    # Reading

    def lookup(self, key: bytes) -> StoredPage | Signpost | None:
        name = key.hex()
        path = f"{self._prefix}{name[:2]}/{name[2:]}"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._counters.misses += 1
            return None
        except OSError:
            self._counters.read_errors += 1
            return None
        kept = False
        try:
            data = os.pread(fd, FIRST_READ, 0)
            if (length := head_length(data)) > len(data):
                data = os.pread(fd, length, 0)
            head = decode_head(data)
            status = os.fstat(fd)
            if head.size != status.st_size:
                raise CorruptPage(f"{status.st_size} bytes of {head.size}")
            if time() - status.st_mtime > self._options.touch_after:
                os.utime(fd)
            if (page := head.page) is None:
                return Signpost(head.names)
            if b"" not in head.bodies:
                raise CorruptPage("a page without a body")
            self._counters.hits += 1
            kept = True
            return StoredPage(page, head.names, fd, head.bodies, head.digests)
        except CorruptPage:
            self._counters.corrupt += 1
            self.remove(key)
            return None
        except OSError:
            self._counters.read_errors += 1
            return None
        finally:
            if not kept:
                os.close(fd)

    # Writing

    def create(self, key: bytes, page: Page, names: Iterable[bytes] = ()) -> "DiskWriter":
        return DiskWriter(self, key, page, tuple(names))

    def record(self, key: bytes, names: Iterable[bytes]) -> tuple[bytes, ...]:
        entry = self.lookup(key)
        wanted = union(() if entry is None else entry.names, names)
        if isinstance(entry, StoredPage):
            try:
                if wanted != entry.names:
                    self._copy(key, entry, entry.page, wanted, {}).close()
            finally:
                entry.close()
        elif entry is None or wanted != entry.names:
            head = encode_head(None, wanted)
            draft = Draft(self, len(head))
            os.close(draft.publish(key, head))
        return wanted

    def freshen(self, key: bytes, stored: StoredPage, page: Page) -> StoredPage | None:
        if not self._is_at(key, stored):
            return None
        return self._copy(key, stored, page, stored.names, {})

    def add_codings(self, key: bytes, stored: StoredPage, codings: Mapping[bytes, bytes]) -> bool:
        stored.read()  # what was made from a damaged body must not get a digest of its own
        if not self._is_at(key, stored):
            return False
        self._copy(key, stored, stored.page, stored.names, codings).close()
        return True

    def remove(self, key: bytes) -> bool:
        try:
            os.unlink(self.path_of(key))
        except OSError:
            return False
        self._counters.removed += 1
        return True

    def statistics(self) -> Statistics:
        return replace(self._counters)

    def close(self) -> None:
        shutil.rmtree(self._home, ignore_errors=True)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def path_of(self, key: bytes) -> str:
        """The file at this key, whether it is there or not."""
        name = key.hex()
        return f"{self._prefix}{name[:2]}/{name[2:]}"

    def _copy(
        self,
        key: bytes,
        source: StoredPage,
        page: Page,
        names: tuple[bytes, ...],
        codings: Mapping[bytes, bytes],
    ) -> StoredPage:
        """Put the bodies of `source`, and these, behind a new head."""
        bodies = {
            coding: (source.bodies[coding][1], source.digests[coding])
            for coding in source.bodies
            if coding not in codings
        }
        bodies |= {coding: (len(body), digest(body)) for coding, body in codings.items()}
        head = encode_head(page, names, bodies)
        draft = Draft(self, len(head))
        for coding in CODINGS:
            if coding in codings:
                draft.append(codings[coding])
            elif coding in bodies:
                draft.append_from(source.fd, *source.bodies[coding])
        return _opened(draft.publish(key, head), head)

    def _is_at(self, key: bytes, stored: StoredPage) -> bool:
        """Whether the file at the key is this one: a later page must not give way to an older one."""
        try:
            return os.path.samestat(os.stat(self.path_of(key)), os.fstat(stored.fd))
        except OSError:
            return False

    # For Draft

    def refuse_if_full(self) -> None:
        """Raises StoreFull while it was found full a short time ago."""
        if self._full_until and monotonic() < self._full_until:
            self._counters.refused += 1
            raise StoreFull(self._counters.last_refusal, first=False)

    def refusal(self, error: OSError) -> StoreFull:
        """What to raise for an error of writing."""
        first = not self._full_until
        self._full_until = monotonic() + self._options.retry_after
        self._counters.refused += 1
        self._counters.last_refusal = error.strerror or str(error)
        return StoreFull(self._counters.last_refusal, first)

    def accepted(self, size: int) -> None:
        self._full_until = 0.0
        self._counters.written += 1
        self._counters.written_bytes += size

    def temporary_path(self) -> str:
        return f"{self._home}/{os.getpid()}-{next(self._serial)}"

    def retried(self, action: Callable[[], T]) -> T:
        """Run it, once more when somebody has removed the directories meanwhile."""
        try:
            return action()
        except FileNotFoundError:
            self._make_directories()
            return action()

    def _make_directories(self) -> None:
        for number in range(256):
            os.makedirs(f"{self._prefix}{number:02x}", mode=0o700, exist_ok=True)
        os.makedirs(f"{self._prefix}{TEMPORARY}", mode=0o700, exist_ok=True)
        # Nobody begins while another one looks for what is left of the dead.
        beginning = os.open(f"{self._prefix}{TEMPORARY}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(beginning, fcntl.LOCK_EX)
            self._remove_homes_of_the_dead()
            os.makedirs(self._home, mode=0o700, exist_ok=True)
            if self._lock < 0 or not os.fstat(self._lock).st_nlink:
                lock = os.open(f"{self._home}/lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if self._lock >= 0:
                    os.close(self._lock)
                self._lock = lock
                fcntl.flock(lock, fcntl.LOCK_EX)
        finally:
            os.close(beginning)

    def _remove_homes_of_the_dead(self) -> None:
        for entry in os.scandir(f"{self._prefix}{TEMPORARY}"):
            if not entry.is_dir(follow_symlinks=False) or entry.path == self._home:
                continue
            try:
                lock = os.open(f"{entry.path}/lock", os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                shutil.rmtree(entry.path, ignore_errors=True)
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            except BlockingIOError:  # its process lives
                pass
            finally:
                os.close(lock)


class Draft:
    """A file on its way: a hole for the head, the bodies, then the head, then its name.

    Every method raises StoreFull, and the temporary file is then gone.
    """

    def __init__(self, store: DiskStore, head_size: int) -> None:
        store.refuse_if_full()
        self._store = store
        self.fd = -1
        self._path = store.temporary_path()
        self.size = head_size
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            self.fd = store.retried(lambda: os.open(self._path, flags, 0o600))
            os.lseek(self.fd, head_size, os.SEEK_SET)
        except OSError as error:
            raise self._failed(error) from error

    def append(self, chunk: bytes) -> None:
        try:
            written = os.write(self.fd, chunk)
            while written < len(chunk):
                written += os.write(self.fd, memoryview(chunk)[written:])
        except OSError as error:
            raise self._failed(error) from error
        self.size += len(chunk)

    def append_from(self, fd: int, offset: int, length: int) -> None:
        try:
            end = offset + length
            while offset < end:
                sent = os.sendfile(self.fd, fd, offset, end - offset)
                if not sent:
                    raise OSError(ENOENT, "The file that was copied is cut off")
                offset += sent
        except OSError as error:
            raise self._failed(error) from error
        self.size += length

    def publish(self, key: bytes, head: bytes) -> int:
        """Give the file its name; its descriptor, which is now the caller's."""
        try:
            if os.pwrite(self.fd, head, 0) != len(head):
                raise OSError("A write fell short")
            self._store.retried(lambda: os.rename(self._path, self._store.path_of(key)))
        except OSError as error:
            raise self._failed(error) from error
        self._store.accepted(self.size)
        fd, self.fd = self.fd, -1
        return fd

    def discard(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
            try:
                os.unlink(self._path)
            except OSError:
                pass

    def _failed(self, error: OSError) -> StoreFull:
        self.discard()
        return self._store.refusal(error)


class DiskWriter:
    """Writes one page. `fd`, `offset` and `length` say where in the unfinished file the body stands, in
    bytes, for those who follow while it is written; `fd` is -1 once it is committed or given up."""

    def __init__(self, store: DiskStore, key: bytes, page: Page, names: tuple[bytes, ...]) -> None:
        self._store = store
        self._key = key
        self._page = page
        self._names = names
        self.offset = len(encode_head(page, names))
        self.length = 0
        self._draft = Draft(store, self.offset)
        self._digest = blake2b(digest_size=DIGEST_SIZE)

    @property
    def fd(self) -> int:
        return self._draft.fd

    def write(self, chunk: bytes) -> None:
        self._draft.append(chunk)
        self._digest.update(chunk)
        self.length += len(chunk)

    def commit(self) -> StoredPage:
        body = (self.length, self._digest.digest())
        head = encode_head(self._page, self._names, {b"": body})
        missing = self._names_recorded_meanwhile()
        fd = self._draft.publish(self._key, head)
        stored = _opened(fd, head)
        if missing:
            self._store.record(self._key, missing)
            stored.names = union(stored.names, missing)
        return stored

    def abort(self) -> None:
        self._draft.discard()

    def _names_recorded_meanwhile(self) -> tuple[bytes, ...]:
        if any(value is not None for _, value in self._page.inputs):
            return ()  # a variant: its names are at the primary key
        entry = self._store.lookup(self._key)
        if entry is None:
            return ()
        if isinstance(entry, StoredPage):
            entry.close()
        return tuple(set(entry.names) - set(self._names))


def _opened(fd: int, head: bytes) -> StoredPage:
    decoded = decode_head(head)
    assert decoded.page is not None
    return StoredPage(decoded.page, decoded.names, fd, decoded.bodies, decoded.digests)
