"""One connection to an origin: bytes out, a response in.

Lives here: a connected, non-blocking socket of our own. It is watched from its first to its last moment,
with no change of what is watched in between unless one side is slow: an exchange is one send and one recv.
Doesn't know: which exchange comes next, how many other connections there are, retries.
"""

import asyncio
import math
import socket
from typing import Protocol

from uncork.net.loop import READ, WRITE, Poller
from uncork.upstream.exchange import MOST_BUFFERED, BodySource, Exchange
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.known import KnownHeads
from uncork.upstream.reading import Phase, ResponseReader

# Bytes asked of the kernel at once: while a head is awaited, and while a large body runs.
_SMALL_READ = 64 * 1024
_LARGE_READ = 256 * 1024


class Owner(Protocol):
    """The pool, as a connection sees it. The times are seconds."""

    known: KnownHeads
    response_timeout: float
    read_timeout: float
    send_timeout: float
    answered_at: float
    """When a response last came whole, by the poller's clock."""

    def released(self, connection: "Connection") -> None:
        """Its exchange is over, and it can carry another one."""

    def gone(self, connection: "Connection") -> None:
        """It is closed, or no longer HTTP, and nobody is to be told."""

    def lost(self, connection: "Connection", exchange: Exchange, error: BaseException, again: bool) -> None:
        """It is closed, and `exchange` was not told yet. `again`: the request may be sent once more."""


