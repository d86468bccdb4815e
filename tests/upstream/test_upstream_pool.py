"""Connections: reuse, retry, limits, time limits, uploads, hand-over."""

import asyncio
import socket

import pytest

from support.loops import on_loop, until
from support.origins import origin
from uncork.net.loop import current
from uncork.upstream.addresses import Address
from uncork.upstream.exchange import MOST_BUFFERED
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.origins import Origins
from uncork.upstream.pool import Pool, PoolOptions

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
EMPTY = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


def post(length=None):
    framing = b"Transfer-Encoding: chunked" if length is None else b"Content-Length: %d" % length
    return b"POST / HTTP/1.1\r\nHost: h\r\n" + framing + b"\r\n\r\n"


def numbered(peer):
    """A response that names its connection."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % peer.number


async def echo_number(peer):
    while await peer.head():
        await peer.send(numbered(peer))


async def get(pool, **options):
    exchange = await pool.send(GET, method=b"GET", **{"retry": True, **options})
    found = b""
    while data := await exchange.read():
        found += data
    return found


async def failure_of(awaitable):
    with pytest.raises(OriginError) as error:
        await awaitable
    return error.value.failure


# Reuse


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@on_loop
async def test_the_connection_used_last_is_used_next(tcp):
    async with origin(echo_number, tcp=tcp) as address:
        pool = Pool(address)
        first = await asyncio.gather(get(pool), get(pool), get(pool))
        assert sorted(first) == [b"0", b"1", b"2"]
        last = await get(pool)
        for _ in range(5):
            assert await get(pool) == last
        found = pool.snapshot()
        assert (found.open, found.idle, found.opened, found.requests, found.reused) == (3, 3, 3, 9, 6)
        pool.close()
        assert (pool.snapshot().open, pool.snapshot().idle) == (0, 0)


@on_loop
async def test_a_busy_connection_is_not_idle():
    async def script(peer):
        while await peer.head():
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n")
            await go.wait()
            await peer.send(b"x")

    go = asyncio.Event()
    async with origin(script) as address:
        pool = Pool(address)
        one = await pool.send(GET, method=b"GET")
        assert (pool.snapshot().open, pool.snapshot().idle) == (1, 0)
        two = await pool.send(GET, method=b"GET")
        assert (pool.snapshot().open, pool.snapshot().idle) == (2, 0)
        go.set()
        assert await one.read() == await two.read() == b"x"
        assert (pool.snapshot().open, pool.snapshot().idle) == (2, 2)
        pool.close()


@pytest.mark.parametrize("last_words", [b"", b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"])
@on_loop
async def test_an_idle_connection_that_ends_is_dropped(last_words):
    """Source: RFC 9110 §15.5.9 for the 408"""

    async def script(peer):
        await peer.head()
        await peer.send(numbered(peer))
        await go.wait()
        await peer.send(last_words)

    go = asyncio.Event()
    async with origin(script) as address:
        pool = Pool(address)
        assert await get(pool) == b"0"
        go.set()
        await until(lambda: pool.snapshot().open == 0)
        assert pool.snapshot().idle == 0
        assert await get(pool) == b"1"
        assert pool.snapshot().retries == 0
        pool.close()


@on_loop
async def test_idle_connections_are_closed_after_the_limit():
    gone = asyncio.Event()

    async def script(peer):
        await echo_number(peer)
        gone.set()

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(idle_limit=0.1))
        await get(pool)
        await gone.wait()
        assert pool.snapshot().open == 0


@on_loop
async def test_a_retired_pool_keeps_no_connection():
    async with origin(echo_number) as address:
        pool = Pool(address)
        await get(pool)
        pool.retire()
        assert pool.snapshot().open == 0
        assert await get(pool) == b"1"
        assert pool.snapshot().open == 0


# Retry


def closes_on_second(answers=1, before_close=b""):
    """Answers so many requests on its first connection, then closes at the next; later ones answer all."""

    async def script(peer):
        served = 0
        while await peer.head():
            if peer.number == 0 and served == answers:
                await peer.send(before_close)
                return
            await peer.send(numbered(peer))
            served += 1

    return script


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@on_loop
async def test_a_reused_connection_that_closes_before_a_response_is_retried(tcp):
    """Source: RFC 9110 §9.2.2, RFC 9112 §9.3.1"""
    async with origin(closes_on_second(), tcp=tcp) as address:
        pool = Pool(address)
        assert await get(pool) == b"0"
        assert await get(pool) == b"1"
        assert pool.snapshot().retries == 1 and not pool.snapshot().errors
        pool.close()


@on_loop
async def test_a_new_connection_that_closes_is_not_retried():
    async with origin(closes_on_second(answers=0)) as address:
        pool = Pool(address)
        assert await failure_of(get(pool)) is OriginFailure.CLOSED
        assert pool.snapshot().retries == 0


@on_loop
async def test_what_is_not_idempotent_is_not_retried():
    async with origin(closes_on_second()) as address:
        pool = Pool(address)
        await get(pool)
        assert await failure_of(get(pool, retry=False)) is OriginFailure.CLOSED
        assert pool.snapshot().retries == 0


@on_loop
async def test_nothing_is_retried_after_the_first_byte_of_a_response():
    async with origin(closes_on_second(before_close=b"H")) as address:
        pool = Pool(address)
        await get(pool)
        assert await failure_of(get(pool)) is OriginFailure.TRUNCATED
        assert pool.snapshot().retries == 0


@on_loop
async def test_nothing_is_retried_once_its_body_was_asked_for():
    async def body():
        yield b"0\r\n\r\n"

    async with origin(closes_on_second()) as address:
        pool = Pool(address)
        await get(pool)
        sent = pool.send(post(), body(), method=b"PUT", retry=True)
        assert await failure_of(sent) in (OriginFailure.CLOSED, OriginFailure.SEND_FAILED)
        assert pool.snapshot().retries == 0


@on_loop
async def test_a_retry_happens_once():
    async def script(peer):
        if await peer.head() and peer.number == 0:
            await peer.send(numbered(peer))
            await peer.head()

    async with origin(script) as address:
        pool = Pool(address)
        await get(pool)
        assert await failure_of(get(pool)) is OriginFailure.CLOSED
        assert pool.snapshot().retries == 1 and pool.snapshot().errors == {OriginFailure.CLOSED: 1}


@on_loop
async def test_a_post_is_not_sent_into_a_connection_that_is_closed_already():
    """It couldn't be sent again; so the kernel is asked first, for the poll may not have told yet."""

    peers = []

    async def script(peer):
        peers.append(peer)
        await echo_number(peer)

    async with origin(script) as address:
        pool = Pool(address)
        assert await get(pool) == b"0"
        peers[0].sock.shutdown(socket.SHUT_RDWR)
        exchange = await pool.send(post(0), method=b"POST")
        assert exchange.take() == b"1"
        assert (pool.snapshot().retries, pool.snapshot().reused) == (0, 0)
        pool.close()


