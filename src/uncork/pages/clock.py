"""The purge clock: the arithmetic of validity.

Lives here: the words of the clock, what a purge stores in them, and what a stamp is worth.
Doesn't know: files, locks and reboots, which are `purging.table`'s.

The clock is an array of 64-bit words. In its tables stands, for each slot, the counter's value at the
last purge of any tag in that slot. A page carries its stamp, the counter as it stood before the page's
render began, and the slots of its tags; it is valid while no slot is newer than the stamp.

A purge stores the slots first and then publishes the counter. Whoever reads a counter therefore sees all
purges up to it: when a page was found valid at a counter, and the counter is still the same, it is still
valid, and one comparison says so. A render that began before a purge has an older stamp than the purge,
so what it made is never valid, whenever it is stored. The order needs a machine that shows stores in
their order and does loads in theirs (x86-64); others are given a `fence`.
"""

from collections.abc import Callable, Iterable
from enum import Enum

# The words of the header; `docs/page-file.md` draws them.
MAGIC, VERSION, SLOTS, COUNTER, ANNOUNCED, CLEAN, BOOT_ID, INODE, NAME = 0, 1, 2, 3, 4, 5, 6, 8, 9
HEADER_WORDS = 512
"""4096 bytes, a page of memory: the tables begin at the next."""

EVERYTHING = 0
"""The slot that every page is in."""

NEVER = 2**64 - 1
"""In the slot of everything: no page is valid by this clock any more."""


class Verdict(Enum):
    """What the purge clock says of a page."""

    VALID = "valid"
    SOFT = "purged softly"
    PURGED = "purged"


def clock_words(slots: int) -> int:
    """The length of a clock, in words of 8 bytes."""
    return HEADER_WORDS + 2 * slots


class PurgeClock:
    """The purge clock over `words`, a memoryview of format "Q". All readers and writers share the memory.

    A memo compares `words[COUNTER]` with the counter at which a page was found valid. `fence` is called
    where a machine must not reorder; None where it never does.
    """

    __slots__ = ("_fence", "_hard", "_soft", "slots", "words")

    def __init__(self, words: memoryview, fence: Callable[[], None] | None = None) -> None:
        self.slots = (len(words) - HEADER_WORDS) // 2
        self.words = words
        self._hard = words[HEADER_WORDS : HEADER_WORDS + self.slots]
        self._soft = words[HEADER_WORDS + self.slots : clock_words(self.slots)]
        self._fence = fence

    def stamp(self) -> int:
        """The counter, to be read before a render begins or the page's data is asked for."""
        stamp = self.words[COUNTER]
        if self._fence is not None:
            self._fence()
        return stamp

    def verdict(self, stamp: int, slots: Iterable[int]) -> Verdict:
        """What a page with that stamp and these slots is worth now.

        For a memo, read `stamp()` before this, not after. A stamp that is newer than the counter is
        another clock's. A slot beyond the table, from a table of another size, is purged.
        """
        counter = self.words[COUNTER]
        if self._fence is not None:
            self._fence()
        hard, soft = self._hard, self._soft
        if stamp > counter or hard[EVERYTHING] > stamp:
            return Verdict.PURGED
        softly = soft[EVERYTHING] > stamp
        try:
            for slot in slots:
                if hard[slot] > stamp:
                    return Verdict.PURGED
                if soft[slot] > stamp:
                    softly = True
        except IndexError:
            return Verdict.PURGED
        return Verdict.SOFT if softly else Verdict.VALID

    def purged_since(self, stamp: int, slots: Iterable[int]) -> list[int]:
        """Which of the slots of a page with that stamp were purged since, hard or softly; EVERYTHING is one
        of every page's. For who explains: a verdict is had sooner."""
        return [
            slot
            for slot in (EVERYTHING, *slots)
            if slot < self.slots and max(self._hard[slot], self._soft[slot]) > stamp
        ]

    def purge(self, slots: Iterable[int], soft: bool = False) -> int:
        """Purge every page in these slots; the new counter. Only with the lock of the clock held.

        The counter is announced before the slots are stored: who finds it announced and not published
        knows that a purger died in between (`settle`).
        """
        words = self.words
        now = words[COUNTER] + 1
        words[ANNOUNCED] = now
        table = self._soft if soft else self._hard
        for slot in slots:
            table[slot] = now
        if self._fence is not None:
            self._fence()
        words[COUNTER] = now
        return now

    def purged_at(self, stamp: int, slots: Iterable[int]) -> int | None:
        """The counter of the last purge of a page, hard or soft; None when there was none since its stamp."""
        found = [table[slot] for table in (self._hard, self._soft) for slot in (EVERYTHING, *slots)]
        last = max(found)
        return last if last > stamp else None

    def last_purge(self, slot: int) -> int:
        """The counter of the last purge of a slot, hard or soft."""
        return max(self._hard[slot], self._soft[slot])

    def settle(self) -> bool:
        """Publish the counter of a purger that died on the way; whether there was one. Lock held.

        What it had stored is then purged, and new pages in these slots are valid again. What it had not
        stored it never acknowledged. The next purge does the same: it publishes that very counter.
        """
        words = self.words
        if words[ANNOUNCED] <= words[COUNTER]:
            return False
        words[COUNTER] = words[ANNOUNCED]
        return True

    def start_at(self, counter: int) -> None:
        """Begin anew at a counter above all that were used: every page that exists is purged. Lock held."""
        self._hard[EVERYTHING] = counter
        self.words[ANNOUNCED] = counter
        if self._fence is not None:
            self._fence()
        self.words[COUNTER] = counter

    def retire(self) -> None:
        """No page is valid by this clock any more: another one has taken its place. Lock held."""
        self._hard[EVERYTHING] = NEVER
        self.words[COUNTER] = self.words[ANNOUNCED] = self.words[COUNTER] + 1

    @property
    def retired(self) -> bool:
        return self._hard[EVERYTHING] == NEVER

    def release(self) -> None:
        """Let go of the memory, so that it can be unmapped. Nothing else may be called afterwards."""
        self._hard.release()
        self._soft.release()
        self.words.release()
