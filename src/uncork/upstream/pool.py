"""The connections to one origin address.

Lives here: which connection carries which exchange, opening and keeping connections, the queue for one,
the retry, and the deadlines (a sweep over all connections, so that an exchange needs no timer).
Doesn't know: other addresses, and what is asked.
"""

import asyncio
import errno
import math
import os
import socket
from collections import Counter, deque
from dataclasses import dataclass

from uncork.net.loop import Loop, current
from uncork.upstream.addresses import Address
from uncork.upstream.connection import Connection
from uncork.upstream.exchange import Exchange
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.known import KnownHeads
from uncork.upstream.sending import Sender

# Seconds between two tries of a Unix socket whose queue of connections is full.
_BACKLOG_PAUSE = 0.005


@dataclass(frozen=True, slots=True)
class PoolOptions:
    """Limits of one pool, in one worker process. Times are seconds, kept to within one more second."""

    max_connections: int = 128
    max_waiting: int = 1024  # exchanges that wait for a connection
    wait_timeout: float = 10.0
    connect_timeout: float = 5.0
    send_timeout: float = 60.0  # between two moments in which the origin reads
    response_timeout: float = 60.0  # from the end of the request to the first byte of the response
    read_timeout: float = 60.0  # between two bytes of the response
    idle_limit: float = 4.0  # below the origin's own: uvicorn, node and Apache wait for 5


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """Counters since the start, and what is there now.

    `answered_at` and `failed_at` are when the last response came whole and when the last one failed, for the
    reason `failure`, by the loop's clock; minus infinity before the first.
    """

    address: str
    requests: int
    reused: int  # requests sent on a connection that had served another
    retries: int
    opened: int
    errors: dict[OriginFailure, int]
    open: int
    idle: int
    connecting: int
    waiting: int
    answered_at: float
    failed_at: float
    failure: OriginFailure | None