@on_loop
async def test_a_post_of_which_nothing_was_sent_is_sent_again():
    """Source: RFC 9110 §9.2.2: it is known that the origin hasn't seen it."""
    peers = []

    async def script(peer):
        peers.append(peer)
        await echo_number(peer)

    async with origin(script) as address:
        pool = Pool(address)
        await get(pool)
        peers[0].sock.shutdown(socket.SHUT_RD)  # an idle connection that takes nothing, and looks alive
        exchange = pool.start(post(0), method=b"POST")
        peers[0].sock.shutdown(socket.SHUT_RDWR)
        await exchange.begun()
        assert exchange.take() == b"1" and pool.snapshot().retries == 1
        pool.close()


# Failures


@on_loop
async def test_nobody_listens(tmp_path):
    missing = Address(path=str(tmp_path / "missing.sock"))
    pool = Pool(missing)
    with pytest.raises(OriginError) as error:
        await pool.send(GET, method=b"GET")
    assert error.value.failure is OriginFailure.CONNECT_REFUSED
    assert str(error.value) == f"connect-refused: {missing}: No such file or directory"
    assert (pool.snapshot().open, pool.snapshot().connecting) == (0, 0)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        for host in ("127.0.0.1", "localhost"):
            pool = Pool(Address(host=host, port=unused.getsockname()[1]))
            assert await failure_of(get(pool)) is OriginFailure.CONNECT_REFUSED
            assert pool.snapshot().connecting == 0


