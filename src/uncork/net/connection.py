"""One accepted socket: receiving, sending bytes and files, and closing, without ever blocking.

Lives here: what is still to be sent, when the socket is read and when it is not, and the end of a
connection. Doesn't know: HTTP.

Bytes go out at once where the kernel takes them; what is left waits in a queue, and while it waits
nothing is read (a client that doesn't read gets no more answers). A file goes out by sendfile(2) in
slices, so that a fast reader of a large file leaves turns for the others.
"""

import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from uncork.net.loop import READ, WRITE, Loop, Watcher

# One read: more than a browser's head and less than malloc takes from mmap.
RECEIVE_BYTES = 64 * 1024
# One sendfile: what one connection may hand to the kernel in one turn of the loop. As in lighttpd: sending
# 10 MiB costs 1.6 ms so, and 2.6 ms in slices of 1 MiB.
SLICE_BYTES = 256 * 1024
# How long a client that isn't heard to its end may go on sending before its connection is closed: without
# a pause of 2 s, and 30 s in all. nginx's lingering_timeout and lingering_time are 5 s and 30 s. Seconds.
_LINGER_PAUSE = 2.0
_LINGER = 30.0


@dataclass(slots=True)
class _FileSlice:
    """What is left to send of a file; `done` is called when it is sent or given up."""

    fd: int
    offset: int
    count: int
    done: Callable[[], None] | None

    def finish(self) -> None:
        done, self.done = self.done, None
        if done is not None:
            done()


