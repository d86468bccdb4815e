"""Keeping the store of pages within its size, from a process that doesn't serve.

Lives here: when to sweep, and which pages nobody can use any more.
Doesn't know: how a sweep chooses among the others (`stores.sweeping`).

A pass over 600,000 files takes seconds, so the next one comes after a pause of fifty times that long: never
more than 2 % of a core. In between the store may grow beyond its size by what is written meanwhile.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from uncork.caching.freshness import current_age
from uncork.edge.processes import Say
from uncork.pages.clock import Verdict
from uncork.pages.page import Page
from uncork.purging.table import ClockTable
from uncork.stores.sweeping import SweepOptions, SweepReport, sweep

# Between two sweeps of a small store. Seconds.
_PAUSE = 60.0
_PAUSE_PER_SECOND = 50.0
# What is left free on the file system, whatever the store's own limit. Bytes.
_LEAST_FREE = 64 * 1024 * 1024


class Sweeper:
    """Sweeps the store in `root` again and again, in a thread."""

    def __init__(self, root: Path, most_bytes: Callable[[], int], table: ClockTable, say: Say) -> None:
        """`most_bytes` is asked before each sweep: a reload may change it."""
        self._root = root
        self._most_bytes = most_bytes
        self._table = table
        self._say = say
        self.last: SweepReport | None = None

    async def run(self) -> None:
        """Until it is cancelled. A store that can't be swept is told of once."""
        told = False
        pause = _PAUSE
        while True:
            await asyncio.sleep(pause)
            began = time.monotonic()
            try:
                self.last = await asyncio.to_thread(self.sweep)
            except OSError as error:
                if not told:
                    self._say(f"the store of pages can't be swept: {error}")
                    told = True
            pause = max(_PAUSE, _PAUSE_PER_SECOND * (time.monotonic() - began))

    def seen(self) -> dict[str, int] | None:
        """Files and bytes that the last sweep left; None before the first."""
        return None if self.last is None else {"files": self.last.files, "bytes": self.last.bytes}

    def sweep(self) -> SweepReport:
        """One pass, now."""
        return sweep(self._root, SweepOptions(self._most_bytes(), _LEAST_FREE), self._is_expendable)

    def _is_expendable(self, page: Page) -> bool:
        """Purged, or stale for longer than it may stand in for an origin that fails."""
        if self._table.clock.verdict(page.stamp, page.slots) is Verdict.PURGED:
            return True
        freshness = page.freshness
        grace = max(freshness.stale_while_revalidate, freshness.stale_if_error)
        return current_age(freshness, time.time()) > freshness.lifetime + grace