@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@on_loop
async def test_a_listener_that_does_not_accept(tcp, tmp_path):
    if tcp:
        listener = socket.create_server(("127.0.0.1", 0), backlog=0)
        address = Address(host="127.0.0.1", port=listener.getsockname()[1])
    else:
        address = Address(path=str(tmp_path / "o.sock"))
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(address.path)
        listener.listen(0)
    with listener:
        pool = Pool(address, PoolOptions(connect_timeout=0.1, response_timeout=0.4))
        failures = await asyncio.gather(*[failure_of(get(pool)) for _ in range(4)])
        assert OriginFailure.CONNECT_TIMEOUT in failures
        assert set(failures) <= {OriginFailure.CONNECT_TIMEOUT, OriginFailure.RESPONSE_TIMEOUT}
        assert (pool.snapshot().open, pool.snapshot().connecting) == (0, 0)


@on_loop
async def test_a_full_backlog_is_waited_for(tmp_path):
    address = Address(path=str(tmp_path / "o.sock"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address.path)
        listener.listen(0)
        listener.setblocking(False)
        pool = Pool(address)
        tasks = [asyncio.create_task(get(pool)) for _ in range(4)]
        await until(lambda: pool.snapshot().connecting >= 2)
        accepted = []
        for _ in tasks:
            sock, _ = await current().sock_accept(listener)
            await current().sock_recv(sock, 1000)
            await current().sock_sendall(sock, EMPTY)
            accepted.append(sock)
        await asyncio.gather(*tasks)
        pool.close()
        for sock in accepted:
            sock.close()


@pytest.mark.parametrize(
    ("sent", "failure"),
    [
        (b"", OriginFailure.RESPONSE_TIMEOUT),
        (b"HTTP/1.1 200 OK\r\n", OriginFailure.READ_TIMEOUT),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", OriginFailure.READ_TIMEOUT),
    ],
)
@on_loop
async def test_an_origin_that_stalls(sent, failure):
    async def script(peer):
        await peer.head()
        await peer.send(sent)
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(response_timeout=0.1, read_timeout=0.1))
        assert await failure_of(get(pool)) is failure
        assert pool.snapshot().open == 0 and pool.snapshot().errors == {failure: 1}


@on_loop
async def test_a_slow_reader_of_ours_does_not_time_out():
    """Nothing was asked of the origin while the buffer was full."""
    size = 4 * MOST_BUFFERED

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(read_timeout=0.1))
        exchange = await pool.send(GET, method=b"GET")
        await until(lambda: exchange.buffered > MOST_BUFFERED)
        await asyncio.sleep(0.3)
        assert exchange.error is None
        assert exchange.buffered <= 2 * MOST_BUFFERED + 65536
        found = 0
        while data := await exchange.read():
            found += len(data)
        assert found == size
        pool.close()


@on_loop
async def test_a_hang_up_while_our_reader_is_slow_costs_nothing():
    size = 3 * MOST_BUFFERED

    async def script(peer):
        peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * size)
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * size)

    async with origin(script) as address:
        pool = Pool(address)
        exchange = await pool.send(GET, method=b"GET")
        await until(lambda: exchange.buffered > MOST_BUFFERED)
        calls = 0
        poll = current().poller.select

        def counted(timeout=None):
            nonlocal calls
            calls += 1
            return poll(timeout)

        current().poller.select = counted
        await asyncio.sleep(0.05)
        assert calls < 10
        found = 0
        while data := await exchange.read():
            found += len(data)
        assert found == size and exchange.complete


# Limits