class Connection:
    """Subclasses answer `on_readable`, `on_sent` and `on_closed`."""

    __slots__ = (
        "__weakref__",
        "_ending",
        "_events",
        "_paused",
        "_queue",
        "_sent",
        "_watched",
        "_watcher",
        "active",
        "closing",
        "fd",
        "loop",
        "poller",
        "receive",
        "send",
        "sock",
    )

    def __init__(self, loop: Loop, sock: socket.SocketType) -> None:
        self.loop = loop
        self.poller = loop.poller
        self.sock = sock
        self.fd = sock.fileno()
        self.receive = sock.recv
        self.send = sock.send
        self.active = self.poller.now  # monotonic seconds of the last progress
        self.closing = False
        self._queue: deque[bytes | memoryview | _FileSlice] | None = None
        self._sent: asyncio.Future[None] | None = None
        self._ending = False  # linger once the queue is empty
        self._events = READ
        self._paused = False
        self._watched = False
        self._watcher: Watcher | None = None  # what is called for the events, if not `on_readable`

    def begin(self) -> None:
        """Read what is there already, which for a new client is often its whole request, and watch the
        socket if that was not the end of it: a connection for one request is never registered."""
        (self._watcher or self.on_readable)(0)
        if not self.closing:
            self._watcher = self._watcher or self.on_readable
            self.poller.watch(self.fd, self._watcher, self._events)
            self._watched = True

    # For subclasses

    def on_readable(self, events: int) -> None:
        """The socket has bytes, or its end, or an error that the next read tells."""
        raise AssertionError("a connection without a protocol")

    def on_sent(self) -> None:
        """The queue has become empty."""

    def on_closed(self, unsent: int) -> None:
        """The socket is closed; so many bytes waited in the queue."""

    # Sending

    @property
    def sending(self) -> bool:
        """Whether something waits in the queue."""
        return self._queue is not None

    def write(self, data: bytes, more: bool = False) -> None:
        """Send now what the kernel takes and keep the rest. `more` corks: a file or more bytes follow."""
        if self._queue is not None:
            self._queue.append(data)
            return
        try:
            sent = self.send(data, socket.MSG_MORE) if more else self.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self.close()
            return
        if sent < len(data):
            self._wait(memoryview(data)[sent:])

    def write_file(self, fd: int, offset: int, count: int, done: Callable[[], None]) -> None:
        """Send part of a file; `done` is called once, when it is sent or the connection is gone."""
        part = _FileSlice(fd, offset, count, done)
        if self.closing:
            part.finish()
        elif self._queue is not None:
            self._queue.append(part)
        elif not self._send_slice(part):
            self._wait(part)

    async def drained(self) -> None:
        """Wait until everything is sent. Raises ConnectionResetError when the connection is gone."""
        if self._queue is not None and not self.closing:
            if self._sent is None:
                self._sent = self.loop.create_future()
            await self._sent
        if self.closing:
            raise ConnectionResetError("the client is gone")

    def _wait(self, part: memoryview | _FileSlice) -> None:
        if self.closing:
            if isinstance(part, _FileSlice):
                part.finish()
            return
        self._queue = deque((part,))
        self._switch(self._on_writable, WRITE)

    def _send_slice(self, part: _FileSlice) -> bool:
        """Send one slice; True when the part is done with (sent, or the connection closed)."""
        if part.count == 0:
            part.finish()
            return True
        try:
            sent = os.sendfile(self.fd, part.fd, part.offset, min(part.count, SLICE_BYTES))
        except BlockingIOError:
            return False
        except OSError:
            sent = 0
        if sent == 0:  # an error, or the file has become shorter: the promised length can't be kept
            part.finish()
            self.close()
            return True
        part.offset += sent
        part.count -= sent
        if part.count == 0:
            part.finish()
            return True
        return False

    def _on_writable(self, events: int) -> None:
        queue = self._queue
        assert queue is not None
        self.active = self.poller.now
        while queue:
            part = queue[0]
            if isinstance(part, _FileSlice):
                if not self._send_slice(part):
                    return
            else:
                try:
                    sent = self.send(part, socket.MSG_MORE) if len(queue) > 1 else self.send(part)
                except BlockingIOError:
                    return
                except OSError:
                    self.close()
                    return
                if sent < len(part):
                    queue[0] = memoryview(part)[sent:]
                    return
            if self.closing:
                return
            queue.popleft()
        self._queue = None
        self._switch(self.on_readable, 0 if self._paused else READ)
        if self._sent is not None:
            self._sent.set_result(None)
            self._sent = None
        if self._ending:
            self.linger()
        else:
            self.on_sent()

    # Reading

    def pause(self) -> None:
        """Read no more for now, nor after what is queued was sent; hang-ups are still told."""
        self._paused = True
        if self._queue is None:
            self._set_events(0)

    def resume(self) -> None:
        """Read again."""
        self._paused = False
        if self._queue is None:
            self._set_events(READ)

    def _switch(self, watcher: Watcher, events: int) -> None:
        self._watcher = watcher
        if self._watched:
            self.poller.replace(self.fd, watcher)
        self._set_events(events)

    def _set_events(self, events: int) -> None:
        if events != self._events and not self.closing:
            self._events = events
            if self._watched:
                self.poller.rewatch(self.fd, events)

    # The end

    def linger(self) -> None:
        """Close once the client has read what was sent: say the end, then read and drop what still comes,
        for a while. Closing with unread bytes would reset the connection, and the client might
        lose the answer. Source: RFC 9112 §9.6"""
        if self._queue is not None:
            self._ending = True
            return
        if self.closing:
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        self._switch(self._on_lingering, READ)
        self.active = self.poller.now
        self.loop.call_later(_LINGER_PAUSE, self._lingered, self.active + _LINGER)

    def _lingered(self, until: float) -> None:
        now = self.loop.time()
        pause_ends = self.active + _LINGER_PAUSE
        if now >= min(pause_ends, until):
            self.close()
        elif not self.closing:
            self.loop.call_later(min(pause_ends, until) - now, self._lingered, until)

    def _on_lingering(self, events: int) -> None:
        try:
            if self.receive(RECEIVE_BYTES):
                self.active = self.poller.now
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.close()

    def close(self) -> None:
        """Close now. What was not sent is lost."""
        if self.closing:
            return
        self.closing = True
        self.poller.forget(self.fd)
        self._watcher = None  # a method of ours: left here, it would keep us for the garbage collector
        queue, self._queue = self._queue, None
        unsent = 0
        for part in queue or ():
            if isinstance(part, _FileSlice):
                unsent += part.count
                part.finish()
            else:
                unsent += len(part)
        self.sock.close()
        if self._sent is not None:
            self._sent.set_result(None)
            self._sent = None
        self.on_closed(unsent)
