"""One fetch, many readers, each at its own pace."""

import asyncio
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.loops import on_loop
from uncork.net.loop import run
from uncork.upstream.collapse import Flights, NotShared, Unfinished
from uncork.upstream.failures import OriginError, OriginFailure


async def all_of(reader):
    found = b""
    while data := await reader.read():
        found += data
    return found


@on_loop
async def test_one_leads_and_the_others_follow():
    flights = Flights()
    flight, leads = flights.join(b"k")
    assert leads
    other, leads_other = flights.join(b"k")
    assert other is flight and not leads_other
    different, leads_different = flights.join(b"other")
    assert different is not flight and leads_different and len(flights) == 2


@on_loop
async def test_every_reader_gets_everything_whenever_it_joined():
    flights = Flights()
    flight, _ = flights.join(b"k")

    async def follow():
        followed, leads = flights.join(b"k")
        assert not leads
        with followed.reader() as reader:
            return await reader.head(), await all_of(reader)

    with flight.reader() as own:
        tasks = [asyncio.create_task(follow())]
        await asyncio.sleep(0)
        flight.open("head")
        tasks.append(asyncio.create_task(follow()))
        await asyncio.sleep(0)
        flight.put(b"a")
        flight.put(b"b")
        tasks.append(asyncio.create_task(follow()))
        await asyncio.sleep(0)
        assert flight.followed == 4
        flight.put(b"")
        flight.put(b"c")
        flight.finish()
        assert (own.header, own.complete, await all_of(own)) == ("head", True, b"abc")
    assert await asyncio.gather(*tasks) == [("head", b"abc")] * 3
    assert len(flights) == 0 and flights.join(b"k")[1]


@on_loop
async def test_followers_of_what_is_not_shared_are_told_at_once():
    flights = Flights()
    flight, _ = flights.join(b"k")
    followers = [flight.reader() for _ in range(3)]
    tasks = [asyncio.create_task(follower.head()) for follower in followers]
    await asyncio.sleep(0)
    flight.refuse()
    assert flights.join(b"k")[1]
    for task in tasks:
        with pytest.raises(NotShared):
            await task


@on_loop
async def test_a_failure_reaches_the_followers_after_what_was_put():
    flights = Flights()
    flight, _ = flights.join(b"k")
    early, late = flight.reader(), flight.reader()
    flight.open("head")
    flight.put(b"abc")
    assert await early.read() == b"abc"
    waiting = asyncio.create_task(early.read())
    await asyncio.sleep(0)
    flight.fail(OriginError(OriginFailure.TRUNCATED))
    flight.finish()
    with pytest.raises(OriginError):
        await waiting
    assert await late.head() == "head" and await late.read() == b"abc"
    with pytest.raises(OriginError):
        await late.read()
    assert not late.complete and isinstance(late.error, OriginError)


@on_loop
async def test_a_leader_that_leaves_fails_its_followers_and_is_no_cancellation_of_theirs():
    flights = Flights()

    async def lead():
        flight, _ = flights.join(b"k")
        with flight:
            await asyncio.Event().wait()

    leader = asyncio.create_task(lead())
    await asyncio.sleep(0)
    flight, leads = flights.join(b"k")
    assert not leads
    with flight.reader() as reader:
        leader.cancel()
        with pytest.raises(Unfinished):
            await reader.head()
    assert len(flights) == 0

    flight, _ = flights.join(b"k")
    reader = flight.reader()
    with pytest.raises(OriginError), flight:
        raise OriginError(OriginFailure.CLOSED)
    with pytest.raises(OriginError):
        await reader.head()


