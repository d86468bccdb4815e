"""A worker process: one loop, its clients, and the parts it puts together.

Lives here: the composition, accepting, draining, and the second hand.
Doesn't know: other workers (`peers`), and who started it (`channel`).
"""

import asyncio
import gc
import math
import resource
import select
import socket
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from uncork.edge.accesslog import AccessLog
from uncork.edge.brieflog import BriefLog
from uncork.edge.channel import WorkerChannel
from uncork.edge.client import Client
from uncork.edge.fetching import Fetcher, PageOptions
from uncork.edge.forwarding import Forwarder
from uncork.edge.internal import InternalFiles, InternalOptions
from uncork.edge.pages import PageCache
from uncork.edge.peers import Peers
from uncork.edge.purgerequests import PurgeRequests
from uncork.edge.reporting import Reporter
from uncork.edge.service import Service
from uncork.edge.setup import Kind, LogFormat, Setup
from uncork.edge.static import StaticOptions, StaticSite
from uncork.edge.trust import UNIX, TrustedProxies
from uncork.net.loop import Loop, current, run
from uncork.pages.clock import COUNTER
from uncork.purging.table import ClockTable
from uncork.stores.disk import DiskStore
from uncork.upstream.addresses import parse_origin
from uncork.upstream.origins import Origins
from uncork.upstream.pool import PoolOptions
from uncork.wire.requests import Refused

# Connections accepted in one turn of the loop: the rest wait for the next.
_MOST_ACCEPTED = 64
# Connections beyond the limit that are told so at the same time: more are closed without a word.
_MOST_TURNED_AWAY = 256
# How long a connection without a request is kept when this worker is to end: what the client has sent in
# this time is still answered. Seconds.
_DRAIN_IDLE = 3.0


