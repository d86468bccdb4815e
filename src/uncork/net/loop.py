"""The asyncio loop, with a short way from epoll to the sockets that are ours.

Lives here: a selector that calls watchers itself, and the loop built on it.
Doesn't know: what a watcher does with its descriptor.

asyncio makes a handle for every event, queues it, and runs it in a context: about a microsecond of each
request. A watcher is called straight from the poll instead. Everything else in asyncio works as ever:
what a watcher schedules runs right after the poll, in the same turn of the loop.
"""

import asyncio
import math
import select
import selectors
from collections.abc import Callable, Coroutine, Mapping
from time import monotonic
from typing import Any, TypeVar

READ = select.EPOLLIN | select.EPOLLRDHUP
WRITE = select.EPOLLOUT

T = TypeVar("T")

Watcher = Callable[[int], None]

_HANGUP = select.EPOLLHUP | select.EPOLLERR
# As many events as one turn takes from the kernel: it bounds how long a turn keeps timers waiting.
_MOST_EVENTS = 256


class Poller(selectors.BaseSelector):
    """An epoll selector with two kinds of clients: asyncio's own registrations, and watchers."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._keys: dict[int, selectors.SelectorKey] = {}
        self._watchers: dict[int, Watcher] = {}
        self.report: Callable[[BaseException], None] | None = None
        self.now = monotonic()

    # Watchers

    def watch(self, fd: int, watcher: Watcher, events: int = READ) -> None:
        """Call `watcher(events)` whenever `fd` has events. It must not block, and should not raise.

        A watcher may be called once for a descriptor number that was closed and given out anew within
        the same turn: a read or write that would block is not an error.
        """
        self._epoll.register(fd, events)
        self._watchers[fd] = watcher

    def rewatch(self, fd: int, events: int) -> None:
        """Change the events; 0 keeps only what the kernel always reports (hang-up and error)."""
        self._epoll.modify(fd, events)

    def replace(self, fd: int, watcher: Watcher) -> None:
        """Hand a watched descriptor to another watcher, its events unchanged."""
        self._watchers[fd] = watcher

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor that is about to be closed: the kernel unregisters it by itself, unless
        a duplicate of it is open."""
        self._watchers.pop(fd, None)

    def unwatch(self, fd: int) -> None:
        """Stop watching; to be called before the descriptor is closed."""
        if self._watchers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    # What asyncio asks of a selector

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd in self._keys:
            raise KeyError(f"{fileobj!r} (descriptor {fd}) is already registered")
        key = selectors.SelectorKey(fileobj, fd, events, data)
        self._epoll.register(fd, _to_epoll(events))
        self._keys[fd] = key
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = self.get_key(fileobj)
        del self._keys[key.fd]
        try:
            self._epoll.unregister(key.fd)
        except OSError:  # closed before it was unregistered: the kernel has forgotten it already
            pass
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        old = self.get_key(fileobj)
        key = selectors.SelectorKey(fileobj, old.fd, events, data)
        if events != old.events:
            self._epoll.modify(old.fd, _to_epoll(events))
        self._keys[old.fd] = key
        return key

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        fd = fileobj if isinstance(fileobj, int) else fileobj.fileno()
        if fd < 0:  # a closed file object: found by identity, as the standard selectors do
            for key in self._keys.values():
                if key.fileobj is fileobj:
                    return key
        return self._keys[fd]

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._keys

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            timeout = -1
        elif timeout <= 0:
            timeout = 0
        else:  # epoll counts milliseconds; rounding down would spin
            timeout = math.ceil(timeout * 1e3) * 1e-3
        try:
            polled = self._epoll.poll(timeout, _MOST_EVENTS)
        except InterruptedError:
            return []
        self.now = monotonic()
        ready = []
        watchers = self._watchers
        for fd, events in polled:
            watcher = watchers.get(fd)
            if watcher is not None:
                try:
                    watcher(events)
                except Exception as error:
                    if self.report is None:
                        raise
                    self.report(error)
            elif (key := self._keys.get(fd)) is not None:
                wanted = 0
                if events & ~select.EPOLLIN:
                    wanted |= selectors.EVENT_WRITE
                if events & ~select.EPOLLOUT:
                    wanted |= selectors.EVENT_READ
                ready.append((key, wanted & key.events))
        return ready

    def close(self) -> None:
        self._epoll.close()
        self._keys.clear()
        self._watchers.clear()


def _to_epoll(events: int) -> int:
    return (select.EPOLLIN if events & selectors.EVENT_READ else 0) | (
        select.EPOLLOUT if events & selectors.EVENT_WRITE else 0
    )


class Loop(asyncio.SelectorEventLoop):
    """An asyncio event loop whose poller takes watchers: `loop.poller.watch(fd, callback)`.

    `loop.poller.now` is the monotonic time of the last poll, in seconds: one clock reading serves all
    requests of a turn.
    """

    def __init__(self) -> None:
        self.poller = Poller()
        super().__init__(self.poller)
        self.poller.report = self._report

    def _report(self, error: BaseException) -> None:
        self.call_exception_handler({"message": "A watcher raised", "exception": error})


def current() -> Loop:
    """The running loop, which must be ours."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, Loop), "Uncork's sockets need uncork.net.loop.Loop"
    return loop


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a loop of ours, as `asyncio.run` does."""
    with asyncio.Runner(loop_factory=Loop) as runner:
        return runner.run(main)
