"""One fetch per key: who asks for what is being fetched already reads along.

Lives here: the flights of one process, the bytes of each that are kept in memory, and its readers, each
at its own pace. Doesn't know: HTTP, what the head of a flight is, and where its bytes are stored.

    flight, leads = flights.join(key)
    reader = flight.reader()               # leader and followers alike
    leads:    flight.open(head, …)         # shared; or flight.refuse(): each asks alone
              flight.put(data); await flight.room()
              flight.finish() or flight.fail(error)
    everyone: await reader.head(), then take() or read() until the end, then close()

The fetch is not the leader's client: it goes on while it is `wanted`. A flight of a large body stays
within its limit of memory in one of two ways: bytes that were written elsewhere are read back from there
(`read_back`), or the leader waits for the slowest reader.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Callable
from types import TracebackType
from typing import Generic, TypeVar

from uncork.upstream.failures import retold

# Bytes of one flight that are kept in memory.
MOST_KEPT = 1024 * 1024
# Bytes that one call of read_back is asked for.
_READ_BACK = 256 * 1024

H = TypeVar("H")

ReadBack = Callable[[int, int], bytes]


class NotShared(Exception):
    """The response can't be shared: the follower has to ask for its own."""


class Unfinished(Exception):
    """The leader left without an end; also the failure of read_back to give what was put."""


class Flights(Generic[H]):
    """The fetches that can be joined, by key."""

    def __init__(self, most_kept: int = MOST_KEPT) -> None:
        """`most_kept` is in bytes, for each flight."""
        self._flights: dict[bytes, Flight[H]] = {}
        self._most_kept = most_kept

    def join(self, key: bytes) -> "tuple[Flight[H], bool]":
        """The flight of this key, and whether the caller leads it. A leader must end it, come what may
        (`with flight:` does). A follower must take its reader before anything else runs.
        """
        flight = self._flights.get(key)
        if flight is not None:
            return flight, False
        flight = self._flights[key] = Flight(self, key, self._most_kept)
        return flight, True

    def is_under_way(self, key: bytes) -> bool:
        """Whether there is a flight of this key."""
        return key in self._flights

    def __len__(self) -> int:
        return len(self._flights)

    def leave(self, flight: "Flight[H]") -> None:
        """Nobody joins it from now on."""
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]