class Worker:
    """`turned` is called each second, to say that the loop turns."""

    def __init__(self, loop: Loop, setup: Setup, report: Reporter, turned: Callable[[], None]) -> None:
        self.loop = loop
        self.setup = setup
        self.report = report
        self._turned = turned
        self.stopped = asyncio.Event()
        self._drain_until = 0.0
        self._drained_since = 0.0
        self._listening: list[socket.socket] = []
        state = Path(setup.state_dir)
        self.proxies = TrustedProxies(setup.trust_forwarded)
        self.log: AccessLog | BriefLog | None = None
        if setup.log.access != "off":
            if setup.log.format is LogFormat.BRIEF:
                self.log = BriefLog(lambda: loop.poller.now)
            else:
                self.log = AccessLog(setup.log.access, setup.log.format, self.proxies)
        static = StaticSite(
            StaticOptions(
                tuple((mount.prefix.encode(), mount.directory) for mount in setup.static),
                symlinks=setup.files.symlinks,
                dot_files=setup.files.dot_files,
                max_age=setup.files.max_age,
                hashed_by=setup.files.hashed_by,
            )
        )
        self.forwarder: Forwarder | None = None
        self.table: ClockTable | None = None
        self.origins: Origins | None = None
        counter: Any = [0]
        pages = None
        if not setup.static_only:
            self.table = ClockTable(state)
            counter = self._counter()
            pages = self._pages(state)
        self.service = Service(
            loop,
            setup.limits,
            static,
            setup.cache.memory_bytes,
            self.log,
            counter,
            pages,
            self.proxies,
        )
        if pages is not None:
            pages.remember = lambda exchange, answer, found, stored: self.service.remember_page(
                exchange, answer, found, stored, lambda: self._table().clock
            )
            pages.remember_pass = self.service.remember_pass
            if setup.purge_token is not None:
                self.service.purges = PurgeRequests(setup.purge_token, self._table())

    def _pages(self, state: Path) -> PageCache:
        setup = self.setup
        cache = setup.cache
        self.origins = self._origins(setup.origins)
        self.store = DiskStore(state / "pages")
        internal = None
        if setup.internal_files:
            internal = InternalFiles(
                InternalOptions(
                    tuple((mount.prefix.encode(), mount.directory) for mount in setup.internal_files)
                )
            )
        forwarder = Forwarder(
            self.origins,
            self.proxies,
            internal,
            cache.keep_tags,
            setup.buffers,
            setup.state_dir,
            self.report,
            time.time,
        )
        self.forwarder = forwarder
        fetcher = Fetcher(
            self.loop,
            PageOptions(
                cache.storing,
                cache.max_page_bytes,
                cache.compress,
                cache.keep_tags,
                cache.request_directives,
            ),
            self.store,
            self._table(),
            forwarder,
            self.report,
        )
        return PageCache(fetcher, Peers(setup.internal_paths, setup.index, setup.origin_seconds))

    def _origins(self, addresses: Iterable[str]) -> Origins:
        setup = self.setup
        options = PoolOptions(
            response_timeout=setup.origin_seconds,
            read_timeout=setup.origin_seconds,
            idle_limit=setup.origin_idle_seconds,
        )
        return Origins([parse_origin(address) for address in addresses], options)

    def _table(self) -> ClockTable:
        assert self.table is not None
        return self.table

    def _counter(self) -> memoryview:
        return self._table().clock.words[COUNTER : COUNTER + 1]

    # Accepting

    def listen(self) -> None:
        for listener in self.setup.listeners:
            kind = socket.AF_UNIX if listener.kind is Kind.UNIX else socket.AF_INET
            self._watch(socket.socket(fileno=listener.fd), kind == socket.AF_UNIX, internal=False)
        if self.setup.internal_fd is not None:
            self._watch(socket.socket(fileno=self.setup.internal_fd), True, internal=True)

    def _watch(self, listening: socket.socket, unix: bool, internal: bool) -> None:
        listening.setblocking(False)
        self._listening.append(listening)
        service, loop = self.service, self.loop
        # socket.accept wraps the descriptor in a class of Python's own, which costs as much as the call.
        accept: Callable[[], tuple[int, Any]] = listening._accept  # type: ignore[attr-defined]
        family = listening.family
        most = service.limits.connections

        # An accept that finds nobody costs as much as one that does. So one turn takes as many as waited
        # in the last, and one more; who waits longer makes the socket readable again.
        batch = 1

        def accept_some(events: int) -> None:
            nonlocal batch
            for count in range(batch):
                try:
                    fd, address = accept()
                except BlockingIOError:
                    batch = max(count, 1)
                    return
                except OSError as error:  # no descriptors left, or the client is gone already
                    if error.errno in (23, 24):
                        self.report(f"can't accept: {error.strerror}")
                        listening_pause()
                    return
                sock = socket.SocketType(family, socket.SOCK_STREAM, 0, fd)
                sock.setblocking(False)
                open_now = len(service.clients)
                if open_now >= most + _MOST_TURNED_AWAY:
                    sock.close()
                    continue
                client = Client(loop, sock, UNIX if unix else address[0].encode(), service, internal)
                if open_now >= most:
                    client.refuse(Refused(503, "too many connections"))
                client.begin()
            batch = min(batch + 1, _MOST_ACCEPTED)

        def listening_pause() -> None:
            """Without descriptors every turn would try again: leave it for a while."""
            loop.poller.rewatch(listening.fileno(), 0)
            loop.call_later(0.1, resume)

        def resume() -> None:
            if listening.fileno() >= 0:
                loop.poller.rewatch(listening.fileno(), select.EPOLLIN)

        # EPOLLEXCLUSIVE: of the workers that share a socket, one is woken for a connection, not all.
        loop.poller.watch(listening.fileno(), accept_some, select.EPOLLIN)

    def drain(self, seconds: float) -> None:
        """Accept no more, answer what was asked, and stop within that time."""
        if self._drain_until:
            return
        now = self.loop.time()
        self._drained_since = now
        self._drain_until = now + seconds
        for listening in self._listening:
            self.loop.poller.unwatch(listening.fileno())
            listening.close()
        self.service.drain()
        self._step_drain()

    def _step_drain(self) -> None:
        now = self.loop.time()
        for client in list(self.service.clients):
            idle = client.exchange is None and not client.sending and not client.head_since
            if idle and now - self._drained_since > _DRAIN_IDLE:
                client.close()
        if not self.service.clients or now >= self._drain_until:
            self.stopped.set()
        else:
            self.loop.call_later(0.05, self._step_drain)

    # Time

    def tick(self) -> None:
        """Once a second, just after it began."""
        if self.table is not None and self.table.refresh():
            self.service.counter = self._counter()
            self.service.hot.clear()
        if self.table is not None and self.forwarder is not None:
            self.forwarder.introduce(self.table.name)
        self.service.tick()
        self.report.tick()
        self._turned()
        self.loop.call_later(1.0005 - time.time() % 1.0, self.tick)

    def reopen(self) -> None:
        if self.log is not None:
            try:
                self.log.reopen()
            except OSError as error:
                self.report(
                    f"can't open the access log {error.filename}, and go on with the old one: "
                    f"{error.strerror}"
                )

    def marks(self, keys: Iterable[str]) -> dict[str, Any]:
        """Why responses of these keys, in hexadecimal, could not be shared."""
        pages = self.service.pages
        return {} if pages is None else pages.fetcher.marks.told([bytes.fromhex(key) for key in keys])

    def snapshot(self) -> dict[str, Any]:
        found = self.service.snapshot()
        if self.origins is not None:
            now = self.loop.time()
            statistics = self.store.statistics()
            found["store"] = {
                "hits": statistics.hits,
                "misses": statistics.misses,
                "written": statistics.written,
                "written_bytes": statistics.written_bytes,
                "refused": statistics.refused,
                "corrupt": statistics.corrupt,
            }
            found["origins"] = [
                {
                    "address": pool.address,
                    "requests": pool.requests,
                    "reused": pool.reused,
                    "open": pool.open,
                    "idle": pool.idle,
                    "errors": {failure.value: count for failure, count in pool.errors.items()},
                    "answered_seconds_ago": _ago(now - pool.answered_at),
                    "failed_seconds_ago": _ago(now - pool.failed_at),
                    "failure": None if pool.failure is None else pool.failure.value,
                }
                for pool in self.origins.snapshot()
            ]
        return found

    def close(self) -> None:
        for client in list(self.service.clients):
            client.close()
        if self.log is not None:
            self.log.flush()
        if self.table is not None:
            self.table.close(clean=False)


def _ago(seconds: float) -> float | None:
    """None for what never was: JSON has no infinity."""
    return None if math.isinf(seconds) else round(seconds, 3)


async def serve(setup: Setup) -> int:
    """Serve until told to drain; the exit status."""
    channel = await WorkerChannel.from_environment()
    try:
        worker = Worker(current(), setup, Reporter(channel.log), channel.turned)
    except OSError as error:  # a file or directory that can't be used, and that no check had foreseen
        channel.log(f"can't start: {error}")
        await channel.close()
        return 1
    channel.on_drain = worker.drain
    channel.on_snapshot = worker.snapshot
    channel.on_marks = worker.marks
    channel.on_reopen = worker.reopen
    worker.listen()
    worker.tick()
    gc.collect()
    gc.freeze()
    await channel.ready()
    talking = asyncio.create_task(channel.run())
    await worker.stopped.wait()
    worker.close()
    talking.cancel()
    return 0


def main() -> None:
    """The entry of `python -m uncork.edge.worker`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    # A request makes few cycles: look for them rarely, and hardly ever among what has lived long.
    gc.set_threshold(20_000, 20, 100)
    try:
        sys.exit(run(serve(Setup.from_environment())))
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
