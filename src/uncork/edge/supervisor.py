"""The supervisor: keeps workers and origin running, and follows one generation of them with the next.

Lives here: the order in which things start, are exchanged, and stop. Doesn't know: where a plan comes
from, how a process is kept running, and what a worker serves.

    start     sockets → origin, until it answers → workers, until they are ready → "ready"
    SIGHUP    a new plan → a new origin beside the old one, which must not fail where the old one didn't
              → new workers on the same sockets → the old workers drain → the old origin stops.
              Whatever fails leaves the old ones running.
    SIGTERM   workers drain → origin stops → exit 0. A second one: at once.
    SIGUSR1   workers open their logs anew
"""

import asyncio
import dataclasses
import os
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from enum import Enum
from typing import Any

from uncork import __version__
from uncork.edge.control import ControlServer, is_key, total
from uncork.edge.origin_process import Origin, OriginFailed
from uncork.edge.plan import BadConfiguration, Plan
from uncork.edge.processes import Say
from uncork.edge.setup import Setup
from uncork.edge.sockets import Address, CannotListen, ListeningSockets, listen_unix
from uncork.edge.statedir import StateDir
from uncork.edge.sweeper import Sweeper
from uncork.edge.systemd import Notifier
from uncork.edge.worker_processes import WORKER_COMMAND, Workers, WorkersFailed
from uncork.pages.clock import COUNTER
from uncork.pages.tags import RECORDED
from uncork.purging.pending import settle
from uncork.purging.table import ClockTable

# What a process exits with when its input is bad, and when a second signal ended it at once.
BAD_INPUT = 2
CUT_SHORT = 128 + signal.SIGTERM
# Between two looks at what dead processes left to purge.
_SETTLE_SECONDS = 0.5


class State(Enum):
    STARTING = "starting"
    RUNNING = "running"
    RELOADING = "reloading"
    STOPPING = "stopping"


@dataclasses.dataclass(frozen=True, slots=True)
class Generation:
    """One plan at work. `origin` is None where none is started here."""

    plan: Plan
    workers: Workers
    origin: Origin | None