class Flight(Generic[H]):
    """One fetch. Of these methods, all but `reader` are the leader's."""

    def __init__(self, flights: Flights[H], key: bytes, most_kept: int) -> None:
        self.key = key
        self.header: H | None = None
        self.length = 0  # bytes that were put
        self.complete = False
        self.error: BaseException | None = None
        self._flights = flights
        self._most_kept = most_kept
        self._chunks: list[bytes] = []
        self._starts: list[int] = []  # where each chunk starts
        self._base = 0  # what lies before was dropped
        self._read_back: ReadBack | None = None
        self._storing = False
        self._readable = False  # what is put can be read back: it need not stay in memory
        self._released: Callable[[], None] | None = None
        self._readers: set[Reader[H]] = set()
        self._room: asyncio.Future[None] | None = None

    def reader(self) -> "Reader[H]":
        """A reader from the first byte on."""
        reader = Reader(self)
        self._readers.add(reader)
        return reader

    @property
    def wanted(self) -> bool:
        """Whether the fetch is worth going on: it is being stored, or somebody reads it."""
        return self._storing or bool(self._readers)

    @property
    def followed(self) -> int:
        """How many readers there are."""
        return len(self._readers)

    def open(
        self,
        head: H,
        *,
        storing: bool = False,
        read_back: ReadBack | None = None,
        released: Callable[[], None] | None = None,
    ) -> None:
        """The head is known and may be shared.

        `read_back(offset, count)` gives at most `count` and at least one of the bytes put before; without
        blocking for long (a file just written). `released` is called once, when the flight has ended and
        its last reader is gone: read_back is not called after that.
        """
        self.header = head
        self._storing = storing
        self._read_back = read_back
        self._readable = read_back is not None
        self._released = released
        self._tell()

    def stored_no_longer(self) -> None:
        """Storing was given up (a full disk): the fetch goes on for its readers only. What is in memory
        stays; what can be read back, too; what is put from now on can't."""
        self._storing = self._readable = False

    def refuse(self) -> None:
        """The response can't be shared: followers are told at once, and the leader goes on without this."""
        self.fail(NotShared())

    def put(self, data: bytes) -> None:
        """More bytes, which read_back can give from now on."""
        if not data:
            return
        self._chunks.append(data)
        self._starts.append(self.length)
        self.length += len(data)
        self._trim()
        self._tell()

    async def room(self) -> None:
        """Wait until there is room for more bytes. Raises nothing; without readers there is always room."""
        while self._full():
            assert self._room is None, "a flight has one leader"
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    def finish(self) -> None:
        """All bytes were put."""
        if not self.complete and self.error is None:
            self.complete = True
            self._ended()

    def fail(self, error: BaseException) -> None:
        """There will be no more: readers get what was put, then the error. Nothing after an end."""
        if not self.complete and self.error is None:
            self.error = retold(error)
            self._ended()

    def __enter__(self) -> "Flight[H]":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """A flight that was not ended has failed; a cancelled leader cancels nobody else."""
        self.fail(error if isinstance(error, Exception) else Unfinished("the fetch was given up"))

    # For its readers

    def read_at(self, offset: int) -> bytes:
        """Bytes from an offset that was put; some, not all."""
        if offset < self._base:
            assert self._read_back is not None
            data = self._read_back(offset, min(_READ_BACK, self._base - offset))
            if not data:
                raise Unfinished("stored bytes can't be read back")
            return data
        at = bisect_left(self._starts, offset)
        return self._chunks[at] if at == len(self._chunks) - 1 else b"".join(self._chunks[at:])

    def advanced(self) -> None:
        """A reader has moved on."""
        if self._room is not None:
            self._trim()
            if not self._full() and not self._room.done():
                self._room.set_result(None)

    def left(self, reader: "Reader[H]") -> None:
        """A reader is gone."""
        self._readers.discard(reader)
        self.advanced()
        self._release()

    def _kept(self) -> int:
        return self.length - self._base

    def _full(self) -> bool:
        return self._kept() > self._most_kept and bool(self._readers)

    def _trim(self) -> None:
        if self._kept() <= self._most_kept:
            return
        if self._readable:
            floor = self.length
        else:
            # Nobody can start at the first byte any longer.
            self._flights.leave(self)
            floor = min((reader.offset for reader in self._readers), default=self.length)
        count = 0
        while count < len(self._chunks) and self._kept() > self._most_kept:
            end = self._starts[count] + len(self._chunks[count])
            if end > floor:
                break
            self._base = end
            count += 1
        del self._chunks[:count], self._starts[:count]

    def _tell(self) -> None:
        for reader in tuple(self._readers):
            reader.notify()

    def _ended(self) -> None:
        self._storing = False
        self._flights.leave(self)
        self._tell()
        self._release()

    def _release(self) -> None:
        if self._released is not None and not self._readers and (self.complete or self.error is not None):
            released, self._released = self._released, None
            released()


class Reader(Generic[H]):
    """One who reads along. `listener(reader)` is called when the head is there, when more bytes are, at
    the end and on failure."""

    __slots__ = ("_flight", "_waiter", "listener", "offset")

    def __init__(self, flight: Flight[H]) -> None:
        self.offset = 0
        self.listener: Callable[[Reader[H]], None] | None = None
        self._flight: Flight[H] = flight
        self._waiter: asyncio.Future[None] | None = None

    @property
    def header(self) -> H | None:
        """The head, when it is there."""
        return self._flight.header

    @property
    def complete(self) -> bool:
        """Whether all bytes are there, taken or not."""
        return self._flight.complete

    @property
    def error(self) -> BaseException | None:
        """Why the end will never come."""
        return self._flight.error

    async def head(self) -> H:
        """Wait for the head. Raises NotShared, or why the fetch failed."""
        flight = self._flight
        while flight.header is None:
            if flight.error is not None:
                raise retold(flight.error)
            await self.changed()
        return flight.header

    def take(self) -> bytes:
        """Bytes that are there; b"" when there are none yet, or no more. Raises what read_back raises."""
        flight = self._flight
        if self.offset == flight.length:
            return b""
        data = flight.read_at(self.offset)
        self.offset += len(data)
        flight.advanced()
        return data

    async def read(self) -> bytes:
        """The next bytes; b"" at the end. Raises why the fetch failed, once all that came was read."""
        flight = self._flight
        while self.offset == flight.length:
            if flight.error is not None:
                raise retold(flight.error)
            if flight.complete:
                return b""
            await self.changed()
        return self.take()

    async def changed(self) -> None:
        """Wait until something happens."""
        assert self._waiter is None, "a reader belongs to one task"
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Read no further; idempotent. The fetch isn't harmed."""
        self.listener = None
        self._flight.left(self)

    def notify(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self.listener is not None:
            self.listener(self)

    def __enter__(self) -> "Reader[H]":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