@on_loop
async def test_connections_are_bounded_and_the_others_wait_in_turn():
    active = most = 0

    async def script(peer):
        nonlocal active, most
        while await peer.head():
            active += 1
            most = max(most, active)
            await asyncio.sleep(0)
            active -= 1
            await peer.send(numbered(peer))

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(max_connections=3))
        order = []

        async def one(number):
            await get(pool)
            order.append(number)

        tasks = [asyncio.create_task(one(number)) for number in range(30)]
        await asyncio.sleep(0)
        assert (pool.snapshot().open, pool.snapshot().waiting) == (3, 27)
        await asyncio.gather(*tasks)
        assert most <= 3 and pool.snapshot().opened == 3
        assert [number // 3 for number in order] == sorted(number // 3 for number in order)
        pool.close()


@on_loop
async def test_the_queue_is_bounded_in_length_and_time():
    async def script(peer):
        await peer.head()
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(max_connections=1, max_waiting=2, wait_timeout=0.1))
        tasks = [asyncio.create_task(failure_of(get(pool))) for _ in range(4)]
        await tasks[3]
        assert tasks[3].result() is OriginFailure.POOL_EXHAUSTED
        assert not any(task.done() for task in tasks[:3])
        assert await tasks[1] is OriginFailure.POOL_EXHAUSTED
        assert await tasks[2] is OriginFailure.POOL_EXHAUSTED
        assert not tasks[0].done() and pool.snapshot().waiting == 0
        pool.close()
        assert await tasks[0] is OriginFailure.ABORTED


@pytest.mark.parametrize("keep", [True, False])
@on_loop
async def test_those_who_left_the_queue_are_passed_over(keep):
    async def script(peer):
        while await peer.head():
            await go.wait()
            await peer.send(EMPTY if keep else EMPTY.replace(b"Content", b"Connection: close\r\nContent"))

    go = asyncio.Event()
    async with origin(script) as address:
        pool = Pool(address, PoolOptions(max_connections=1))
        tasks = [asyncio.create_task(get(pool)) for _ in range(4)]
        await asyncio.sleep(0)
        tasks[1].cancel()
        tasks[2].cancel()
        await asyncio.sleep(0)
        assert pool.snapshot().waiting == 1
        go.set()
        assert await tasks[0] == await tasks[3] == b""
        assert pool.snapshot().requests == 4
        pool.close()


@on_loop
async def test_whoever_is_cancelled_takes_the_connection_along():
    gone = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.closed()
        gone.set()

    async with origin(script) as address:
        pool = Pool(address)
        task = asyncio.create_task(get(pool))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await gone.wait()
        assert pool.snapshot().open == 0