@on_loop
async def test_a_follower_that_is_cancelled_harms_nobody():
    flights = Flights()
    flight, _ = flights.join(b"k")
    flight.open("head")

    async def follow():
        with flight.reader() as reader:
            return await all_of(reader)

    tasks = [asyncio.create_task(follow()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.sleep(0)
    assert flight.followed == 2
    flight.put(b"abc")
    flight.finish()
    assert await tasks[0] == await tasks[2] == b"abc"
    assert tasks[1].cancelled()


@on_loop
async def test_a_fetch_is_wanted_while_it_is_stored_or_read():
    flights = Flights()
    flight, _ = flights.join(b"k")
    reader = flight.reader()
    assert flight.wanted
    reader.close()
    reader.close()
    assert not flight.wanted
    flight.open("head", storing=True)
    assert flight.wanted
    with flight.reader():
        flight.stored_no_longer()
        assert flight.wanted
    assert not flight.wanted


@on_loop
async def test_without_a_place_to_read_back_from_the_leader_waits_for_the_slowest():
    flights = Flights(most_kept=10)
    flight, _ = flights.join(b"k")
    flight.open("head")
    slow, fast = flight.reader(), flight.reader()
    flight.put(b"0123456789")
    await flight.room()
    assert not flights.join(b"k")[1]
    flight.put(b"abc")
    assert flights.join(b"k")[1], "nobody can start at the first byte any longer"
    waiting = asyncio.create_task(flight.room())
    assert await fast.read() == b"0123456789abc"
    await asyncio.sleep(0)
    assert not waiting.done()
    assert slow.take() == b"0123456789abc"
    await waiting
    flight.put(b"x" * 30)
    waiting = asyncio.create_task(flight.room())
    assert await fast.read() == b"x" * 30
    await asyncio.sleep(0)
    assert not waiting.done()
    slow.close()
    await waiting
    fast.close()
    flight.put(b"y" * 30)
    await flight.room()


@on_loop
async def test_what_was_written_is_read_back(tmp_path):
    fd = os.open(tmp_path / "page", os.O_RDWR | os.O_CREAT)
    released = []
    flights = Flights(most_kept=1000)
    flight, _ = flights.join(b"k")
    flight.open(
        "head",
        storing=True,
        read_back=lambda offset, count: os.pread(fd, count, offset),
        released=lambda: released.append(os.close(fd)),
    )
    keeps_up, slow = flight.reader(), flight.reader()
    whole = b""
    for number in range(200):
        data = b"%d," % number * 20
        os.write(fd, data)
        flight.put(data)
        await flight.room()
        whole += data
        assert keeps_up.take() == data
        assert sum(map(len, flight._chunks)) <= 1000
    late, leads = flights.join(b"k")
    assert not leads
    late_reader = late.reader()
    assert whole.startswith(slow.take()) and len(whole) - 1000 <= slow.offset < len(whole)
    flight.finish()
    slow.close()
    assert await all_of(late_reader) == whole
    keeps_up.close()
    assert not released
    late_reader.close()
    assert len(released) == 1


@on_loop
async def test_what_can_not_be_read_back_fails_its_reader_alone():
    flights = Flights(most_kept=10)
    flight, _ = flights.join(b"k")
    flight.open("head", read_back=lambda offset, count: b"")
    slow, fast = flight.reader(), flight.reader()
    flight.put(b"x" * 8)
    assert fast.take() == b"x" * 8
    flight.put(b"y" * 8)
    with pytest.raises(Unfinished):
        slow.take()
    assert fast.take() == b"y" * 8


@on_loop
async def test_a_listener_is_told_without_a_task():
    flights = Flights()
    flight, _ = flights.join(b"k")
    told = []
    reader = flight.reader()
    reader.listener = lambda it: told.append((it.header, it.take(), it.complete))
    flight.open("head")
    flight.put(b"a")
    flight.put(b"b")
    flight.finish()
    assert told == [("head", b"", False), ("head", b"a", False), ("head", b"b", False), ("head", b"", True)]
    reader.close()


@settings(max_examples=60, deadline=None)
@given(
    chunks=st.lists(st.binary(max_size=40), max_size=30),
    paces=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    most_kept=st.integers(1, 100),
    stored=st.booleans(),
)
def test_readers_of_any_pace_get_the_same_bytes(chunks, paces, most_kept, stored):
    async def main():
        flights = Flights(most_kept=most_kept)
        written = bytearray()
        released = []
        flight, _ = flights.join(b"k")

        async def lead():
            with flight:
                flight.open(
                    "head",
                    storing=stored,
                    read_back=(lambda at, count: bytes(written[at : at + count])) if stored else None,
                    released=lambda: released.append(True),
                )
                for chunk in chunks:
                    written.extend(chunk)
                    flight.put(chunk)
                    await flight.room()
                    assert sum(map(len, flight._chunks)) <= most_kept
                flight.finish()

        async def follow(reader, pace):
            with reader:
                found = b""
                while data := await reader.read():
                    found += data
                    for _ in range(pace):
                        await asyncio.sleep(0)
                return found

        readers = [flight.reader() for _ in paces]
        results = await asyncio.gather(lead(), *map(follow, readers, paces))
        assert results[1:] == [b"".join(chunks)] * len(paces)
        assert released == [True] and len(flights) == 0

    run(main())