class Supervisor:
    """`replan` reads the configuration anew; it is called in a thread and may raise BadConfiguration.

    `clock` is looked at, and by it the pages of a former release are taken back. `inherited` sockets (socket
    activation) are listened on in place of the plan's addresses.
    """

    def __init__(
        self,
        plan: Plan,
        replan: Callable[[], Plan],
        state_dir: StateDir,
        say: Say,
        clock: ClockTable | None = None,
        inherited: Sequence[socket.socket] = (),
        worker_command: Sequence[str] = WORKER_COMMAND,
    ) -> None:
        self._plan = plan
        self._replan = replan
        self._state_dir = state_dir
        self._say = say
        self._clock = clock
        self._worker_command = worker_command
        self._sockets = ListeningSockets(inherited)
        self._inherited = bool(inherited)
        self._internal: list[socket.socket] = []
        self._notifier = Notifier()
        self._state = State.STARTING
        self._generation: Generation | None = None
        self._number = 0
        self._retiring: dict[asyncio.Task[None], Generation] = {}
        self._stopping = asyncio.Event()
        self._hurry = asyncio.Event()
        self._reload_wanted = asyncio.Event()
        self._started = 0.0
        self._sweeper: Sweeper | None = None

    async def run(self) -> int:
        """Run until a signal ends it; the exit status."""
        loop = asyncio.get_running_loop()
        self._started = loop.time()
        for number, handler in (
            (signal.SIGTERM, self._on_stop),
            (signal.SIGINT, self._on_stop),
            (signal.SIGHUP, self._reload_wanted.set),
            (signal.SIGUSR1, self._on_reopen),
        ):
            loop.add_signal_handler(number, handler)
        control = ControlServer(
            self._state_dir.listen_for_control(), {"status": self._status, "marks": self._marks}
        )
        await control.start()
        tasks = [asyncio.create_task(self._watchdog())]
        if self._clock is not None:
            pages = self._state_dir.path / "pages"
            self._sweeper = Sweeper(pages, self._store_bytes, self._clock, self._say)
            tasks.append(asyncio.create_task(self._sweeper.run()))
            tasks.append(asyncio.create_task(self._settle(self._clock)))
        try:
            return await self._run()
        finally:
            for task in tasks:
                task.cancel()
            control.close()
            self._sockets.close()
            self._close_internal(0)

    def _store_bytes(self) -> int:
        plan = self._plan if self._generation is None else self._generation.plan
        return plan.template.cache.store_bytes

    async def _run(self) -> int:
        try:
            generation = await self._unless_stopped(self._begin(self._plan))
        except (BadConfiguration, CannotListen, OriginFailed, WorkersFailed) as failure:
            self._say(str(failure))
            return BAD_INPUT
        if generation is None:
            return 0
        self._generation = generation
        self._announce("ready")
        while not self._stopping.is_set():
            await self._first(self._stopping.wait(), self._reload_wanted.wait())
            if self._reload_wanted.is_set() and not self._stopping.is_set():
                self._reload_wanted.clear()
                await self._reload()
        return await self._stop()

    async def _reload(self) -> None:
        assert self._generation is not None
        old = self._generation
        self._state = State.RELOADING
        self._notifier.reloading()
        self._say("reloading")
        try:
            plan = await asyncio.to_thread(self._replan)
            new = await self._unless_stopped(self._begin(plan))
        except (BadConfiguration, CannotListen, OriginFailed, WorkersFailed) as failure:
            self._say(str(failure))
            self._say("not reloaded: what ran before goes on running")
            self._sockets.keep_only(self._addresses(old.plan))
            new = None
        if new is not None:
            self._generation = new
            await self._retire(old, then=self._drop_recorded)
            self._drop_recorded()
            self._sockets.keep_only(self._addresses(new.plan))
            self._close_internal(new.plan.workers)
        if not self._stopping.is_set():
            self._announce("reloaded" if new is not None else "running as before")

    async def _begin(self, plan: Plan) -> Generation:
        """Start an origin and workers of this plan. When it raises, nothing new is left running."""
        self._number += 1
        number = self._number
        addresses = self._addresses(plan)
        self._sockets.open(addresses, plan.workers)
        while len(self._internal) < plan.workers:
            self._internal.append(listen_unix(self._state_dir.worker_socket(len(self._internal)), 0o600))
        origin = None
        try:
            if plan.origin is not None:
                origin = Origin(plan.origin, self._state_dir.origin_socket(number), number, self._say)
                await origin.start()
                if origin.worse_than(self._generation.origin if self._generation is not None else None):
                    raise OriginFailed(
                        f"the new origin is up{origin.but}, and the old one's answer was no 5xx"
                    )
            template = dataclasses.replace(
                plan.template,
                count=plan.workers,
                generation=number,
                internal_paths=tuple(self._state_dir.worker_socket(i) for i in range(plan.workers)),
                origins=(origin.address,) if origin is not None else plan.template.origins,
            )
            setups = [self._setup(template, addresses, index) for index in range(plan.workers)]
            workers = Workers(number, setups, self._worker_command, self._say)
            await workers.start()
        except BaseException:
            if origin is not None:
                origin.kill()
                await origin.stop()
            raise
        return Generation(plan, workers, origin)

    def _setup(self, template: Setup, addresses: Sequence[Address], index: int) -> Callable[[], Setup]:
        """Made anew at each start of the worker: sockets may have been added since."""
        return lambda: dataclasses.replace(
            template,
            index=index,
            listeners=self._sockets.share(addresses, index, template.count),
            internal_fd=self._internal[index].fileno(),
        )

    def _addresses(self, plan: Plan) -> tuple[Address, ...]:
        return () if self._inherited else plan.addresses

    async def _retire(self, old: Generation, then: Callable[[], None] | None = None) -> None:
        """Have it accept no more, and finish in the background. `then` is called when it has gone."""
        await old.workers.stop_accepting(old.plan.grace_seconds)
        task = asyncio.create_task(_finish(old))
        self._retiring[task] = old
        task.add_done_callback(self._retiring.pop)
        if then is not None:
            task.add_done_callback(lambda _: then())

    def _drop_recorded(self) -> None:
        """Take back what the former release made: of which nothing but its data was to change. Once more when
        that has gone, for it has answered until then."""
        if self._clock is not None:
            self._clock.purge([RECORDED])

    async def _stop(self) -> int:
        """Drain everything; the exit status."""
        assert self._generation is not None
        self._state = State.STOPPING
        self._notifier.stopping()
        self._say(f"stopping: open requests have {self._generation.plan.grace_seconds:g} s to finish")
        retired = asyncio.create_task(self._retire(self._generation))
        await self._first(retired, self._hurry.wait())
        self._sockets.close()
        if not self._hurry.is_set():  # else what retires may not be in `_retiring` yet
            await self._first(asyncio.gather(*self._retiring), self._hurry.wait())
        if not self._hurry.is_set():
            self._say("stopped")
            return 0
        for generation in self._running():
            generation.workers.kill()
            if generation.origin is not None:
                generation.origin.kill()
        self._say("stopped at once")
        return CUT_SHORT

    def _announce(self, how: str) -> None:
        assert self._generation is not None
        self._state = State.RUNNING
        plan = self._generation.plan
        if self._generation.origin is not None:
            how += self._generation.origin.but
        where = ", ".join(
            name if name.startswith("unix:") else f"http://{name}" for name in self._sockets.names()
        )
        self._say(f"{how}: {where} ({plan.workers} worker{'s' if plan.workers != 1 else ''})")
        self._notifier.ready(f"{how}: {where}")

    def _on_stop(self) -> None:
        if self._stopping.is_set():
            self._hurry.set()
        self._stopping.set()

    def _on_reopen(self) -> None:
        for generation in self._running():
            generation.workers.reopen_logs()

    def _running(self) -> list[Generation]:
        current = [self._generation] if self._generation is not None else []
        return [*current, *(old for old in self._retiring.values() if old not in current)]

    def _close_internal(self, count: int) -> None:
        """Close those beyond `count`: who still sends to one is refused at once, and asks the origin."""
        while len(self._internal) > count:
            self._internal.pop().close()
            os.unlink(self._state_dir.worker_socket(len(self._internal)))

    async def _marks(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Why workers pass what has one of these keys."""
        given = asked.get("keys")
        keys = [key for key in given if is_key(key)] if isinstance(given, list) else []
        current = self._generation
        return {"marks": [] if current is None else await current.workers.marks(keys)}

    async def _status(self, asked: dict[str, Any]) -> dict[str, Any]:
        running = self._running()
        found = await asyncio.gather(*(generation.workers.snapshots() for generation in running))
        workers = [snapshot for snapshots in found for snapshot in snapshots]
        origins = [generation.origin for generation in running if generation.origin is not None]
        current = self._generation
        return {
            "status": {
                "version": __version__,
                "pid": os.getpid(),
                "state": self._state.value,
                "generation": current.workers.generation if current is not None else 0,
                "uptime_seconds": round(asyncio.get_running_loop().time() - self._started, 3),
                "state_dir": str(self._state_dir.path),
                "addresses": self._sockets.names(),
                "origins": [origin.snapshot() for origin in origins],
                "external_origins": list(current.plan.template.origins) if current is not None else [],
                "clock": self._clock_status(),
                "workers": workers,
                "store": self._sweeper.seen() if self._sweeper is not None else None,
                "totals": total(worker["snapshot"] for worker in workers),
            }
        }

    def _clock_status(self) -> dict[str, Any] | None:
        if self._clock is None:
            return None
        self._clock.refresh()
        clock = self._clock.clock
        return {"counter": clock.words[COUNTER], "slots": clock.slots, "opening": self._clock.opening.value}

    async def _settle(self, clock: ClockTable) -> None:
        """Purge what processes had still to purge when they died."""
        told = False
        while True:
            try:
                settle(self._state_dir.path, clock)
            except OSError as error:
                if not told:
                    self._say(
                        f"stale pages may be served: what dead processes had to purge is unknown: {error}"
                    )
                told = True
            await asyncio.sleep(_SETTLE_SECONDS)

    async def _watchdog(self) -> None:
        """A loop that hangs sends nothing, nor one that can't get workers, and the service manager starts us
        again. Asked more often than must be told, for a worker may be exchanged just then."""
        while self._notifier.watchdog_seconds is not None:
            if self._generation is None or self._stopping.is_set() or self._generation.workers.any_serves():
                self._notifier.alive()
            await asyncio.sleep(min(self._notifier.watchdog_seconds, 1.0))

    async def _unless_stopped(self, work: Coroutine[Any, Any, Generation]) -> Generation | None:
        """What the work gives; None when it was given up because a signal said to stop."""
        task = asyncio.create_task(work)
        await self._first(task, self._stopping.wait())
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        return None if task.cancelled() else task.result()

    @staticmethod
    async def _first(*waited: Any) -> None:
        """Wait for the first; coroutines given here are cancelled then, tasks and futures are not."""
        tasks = [asyncio.ensure_future(one) for one in waited]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task, one in zip(tasks, waited, strict=True):
            if task is not one:
                task.cancel()


async def _finish(generation: Generation) -> None:
    """Wait for the workers that drain, then stop the origin that they ask."""
    await generation.workers.finish(generation.plan.grace_seconds)
    if generation.origin is not None:
        await generation.origin.stop()
