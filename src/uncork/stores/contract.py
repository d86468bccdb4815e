"""What a store of pages promises.

Lives here: the contract, and the values that pass through it.
Doesn't know: where pages are kept, which page answers a request (`stores.lookup`), and whether a page may
be used (`caching.reuse`, `pages.clock`).
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from uncork.pages.page import Page
from uncork.pages.pagefile import CorruptPage, digest


class StoreFull(Exception):
    """The store can't take a page now: the disk is full, over quota, broken or out of reach.

    `first`: it could until now, so it is worth a line in the log. A client's response never depends on it.
    """

    def __init__(self, reason: str, first: bool) -> None:
        super().__init__(reason)
        self.first = first


@dataclass(slots=True, eq=False)
class StoredPage:
    """A page and its bodies, which stay readable until `close`, whatever becomes of the store.

    `bodies` maps a coding to the offset and length of that body in the file `fd`, in bytes; b"" is the
    identity, which is always there. `digests` maps it to the BLAKE2b digest of that body, 16 bytes. `names`
    are the input names of its primary key, in the page at that key. Whoever got it closes it, or takes over
    its descriptor.
    """

    page: Page
    names: tuple[bytes, ...]
    fd: int
    bodies: dict[bytes, tuple[int, int]]
    digests: dict[bytes, bytes]

    def read(self, coding: bytes = b"") -> bytes:
        """A whole body, compared with its digest. Raises CorruptPage: then remove the page."""
        offset, length = self.bodies[coding]
        body = os.pread(self.fd, length, offset)
        while len(body) < length:
            more = os.pread(self.fd, length - len(body), offset + len(body))
            if not more:
                raise CorruptPage("the body is cut off")
            body += more
        if digest(body) != self.digests[coding]:
            raise CorruptPage("the body is not what was stored")
        return body

    def etag(self) -> bytes:
        """A strong validator of the identity, for a page whose origin gave none. Source: RFC 9110 §8.8.3"""
        return b'"' + self.digests[b""].hex().encode() + b'"'

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


@dataclass(frozen=True, slots=True)
class Signpost:
    """No page, but pages at other keys: `names` are the inputs that select them."""

    names: tuple[bytes, ...]


@dataclass(slots=True)
class Statistics:
    """What a store has done since this process opened it; bytes are of page files."""

    hits: int = 0
    misses: int = 0
    corrupt: int = 0
    read_errors: int = 0
    written: int = 0
    written_bytes: int = 0
    removed: int = 0
    refused: int = 0
    """How often a page was not stored because the store was full."""
    last_refusal: str = field(default="")


class PageWriter(Protocol):
    """Takes the identity body of a page. Nothing is found under its key before `commit`.

    After StoreFull, `commit` or `abort`, nothing is left to do; `abort` may be called at any time.
    """

    def write(self, chunk: bytes) -> None:
        """Append to the body. Raises StoreFull."""

    def commit(self) -> StoredPage:
        """The page is complete: from now on it is found, instead of what was. Raises StoreFull."""

    def abort(self) -> None:
        """Forget all of it."""


class Store(Protocol):
    """Pages by key. Many processes use the same store at once.

    A page is complete or absent, after any crash. Writers of the same key don't wait for each other: the
    last one wins. What is found may be removed by others at any time, and stays readable. No method waits
    for another process.
    """

    def lookup(self, key: bytes) -> StoredPage | Signpost | None:
        """What is at this key. What can't be read is absent; what is corrupt is removed, too."""

    def create(self, key: bytes, page: Page, names: Iterable[bytes] = ()) -> PageWriter:
        """Begin to store a page. `names`: all input names known, for a page at its primary key; those which
        the store has by the time of the commit are kept as well. Raises StoreFull, TooLarge."""

    def record(self, key: bytes, names: Iterable[bytes]) -> tuple[bytes, ...]:
        """See that the primary key carries these input names, besides those that it has; all of them.

        A name may be lost to a writer who does the same at the same time: pages are then missed, never
        mistaken, because each is compared with its own inputs. Raises StoreFull, TooLarge."""

    def freshen(self, key: bytes, stored: StoredPage, page: Page) -> StoredPage | None:
        """Describe the same bodies anew, after a validation; None when another page is at the key by now.
        `stored` stays open. Raises StoreFull, TooLarge."""

    def add_codings(self, key: bytes, stored: StoredPage, codings: Mapping[bytes, bytes]) -> bool:
        """Keep encoded bodies beside the identity of this very page; False when another page is at the key
        by now. Raises StoreFull, and CorruptPage when the identity is damaged."""

    def remove(self, key: bytes) -> bool:
        """Whether there was something to remove."""

    def statistics(self) -> Statistics:
        """A copy of the counters."""

    def close(self) -> None:
        """No other method is called afterwards. Pages that were handed out stay readable."""