@on_loop
async def test_cancelling_a_connect_frees_its_place(tmp_path):
    address = Address(path=str(tmp_path / "o.sock"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address.path)
        listener.listen(0)
        pool = Pool(address, PoolOptions(max_connections=4))
        tasks = [asyncio.create_task(get(pool)) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        found = pool.snapshot()
        assert (found.open, found.connecting, found.waiting) == (0, 0, 0)


@on_loop
async def test_closing_an_exchange_in_the_middle_of_its_body():
    gone = asyncio.Event()

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")
        await peer.closed()
        gone.set()

    async with origin(script) as address:
        pool = Pool(address)
        exchange = await pool.send(GET, method=b"GET")
        exchange.close()
        exchange.close()
        await gone.wait()
        assert pool.snapshot().open == 0 and not exchange.complete
        assert await exchange.read() in (b"hell", b"")
        assert await failure_of(exchange.read()) is OriginFailure.ABORTED


# Without a task


@on_loop
async def test_a_listener_is_told_of_everything_and_never_before_start_returns():
    async def script(peer):
        while await peer.head():
            await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            await go.wait()
            await peer.send(b"5\r\nworld\r\n0\r\n\r\n")

    go = asyncio.Event()
    told = []
    done = asyncio.Event()

    def listener(exchange):
        told.append((exchange.status, exchange.take(), exchange.complete))
        if exchange.complete:
            done.set()
        go.set()

    async with origin(script) as address:
        pool = Pool(address)
        pool.start(GET, method=b"GET", listener=listener)
        assert not told
        await done.wait()
        assert b"".join(data for _, data, _ in told) == b"helloworld"
        assert told[0] == (200, b"hello", False)
        assert told[-1][2] and not any(complete for _, _, complete in told[:-1])
        pool.close()

    failed = asyncio.get_running_loop().create_future()
    pool.start(GET, method=b"GET", listener=failed.set_result)
    assert not failed.done()
    assert (await failed).error.failure is OriginFailure.CONNECT_REFUSED


@on_loop
async def test_a_listener_may_ask_for_the_next_at_once():
    async with origin(echo_number) as address:
        pool = Pool(address)
        left = 100
        done = asyncio.Event()

        def listener(exchange):
            nonlocal left
            assert exchange.complete and exchange.take() == b"0"
            left -= 1
            if left:
                pool.start(GET, method=b"GET", retry=True, listener=listener)
            else:
                done.set()

        pool.start(GET, method=b"GET", retry=True, listener=listener)
        await done.wait()
        assert pool.snapshot().opened == 1
        pool.close()


# Uploads


@on_loop
async def test_a_body_in_bytes_larger_than_the_kernel_takes():
    async def script(peer):
        await peer.head()
        got = await peer.exactly(3_000_000)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%d" % len(got))
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address)
        exchange = await pool.send(post(3_000_000), b"x" * 3_000_000, method=b"POST")
        assert await exchange.read() == b"3000000"
        assert pool.snapshot().idle == 1
        pool.close()


@on_loop
async def test_a_source_is_asked_no_faster_than_the_origin_reads():
    async def script(peer):
        await peer.head()
        await go.wait()
        got = await peer.exactly(100 * 65536)
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n%d" % len(got))
        await peer.closed()

    asked = 0

    async def body():
        nonlocal asked
        for _ in range(100):
            asked += 1
            yield b"x" * 65536
            yield b""

    go = asyncio.Event()
    async with origin(script) as address:
        pool = Pool(address)
        exchange = pool.start(post(100 * 65536), body(), method=b"POST")
        before = -1
        while asked != before:
            before = asked
            await asyncio.sleep(0.01)
        assert 0 < asked < 50
        go.set()
        await exchange.begun()
        assert asked == 100 and await exchange.read() == b"6553600"
        assert pool.snapshot().idle == 1
        pool.close()


@on_loop
async def test_an_origin_that_reads_no_upload():
    async def script(peer):
        await peer.head()
        await asyncio.Event().wait()

    async def body():
        while True:
            yield b"x" * 65536

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(send_timeout=0.1))
        assert await failure_of(pool.send(post(), body(), method=b"POST")) is OriginFailure.SEND_FAILED
        assert await failure_of(pool.send(post(9_000_000), b"x" * 9_000_000, method=b"POST")) is (
            OriginFailure.SEND_FAILED
        )
        assert pool.snapshot().open == 0


@pytest.mark.parametrize("kept", [True, False], ids=["keeps", "closes"])
@pytest.mark.parametrize("tcp", [False, True], ids=["unix", "tcp"])
@on_loop
async def test_a_response_may_come_before_the_end_of_the_upload(kept, tcp):
    """Source: RFC 9112 §9.5"""
    response = b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nmuch"

    async def script(peer):
        await peer.head()
        await peer.exactly(100_000)
        await peer.send(response)
        if kept:
            await peer.closed()
        else:
            peer.sock.shutdown(socket.SHUT_WR)

    ended = asyncio.Event()

    async def body():
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            ended.set()

    async with origin(script, tcp=tcp) as address:
        pool = Pool(address)
        exchange = await pool.send(post(), body(), method=b"POST")
        assert exchange.status == 413 and await exchange.read() == b"much"
        assert exchange.complete and pool.snapshot().open == 0
        await ended.wait()


@on_loop
async def test_an_upload_and_its_response_at_the_same_time():
    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n")
        for _ in range(3):
            await peer.send(await peer.exactly(5))
        await peer.closed()

    parts = asyncio.Queue()

    async def body():
        while part := await parts.get():
            yield part

    async with origin(script) as address:
        pool = Pool(address)
        parts.put_nowait(b"part0")
        exchange = await pool.send(post(15), body(), method=b"POST")
        assert exchange.status == 200
        for number in range(3):
            found = b""
            while len(found) < 5:
                found += await exchange.read()
            assert found == b"part%d" % number
            parts.put_nowait(b"part%d" % (number + 1) if number < 2 else b"")
        pool.close()