class Pool(Sender):
    """Connections to one address, for one loop."""

    def __init__(self, address: Address, options: PoolOptions | None = None) -> None:
        self.address = address
        self.options = options = options or PoolOptions()
        self.response_timeout = options.response_timeout
        self.read_timeout = options.read_timeout
        self.send_timeout = options.send_timeout
        self.known = KnownHeads()
        self._idle_limit = options.idle_limit
        self._loop: Loop | None = None
        self._connections: set[Connection] = set()
        self._idle: list[Connection] = []  # the one used last is used next: the others may go
        self._dialing: dict[Exchange, asyncio.Task[None]] = {}
        self._waiting: deque[Exchange] = deque()
        self._pending = _Pending(self)
        self._sweeper: asyncio.TimerHandle | None = None
        self._sweep_interval = min(
            1.0,
            options.wait_timeout / 4,
            options.send_timeout / 4,
            options.response_timeout / 4,
            options.read_timeout / 4,
            options.idle_limit / 4,
        )
        self._retired = False
        self._requests = self._reused = self._retries = self._opened = 0
        self._errors: Counter[OriginFailure] = Counter()
        self.answered_at = self._failed_at = -math.inf
        self._failure: OriginFailure | None = None

    def submit(self, exchange: Exchange) -> None:
        """Send an exchange that was made elsewhere; it may fail before this returns."""
        self._requests += 1
        idle = self._idle
        while idle:
            connection = idle.pop()
            if exchange.retry or connection.alive():
                self._reused += 1
                connection.begin(exchange)
                return
            connection.close()
        if len(self._connections) + len(self._dialing) < self.options.max_connections:
            self._connect(exchange)
        elif len(self._waiting) < self.options.max_waiting:
            exchange.carrier = self._pending
            exchange.deadline = self._bound().time() + self.options.wait_timeout
            self._waiting.append(exchange)
        else:
            self._fail(exchange, OriginFailure.POOL_EXHAUSTED, "too many requests wait for a connection")

    def snapshot(self) -> PoolSnapshot:
        return PoolSnapshot(
            address=str(self.address),
            requests=self._requests,
            reused=self._reused,
            retries=self._retries,
            opened=self._opened,
            errors=dict(self._errors),
            open=len(self._connections),
            idle=len(self._idle),
            connecting=len(self._dialing),
            waiting=len(self._waiting),
            answered_at=self.answered_at,
            failed_at=self._failed_at,
            failure=self._failure,
        )

    def retire(self) -> None:
        """Keep no connection from now on: idle ones are closed, busy ones when their exchange is over."""
        self._retired = True
        for connection in self._idle[:]:
            connection.close()

    def close(self) -> None:
        """Close everything; exchanges that aren't over fail."""
        self.retire()
        for exchange in [*self._waiting, *self._dialing]:  # or the places of these would go to those
            exchange.close()
        for connection in list(self._connections):
            if connection.exchange is not None:
                connection.exchange.close()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # Opening connections

    def _bound(self) -> Loop:
        """The loop; from the first call on, the sweep runs while there is something to sweep."""
        if self._loop is None:
            self._loop = current()
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._sweep_interval, self._sweep)
        return self._loop

    def _connect(self, exchange: Exchange) -> None:
        path = self.address.path
        loop = self._bound()
        if path is not None:
            sock = _socket(socket.AF_UNIX)
            code = sock.connect_ex(path)
            if code == 0:
                self._connected(sock, exchange)
                return
            sock.close()
            if code != errno.EAGAIN:
                self._not_connected(exchange, OriginFailure.CONNECT_REFUSED, os.strerror(code))
                return
        exchange.carrier = self._pending
        self._dialing[exchange] = loop.create_task(self._dial(loop, exchange))

    def _connected(self, sock: socket.socket, exchange: Exchange) -> None:
        self._opened += 1
        connection = Connection(self, sock, self._bound().poller)
        self._connections.add(connection)
        connection.begin(exchange)

    def _not_connected(self, exchange: Exchange, failure: OriginFailure, detail: str) -> None:
        if exchange.elsewhere is not None and exchange.elsewhere(exchange):
            self._count(failure)
        else:
            self._fail(exchange, failure, f"{self.address}: {detail}")

    async def _dial(self, loop: Loop, exchange: Exchange) -> None:
        failure, detail = OriginFailure.CONNECT_REFUSED, ""
        sock = None
        try:
            async with asyncio.timeout(self.options.connect_timeout):
                sock = await (self._dial_unix() if self.address.path is not None else self._dial_tcp(loop))
        except TimeoutError:
            failure, detail = OriginFailure.CONNECT_TIMEOUT, f"{self.options.connect_timeout:g} s"
        except OSError as error:
            detail = error.strerror or str(error)
        finally:
            self._dialing.pop(exchange, None)
        if sock is not None:
            self._connected(sock, exchange)
        else:
            self._serve_waiting()
            self._not_connected(exchange, failure, detail)

    async def _dial_unix(self) -> socket.socket:
        """A listener whose backlog is full is tried again, for a Unix socket can't wait by itself."""
        path = self.address.path
        assert path is not None
        while True:
            sock = _socket(socket.AF_UNIX)
            try:
                sock.connect(path)
            except BlockingIOError:
                sock.close()
            except BaseException:
                sock.close()
                raise
            else:
                return sock
            await asyncio.sleep(_BACKLOG_PAUSE)

    async def _dial_tcp(self, loop: Loop) -> socket.socket:
        found = await loop.getaddrinfo(self.address.host, self.address.port, type=socket.SOCK_STREAM)
        for at, (family, _, _, _, target) in enumerate(found, 1):
            sock = _socket(family)
            try:
                await loop.sock_connect(sock, target)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError:
                sock.close()
                if at == len(found):
                    raise
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        raise OSError(errno.EHOSTUNREACH, "the name has no address")

    # What connections tell

    def released(self, connection: Connection) -> None:
        if self._waiting:
            self._reused += 1
            connection.begin(self._waiting.popleft())
        elif self._retired:
            connection.close()
        else:
            assert self._loop is not None
            connection.deadline = self._loop.poller.now + self._idle_limit
            self._idle.append(connection)

    def gone(self, connection: Connection) -> None:
        self._forget(connection)
        self._serve_waiting()

    def lost(self, connection: Connection, exchange: Exchange, error: BaseException, again: bool) -> None:
        self._forget(connection)
        if again:
            self._retries += 1
            self._connect(exchange)
            return
        if isinstance(error, OriginError):
            self._count(error.failure)
        self._serve_waiting()
        exchange.fail(error)

    def _forget(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _serve_waiting(self) -> None:
        while self._waiting and len(self._connections) + len(self._dialing) < self.options.max_connections:
            self._connect(self._waiting.popleft())

    def _fail(self, exchange: Exchange, failure: OriginFailure, detail: str) -> None:
        self._count(failure)
        exchange.fail(OriginError(failure, detail))

    def _count(self, failure: OriginFailure) -> None:
        self._errors[failure] += 1
        assert self._loop is not None
        self._failed_at = self._loop.poller.now
        self._failure = failure

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._bound().time()
        for connection in [found for found in self._connections if found.deadline <= now]:
            connection.expire()
        while self._waiting and self._waiting[0].deadline <= now:
            self._fail(self._waiting.popleft(), OriginFailure.POOL_EXHAUSTED, "no connection became free")
        if not self._connections and not self._waiting and self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None

    # For exchanges that have no connection yet

    def _give_up(self, exchange: Exchange) -> None:
        task = self._dialing.pop(exchange, None)
        if task is not None:
            task.cancel()
            self._serve_waiting()
        elif exchange in self._waiting:
            self._waiting.remove(exchange)


class _Pending:
    """Carries the exchanges that have no connection yet."""

    __slots__ = ("_pool",)

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def resume(self) -> None:
        pass

    def abort(self, exchange: Exchange) -> None:
        self._pool._give_up(exchange)

    def hand_over(self) -> tuple[socket.socket, bytes]:
        raise AssertionError("there is no connection")


def _socket(family: int) -> socket.socket:
    return socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
