"""Compressed variants of stored pages, made off the request's path.

Lives here: which pages are worth it, the queue, and the thread that compresses.
Doesn't know: who gets which coding.
"""

import asyncio
import os
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import replace

import brotli

from uncork.caching.directives import may_transform
from uncork.edge.mime import is_compressible
from uncork.net.loop import Loop
from uncork.pages.page import Page
from uncork.pages.pagefile import CorruptPage
from uncork.stores.contract import Store, StoredPage, StoreFull

# Below, the fields that tell of the coding cost more than it saves. Bytes.
LEAST = 500
# Above, one page would keep the thread for seconds. Bytes.
MOST = 8 * 1024 * 1024
# Pages that wait for the thread; more stay as they are until they are stored again.
_MOST_WAITING = 256
# 24 % of a 34 KB page in 0.45 ms; level 11 gains four points and takes forty times as long.
_BROTLI_QUALITY = 5
_GZIP_LEVEL = 6


def is_worth_compressing(page: Page) -> bool:
    """Whether a page of this head gets compressed variants, if it is long enough."""
    return (
        page.status == 200
        and b"content-encoding" not in page.fields
        and is_compressible(page.fields.get(b"content-type") or b"")
        and may_transform(page.fields)
    )


class Compressor:
    """One thread for one worker. The store is used on the loop only."""

    def __init__(self, loop: Loop, store: Store, report: Callable[[str], None]) -> None:
        self._loop = loop
        self._store = store
        self._report = report
        self._waiting: deque[tuple[bytes, StoredPage]] = deque()
        self._task: asyncio.Task[None] | None = None

    def consider(self, key: bytes, stored: StoredPage) -> None:
        """Queue a page that was just stored, if it is worth it. `stored` stays the caller's."""
        length = stored.bodies[b""][1]
        if not LEAST <= length <= MOST or not is_worth_compressing(stored.page):
            return
        if len(self._waiting) >= _MOST_WAITING:
            return
        self._waiting.append((key, replace(stored, fd=os.dup(stored.fd))))
        if self._task is None:
            self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        while self._waiting:
            key, stored = self._waiting.popleft()
            try:
                body = stored.read()
                codings = await asyncio.to_thread(_compressed, body)
                if codings:
                    self._store.add_codings(key, stored, codings)
            except (CorruptPage, StoreFull) as error:
                self._report(f"{stored.page.url.decode('latin-1')}: not compressed: {error}")
            finally:
                stored.close()
        self._task = None


def _compressed(body: bytes) -> dict[bytes, bytes]:
    """The codings that save something. gzip without a time: the same body gives the same bytes."""
    packer = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    made = {
        b"br": brotli.compress(body, quality=_BROTLI_QUALITY),
        b"gzip": packer.compress(body) + packer.flush(),
    }
    return {coding: data for coding, data in made.items() if len(data) < len(body)}