@on_loop
async def test_an_upload_may_wait_for_its_client_longer_than_any_limit_of_ours():
    async def script(peer):
        await peer.head()
        await peer.exactly(2)
        await peer.send(EMPTY)

    async def body():
        yield b"a"
        await asyncio.sleep(0.4)
        yield b"b"

    async with origin(script) as address:
        pool = Pool(address, PoolOptions(response_timeout=0.1, send_timeout=0.1, read_timeout=0.1))
        exchange = await pool.send(post(2), body(), method=b"POST")
        assert exchange.complete
        pool.close()


@on_loop
async def test_a_source_that_fails_fails_the_exchange():
    async def script(peer):
        await peer.head()
        await peer.closed()
        gone.set()

    async def body():
        yield b"5\r\nhello\r\n"
        raise ConnectionAbortedError("the client is gone")

    gone = asyncio.Event()
    async with origin(script) as address:
        pool = Pool(address)
        with pytest.raises(ConnectionAbortedError):
            await pool.send(post(), body(), method=b"POST")
        await gone.wait()
        assert pool.snapshot().open == 0


@on_loop
async def test_expect_100_continue():
    """Source: RFC 9110 §10.1.1"""

    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await peer.exactly(5) == b"hello"
        await peer.send(EMPTY)
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address)
        go = asyncio.Event()

        async def body():
            await go.wait()
            yield b"hello"

        exchange = await pool.send(post(5), body(), method=b"POST", interim=lambda status, _: go.set())
        assert exchange.status == 200 and pool.snapshot().idle == 1
        pool.close()


@on_loop
async def test_closing_in_the_interim_callback():
    async def script(peer):
        await peer.head()
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + EMPTY)
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address)
        exchange = pool.start(GET, method=b"GET", interim=lambda *_: exchange.close())
        assert await failure_of(exchange.begun()) is OriginFailure.ABORTED
        assert pool.snapshot().open == 0


# Hand-over


@on_loop
async def test_upgrade_hands_the_socket_over():
    """Source: RFC 9110 §7.8"""

    async def script(peer):
        await peer.head()
        await peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst words"
        )
        while data := await peer.some():
            await peer.send(data)

    async with origin(script) as address:
        pool = Pool(address)
        exchange = await pool.send(GET, method=b"GET", upgrade=True)
        assert exchange.status == 101 and exchange.fields.get(b"upgrade") == b"echo"
        sock, rest = exchange.hand_over()
        with sock:
            assert rest == b"first words"
            assert pool.snapshot().open == 0
            await current().sock_sendall(sock, b"ping")
            assert await current().sock_recv(sock, 100) == b"ping"
        exchange.close()


@on_loop
async def test_an_upgrade_may_be_given_up_or_refused():
    async def script(peer):
        await peer.head()
        if peer.number == 0:
            await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        else:
            await peer.send(EMPTY)
        await peer.closed()

    async with origin(script) as address:
        pool = Pool(address)
        exchange = await pool.send(GET, method=b"GET", upgrade=True)
        exchange.close()
        assert pool.snapshot().open == 0
        exchange = await pool.send(GET, method=b"GET", upgrade=True)
        assert exchange.status == 200 and exchange.complete and pool.snapshot().idle == 1
        pool.close()


# Several addresses


@on_loop
async def test_the_next_address_is_asked_when_one_refuses(tmp_path):
    dead = Address(path=str(tmp_path / "dead.sock"))
    async with origin(echo_number) as alive:
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            refused = Address(host="127.0.0.1", port=unused.getsockname()[1])
            origins = Origins([dead, refused, alive])
            exchange = await origins.send(post(1), b"x", method=b"POST")
            assert exchange.complete
            exchange = await origins.send(GET, method=b"GET", retry=True)
            assert exchange.complete
        found = origins.snapshot()
        assert [(one.requests, sum(one.errors.values())) for one in found] == [(1, 1), (1, 1), (2, 0)]
        assert found[2].reused == 1
        origins.close()


@on_loop
async def test_all_addresses_refuse(tmp_path):
    addresses = [Address(path=str(tmp_path / name)) for name in "abc"]
    origins = Origins(addresses)
    for _ in range(2):
        assert await failure_of(origins.send(GET, method=b"GET")) is OriginFailure.CONNECT_REFUSED
    assert [one.requests for one in origins.snapshot()] == [2, 2, 2]
    with pytest.raises(ValueError, match="at least one"):
        Origins([])
