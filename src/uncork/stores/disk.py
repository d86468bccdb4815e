"""Pages as files of a directory, shared by all processes of the machine.

Lives here: reading, writing and replacing page files, damaged ones included.
Doesn't know: the layout of a page file (`pages.pagefile`), and which files must go (`stores.sweeping`).

A file gets its name by rename(2) when it is complete, so a crash of any process leaves whole files and
temporary ones. Nothing waits for the disk: a machine that goes down may leave damaged files, and the purge
clock then purges all of them. A file's time of modification says when it was last used.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from time import time

from uncork.pages.keys import union
from uncork.pages.page import Page
from uncork.pages.pagefile import (
    CODINGS,
    DIGEST_SIZE,
    CorruptPage,
    TooLarge,
    decode_head,
    digest,
    encode_head,
    head_length,
)
from uncork.stores.contract import Signpost, Statistics, StoredPage, StoreFull
from uncork.stores.drafts import Draft, Intake
from uncork.stores.places import Places

FIRST_READ = 4096
"""Bytes: a head is rarely longer, and reading less than a page of memory saves nothing."""


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """`touch_after`: seconds after which a page that is used is marked as used again, so that recency is
    known to that precision. `retry_after`: seconds for which a store that was full takes no page."""

    touch_after: float = 900.0
    retry_after: float = 10.0


class DiskStore:
    """A store in the directory `root`, which is made when it isn't there. Raises OSError when it can't be.

    One object belongs to one thread; open it after the fork.
    """

    def __init__(self, root: Path, options: DiskOptions | None = None) -> None:
        options = options or DiskOptions()
        self._touch_after = options.touch_after
        self._counters = Statistics()
        self._places = Places(root)
        self._prefix = self._places.prefix
        self._intake = Intake(self._counters, options.retry_after)

    def lookup(self, key: bytes) -> StoredPage | Signpost | None:
        name = key.hex()
        try:
            fd = os.open(f"{self._prefix}{name[:2]}/{name[2:]}", os.O_RDONLY | os.O_CLOEXEC)
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
            if not -self._touch_after < time() - status.st_mtime < self._touch_after:
                _touch(fd)
            if head.page is None:
                return Signpost(head.names)
            if b"" not in head.bodies:
                raise CorruptPage("a page without a body")
            self._counters.hits += 1
            kept = True
            return StoredPage(head.page, head.names, fd, head.bodies, head.digests)
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
            os.close(self.draft(len(head)).publish(key, head))
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
            os.unlink(self._places.path_of(key))
        except OSError:
            return False
        self._counters.removed += 1
        return True

    def path_of(self, key: bytes) -> str:
        """Where the file of a key is, for who watches whether it is still the same."""
        return self._places.path_of(key)

    def statistics(self) -> Statistics:
        return replace(self._counters)

    def close(self) -> None:
        self._places.close()

    def draft(self, head_size: int) -> Draft:
        """A file for a head of so many bytes. Raises StoreFull."""
        return Draft(self._places, self._intake, head_size)

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
            coding: (length, source.digests[coding])
            for coding, (_, length) in source.bodies.items()
            if coding not in codings
        }
        bodies |= {coding: (len(body), digest(body)) for coding, body in codings.items()}
        head = encode_head(page, names, bodies)
        draft = self.draft(len(head))
        for coding in CODINGS:
            if coding in codings:
                draft.append(codings[coding])
            elif coding in bodies:
                draft.append_from(source.fd, *source.bodies[coding])
        return _opened(draft.publish(key, head), head)

    def _is_at(self, key: bytes, stored: StoredPage) -> bool:
        """Whether the file at the key is this one: a later page must not give way to an older one."""
        try:
            return os.path.samestat(os.stat(self._places.path_of(key)), os.fstat(stored.fd))
        except OSError:
            return False


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
        self._draft = store.draft(self.offset)
        self._digest = blake2b(digest_size=DIGEST_SIZE)

    @property
    def fd(self) -> int:
        return self._draft.fd

    def write(self, chunk: bytes) -> None:
        self._draft.append(chunk)
        self._digest.update(chunk)
        self.length += len(chunk)

    def commit(self) -> StoredPage:
        head = encode_head(self._page, self._names, {b"": (self.length, self._digest.digest())})
        others = self._names_of_others()
        stored = _opened(self._draft.publish(self._key, head), head)
        if others:
            try:
                stored.names = self._store.record(self._key, others)
            except (StoreFull, TooLarge):  # the page is stored; variants that are not found are rendered anew
                pass
        return stored

    def abort(self) -> None:
        self._draft.discard()

    def _names_of_others(self) -> set[bytes]:
        """What was recorded at the key while this page was written."""
        if any(value is not None for _, value in self._page.inputs):
            return set()  # a variant: the names are at the primary key
        entry = self._store.lookup(self._key)
        if isinstance(entry, StoredPage):
            entry.close()
        return set() if entry is None else set(entry.names) - set(self._names)


def _touch(fd: int) -> None:
    try:
        os.utime(fd)
    except OSError:  # read-only, or somebody else's: recency is then unknown, and the page as good
        pass


def _opened(fd: int, head: bytes) -> StoredPage:
    decoded = decode_head(head)
    assert decoded.page is not None
    return StoredPage(decoded.page, decoded.names, fd, decoded.bodies, decoded.digests)