class Connection(ResponseReader):
    __slots__ = (
        "_fd",
        "_out",
        "_owner",
        "_paused",
        "_poller",
        "_pump",
        "_recv",
        "_room",
        "_send",
        "_send_error",
        "_sent",
        "_socket",
        "deadline",
        "served",
    )

    def __init__(self, owner: Owner, sock: socket.socket, poller: Poller) -> None:
        super().__init__(owner.known)
        self._owner = owner
        self._socket = sock
        self._fd = sock.fileno()
        self._send = sock.send
        self._recv = sock.recv
        self._poller = poller
        self.served = 0  # exchanges that ended well
        self.deadline = math.inf  # by the poller's clock; what it means depends on the phase
        self._out = b""  # what the kernel did not take yet
        self._room: asyncio.Future[None] | None = None  # done when it took all of it
        self._pump: asyncio.Task[None] | None = None
        self._send_error: OSError | None = None
        self._sent = False  # the kernel took a byte of this request
        self._paused = False  # not read, for its reader is slow
        poller.watch(self._fd, self.on_events, READ)

    # A request goes out

    def begin(self, exchange: Exchange) -> None:
        """Send the request. Never raises: what goes wrong is told when the next event comes, for a
        response may be there though the origin stopped reading. Source: RFC 9112 §9.5
        """
        self.expect(exchange)
        exchange.carrier = self
        exchange.reused = self.served > 0
        self.deadline = self._poller.now + self._owner.response_timeout
        data = exchange.head
        body = exchange.body
        if body is not None:
            if isinstance(body, bytes):
                data += body
            else:
                self._pump = asyncio.get_running_loop().create_task(self._pump_body(exchange, body))
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._sent = False
            self._send_error = error
            return
        self._sent = True
        if sent < len(data):
            self._wait_for_room(data[sent:])

    def alive(self) -> bool:
        """Whether the peer of an idle connection hasn't closed it by now (one system call)."""
        try:
            self._recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            pass
        return False

    def _wait_for_room(self, data: bytes) -> None:
        self._out = data
        self.deadline = self._poller.now + self._owner.send_timeout
        if self._paused:
            self._poller.watch(self._fd, self.on_events, WRITE)
        else:
            self._poller.rewatch(self._fd, READ | WRITE)

    def _flush(self) -> None:
        try:
            sent = self._send(self._out)
        except BlockingIOError:
            return
        except OSError as error:
            self._send_error = error
            sent = len(self._out)
        self._out = self._out[sent:]
        self.deadline = self._poller.now + self._owner.send_timeout
        if self._out:
            return
        if self._paused:
            self._poller.unwatch(self._fd)
        else:
            self._poller.rewatch(self._fd, READ)
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._await_response()

    async def _pump_body(self, exchange: Exchange, source: BodySource) -> None:
        try:
            await self._wait_sent()
            if self._send_error is None:
                exchange.consumed = True
                async for data in source:
                    if data and self._send_error is None:
                        self._write(data)
                        await self._wait_sent()
                    if self._send_error is not None:
                        break
        except Exception as error:
            self._pump = None
            if self.exchange is exchange:
                self._close()
                self._owner.lost(self, exchange, error, False)
            return
        self._pump = None
        self._await_response()

    def _write(self, data: bytes) -> None:
        try:
            sent = self._send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._send_error = error
            return
        if sent < len(data):
            self._wait_for_room(data[sent:])

    async def _wait_sent(self) -> None:
        if self._out:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None
        self.deadline = math.inf  # the source of a body has time limits of its own

    def _await_response(self) -> None:
        owner = self._owner
        limit = owner.response_timeout if self.head_size == 0 else owner.read_timeout
        self.deadline = math.inf if self._paused else self._poller.now + limit

    # A response comes in

    def on_events(self, events: int) -> None:
        if events & WRITE and self._out:
            self._flush()
        if self._paused or not events & ~WRITE:
            return
        try:
            data = self._recv(_LARGE_READ if self.left > _SMALL_READ else _SMALL_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._ended(error)
            return
        exchange = self.exchange
        if exchange is None:  # an idle connection: closed by the origin, or out of step
            self._close()
            self._owner.gone(self)
            return
        if not data:
            self._ended(None)
            return
        try:
            self.receive(data)
        except Exception as error:
            self._lose(exchange, error)
            return
        if self.phase is Phase.BODY:
            if self._pump is None and not self._out:
                self.deadline = self._poller.now + self._owner.read_timeout
            if exchange.buffered > MOST_BUFFERED:
                self._pause()
            exchange.notify()
        elif self.phase is Phase.END:
            self._finish(exchange)
        elif self._pump is None and not self._out:
            self.deadline = self._poller.now + self._owner.read_timeout

    def _finish(self, exchange: Exchange) -> None:
        self._owner.answered_at = self._poller.now
        if exchange.status == 101:
            self._pause()
            exchange.notify()
            return
        exchange.complete = True
        exchange.carrier = None
        self.exchange = None
        if (
            self.keep
            and not self.surplus
            and self._pump is None
            and not self._out
            and self._send_error is None
        ):
            self.phase = Phase.IDLE
            self.served += 1
            self._owner.released(self)
        else:
            self._close()
            self._owner.gone(self)
        exchange.notify()

    def _ended(self, error: OSError | None) -> None:
        exchange = self.exchange
        if exchange is None:
            self._close()
            self._owner.gone(self)
            return
        try:
            self.end()
        except OriginError as failed:
            self._lose(exchange, failed)
            return
        if error is None:
            self._finish(exchange)
        else:
            self._lose(exchange, OriginError(OriginFailure.TRUNCATED, str(error)))

    def _lose(self, exchange: Exchange, error: Exception) -> None:
        again = False
        if self.head_size == 0 and isinstance(error, OriginError) and error.failure is OriginFailure.CLOSED:
            # Nothing was answered. Source: RFC 9110 §9.2.2, RFC 9112 §9.3.1
            again = exchange.reused and not exchange.consumed and (exchange.retry or not self._sent)
            if self._send_error is not None:
                error = OriginError(OriginFailure.SEND_FAILED, str(self._send_error))
        self._close()
        self._owner.lost(self, exchange, error, again)

    def expire(self) -> None:
        """`deadline` has passed."""
        exchange = self.exchange
        if exchange is None:
            self._close()
            self._owner.gone(self)
        elif self._out:
            self._lose(exchange, OriginError(OriginFailure.SEND_FAILED, "the origin does not read"))
        elif self.head_size == 0:
            self._lose(exchange, OriginError(OriginFailure.RESPONSE_TIMEOUT))
        else:
            self._lose(exchange, OriginError(OriginFailure.READ_TIMEOUT))

    def close(self) -> None:
        """Close an idle connection."""
        self._close()
        self._owner.gone(self)

    # For the exchange

    def resume(self) -> None:
        if not self._paused:
            return
        self._paused = False
        if self._out:
            self._poller.rewatch(self._fd, READ | WRITE)
        else:
            self._poller.watch(self._fd, self.on_events, READ)
            if self._pump is None:
                self._await_response()

    def abort(self, exchange: Exchange) -> None:
        self._close()
        self._owner.gone(self)

    def hand_over(self) -> tuple[socket.socket, bytes]:
        self._detach()
        self._owner.gone(self)
        return self._socket, self.rest

    def _pause(self) -> None:
        """The socket is not watched at all, for a hang-up would be told again and again."""
        if self._paused:
            return
        self._paused = True
        self.deadline = math.inf
        if self._out:
            self._poller.rewatch(self._fd, WRITE)
        else:
            self._poller.unwatch(self._fd)

    def _detach(self) -> None:
        self.phase = Phase.CLOSED
        self.exchange = None
        self.deadline = math.inf
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None
        self._poller.unwatch(self._fd)
        del self._parser  # it holds this connection's methods

    def _close(self) -> None:
        self._detach()
        self._socket.close()
