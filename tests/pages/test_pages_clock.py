"""The purge clock: what a stamp is worth, in every order of events."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.interleaving import Actor, Step, interleavings
from uncork.pages import clock as layout
from uncork.pages.clock import COUNTER, HEADER_WORDS, PurgeClock, Verdict, clock_words

SLOTS = 8


def new_clock(counter: int = 100) -> PurgeClock:
    clock = PurgeClock(memoryview(bytearray(8 * clock_words(SLOTS))).cast("Q"))
    clock.start_at(counter)
    return clock


def test_a_page_is_valid_until_one_of_its_slots_is_purged() -> None:
    clock = new_clock()
    stamp = clock.stamp()
    clock.purge([3])
    assert clock.verdict(stamp, [1, 2]) is Verdict.VALID
    assert clock.verdict(stamp, [1, 3]) is Verdict.PURGED
    assert clock.verdict(clock.stamp(), [1, 3]) is Verdict.VALID


def test_a_soft_purge_leaves_it_stale() -> None:
    clock = new_clock()
    stamp = clock.stamp()
    clock.purge([3], soft=True)
    assert clock.verdict(stamp, [1, 2]) is Verdict.VALID
    assert clock.verdict(stamp, [3]) is Verdict.SOFT
    clock.purge([1])
    assert clock.verdict(stamp, [3, 1]) is Verdict.PURGED
    assert clock.verdict(clock.stamp(), [3]) is Verdict.VALID


@pytest.mark.parametrize(("soft", "verdict"), [(False, Verdict.PURGED), (True, Verdict.SOFT)])
def test_everything_is_in_slot_0(soft: bool, verdict: Verdict) -> None:
    clock = new_clock()
    stamp = clock.stamp()
    clock.purge([layout.EVERYTHING], soft)
    assert clock.verdict(stamp, []) is verdict
    assert clock.verdict(stamp, [1]) is verdict


def test_a_page_from_before_the_beginning_is_purged() -> None:
    assert new_clock(100).verdict(99, []) is Verdict.PURGED


def test_a_page_from_the_future_is_another_clocks() -> None:
    assert new_clock(100).verdict(101, []) is Verdict.PURGED


def test_a_slot_beyond_the_table_is_purged() -> None:
    assert new_clock().verdict(100, [SLOTS]) is Verdict.PURGED


def test_a_purger_that_died_half_way_is_settled() -> None:
    clock = new_clock()
    stamp = clock.stamp()
    clock.words[layout.ANNOUNCED] = stamp + 1
    clock.words[HEADER_WORDS + 3] = stamp + 1  # and there it died
    assert clock.verdict(clock.stamp(), [3]) is Verdict.PURGED
    assert clock.settle()
    assert clock.verdict(stamp, [3]) is Verdict.PURGED
    assert clock.verdict(clock.stamp(), [3]) is Verdict.VALID
    assert not clock.settle()


def test_nothing_is_valid_by_a_retired_clock() -> None:
    clock = new_clock()
    assert not clock.retired
    clock.retire()
    assert clock.retired
    assert clock.verdict(clock.stamp(), []) is Verdict.PURGED


purges = st.tuples(st.lists(st.integers(0, SLOTS - 1), max_size=3), st.booleans())


@given(st.lists(purges | st.none()), st.lists(st.integers(1, SLOTS - 1), max_size=3))
def test_it_agrees_with_a_list_of_purges(history: list[Any], slots: list[int]) -> None:
    """None in the history is a page that is rendered then; what was purged since decides on it."""
    clock = new_clock()
    stamps: list[tuple[int, int]] = []
    for at, event in enumerate(history):
        if event is None:
            stamps.append((at, clock.stamp()))
        else:
            clock.purge(*event)
    for at, stamp in stamps:
        since = [event for event in history[at:] if event is not None and {0, *slots} & set(event[0])]
        expected = Verdict.VALID if not since else Verdict.SOFT
        if any(not soft for _, soft in since):
            expected = Verdict.PURGED
        assert clock.verdict(stamp, slots) is expected


# Interleavings. A writer changes the data and purges, a renderer makes a page, a server serves it.


class Words:
    """The clock's memory, in which a thread's stores, or its loads, of the watched words are its steps."""

    def __init__(self, at: dict[int, int], base: int = 0, watched: set[int] | None = None) -> None:
        self._at, self._base, self._watched = at, base, set() if watched is None else watched
        self.loads: dict[int, Step] = {}
        self.stores: dict[int, Step] = {}

    def __len__(self) -> int:
        return clock_words(SLOTS)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            part = type(self)(self._at, self._base + index.start, self._watched)
            part.loads, part.stores = self.loads, self.stores
            return part
        self._pause(self._base + index, self.loads)
        return self._at.get(self._base + index, 0)

    def __setitem__(self, index: int, value: int) -> None:
        self._pause(self._base + index, self.stores)
        self._at[self._base + index] = value

    def _pause(self, index: int, steps: dict[int, Step]) -> None:
        step = steps.get(threading.get_ident())
        if step is not None and index in self._watched:
            step()


def test_a_fence_stands_between_the_counter_and_the_slots() -> None:
    """For machines that reorder: a reader loads the counter first, a purger stores it last."""
    order: list[str] = []
    names = {COUNTER: "counter", HEADER_WORDS + 3: "slot"}

    class Traced(Words):
        def _pause(self, index: int, steps: dict[int, Step]) -> None:
            order.append(("load " if steps is self.loads else "store ") + names.get(index, "other"))

    clock = PurgeClock(Traced({COUNTER: 100, layout.ANNOUNCED: 100}), lambda: order.append("fence"))  # type: ignore[arg-type]
    clock.verdict(100, [3])
    assert (
        order.index("load counter")
        < order.index("fence")
        < order.index("load other")
        < order.index("load slot")
    )
    order.clear()
    clock.purge([3])
    assert order.index("store slot") < order.index("fence") < order.index("store counter")
    order.clear()
    clock.stamp()
    assert order == ["load counter", "fence"]


class PublishesFirst(PurgeClock):
    """Wrong: the counter before the slots."""

    def purge(self, slots: Any, soft: bool = False) -> int:
        now = self.words[COUNTER] + 1
        self.words[COUNTER] = now
        for slot in slots:
            self._hard[slot] = now
        return now


class World:
    """One page, one tag. `served` holds (whether the purge was acknowledged when the request began, data)."""

    def __init__(self, kind: type[PurgeClock], stamps_late: bool) -> None:
        self.words = Words({COUNTER: 100, layout.ANNOUNCED: 100}, watched={COUNTER, HEADER_WORDS + 3})
        self.clock = kind(self.words)  # type: ignore[arg-type]
        self.stamps_late = stamps_late
        self.data = "old"
        self.acknowledged = False
        self.stored: tuple[int, str] | None = None
        self.served: list[tuple[bool, str]] = []

    def actors(self) -> list[Actor]:
        return [self.write, self.render, self.serve]

    def write(self, step: Step) -> None:
        self.words.stores[threading.get_ident()] = step
        self.data = "new"
        self.clock.purge([3])
        self.acknowledged = True

    def render(self, step: Step) -> None:
        if self.stamps_late:
            data = self.data
            step()
            stamp = self.clock.stamp()
        else:
            stamp = self.clock.stamp()
            step()
            data = self.data
        step()
        self.stored = (stamp, data)

    def serve(self, step: Step) -> None:
        """Two requests: one that checks the page, and one that trusts the memo of that check."""
        self.words.loads[threading.get_ident()] = step
        memo = None
        began_after = self.acknowledged
        if (stored := self.stored) is not None:
            checked_at = self.clock.stamp()
            if self.clock.verdict(stored[0], [3]) is Verdict.VALID:
                self.served.append((began_after, stored[1]))
                memo = (checked_at, stored[1])
        step()
        began_after = self.acknowledged
        if memo is not None and self.words[COUNTER] == memo[0]:
            self.served.append((began_after, memo[1]))


def worlds(kind: type[PurgeClock], stamps_late: bool = False) -> Iterator[World]:
    """How each order of events ends."""
    made: list[World] = []

    def world() -> list[Actor]:
        made.append(World(kind, stamps_late))
        return made[-1].actors()

    for _ in interleavings(world):
        yield made.pop()


def test_no_order_of_events_serves_old_data_after_a_purge() -> None:
    served = [served for world in worlds(PurgeClock) for served in world.served]
    assert (True, "old") not in served
    assert {(False, "old"), (False, "new"), (True, "new")} == set(served)


def test_the_orders_of_events_find_a_counter_that_is_published_first() -> None:
    assert any((True, "old") in world.served for world in worlds(PublishesFirst))


def test_the_orders_of_events_find_a_stamp_that_is_taken_late() -> None:
    assert any((True, "old") in world.served for world in worlds(PurgeClock, stamps_late=True))
