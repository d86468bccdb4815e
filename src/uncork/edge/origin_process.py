"""The origin as a process of ours: started, found healthy, shown, started again, stopped.

Lives here: one generation of the origin on its Unix socket. Doesn't know: what application it is, and
what is asked of it but for the health check.
"""

import asyncio
import math
import os
import sys
from asyncio.subprocess import DEVNULL, STDOUT, Process
from enum import Enum
from io import FileIO
from typing import Any

from uncork.edge.plan import OriginPlan
from uncork.edge.processes import Backoff, Say, child_environment, ending, kill, kill_session, stop, tethered
from uncork.upstream.addresses import parse_origin
from uncork.upstream.failures import OriginError
from uncork.upstream.health import wait_healthy

# How long gunicorn keeps an idle connection, and how long we do, so that it never closes one that we are
# about to use.
KEEP_ALIVE_SECONDS = 75
IDLE_SECONDS = 60.0
# gunicorn's own --timeout.
GUNICORN_SECONDS = 30

_LONGEST_OUTPUT_LINE = 8192


class OriginFailed(Exception):
    """The origin didn't come up. The message is for people."""


class OriginState(Enum):
    STARTING = "starting"
    HEALTHY = "healthy"
    FAILING = "failing"  # it answers, and its answer to the health check was a 5xx
    RESTARTING = "restarting"
    STOPPED = "stopped"


def gunicorn_command(
    application: str, *, asgi: bool, workers: int, threads: int, timeout: float, inject: bool = False
) -> tuple[str, ...]:
    """gunicorn for an application such as `mysite.wsgi:application`, listening on `{socket}`.

    `timeout`: seconds that a request may take. gunicorn's own limit is for a worker whose main thread or loop
    hangs, its start included, so it is no shorter than by default. `inject`: with the recorder
    in its settings.
    """
    if inject:
        application = f"uncork.django.injected:application({application!r})"
    command = [
        *(sys.executable, "-m", "gunicorn", application),
        *("--bind", "unix:{socket}"),
        *("--workers", str(workers)),
        *("--keep-alive", str(KEEP_ALIVE_SECONDS)),
        *("--timeout", str(max(GUNICORN_SECONDS, math.ceil(timeout)))),
        *("--worker-class", "asgi" if asgi else "gthread"),
        "--no-control-socket",
    ]
    if not asgi:
        command += ["--threads", str(threads)]
    return tuple(command)


class Origin:
    """One generation of the origin. `start`, then it is kept running until `stop`."""

    def __init__(self, plan: OriginPlan, socket_path: str, generation: int, say: Say) -> None:
        self.generation = generation
        self.state = OriginState.STARTING
        self.address = f"http+unix:{socket_path}"
        self._plan = plan
        self._path = socket_path
        self._say = say
        self._process: Process | None = None
        self._restarts = 0
        self._started = 0.0
        self._answered: int | None = None  # the status of its last health check
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises OriginFailed, with nothing left running."""
        try:
            await self._spawn()
            await self._until_healthy()
        except BaseException:
            await self._end(0.0)
            raise
        if self._answered is not None and 400 <= self._answered < 500:  # it may have logged that as a fault
            self._say(
                f"the health check, GET {self._plan.probe}, was answered {self._answered}: "
                "a sign of life and no fault; --origin-probe names another path"
            )
        self._keeper = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """SIGTERM, `stop_seconds` to finish what it does, then SIGKILL."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        await self._end(self._plan.stop_seconds)

    def kill(self) -> None:
        """End it at once."""
        if self._keeper is not None:
            self._keeper.cancel()
        if self._process is not None:
            kill(self._process)

    @property
    def but(self) -> str:
        """What is to be added when it is said to be ready: nothing, or `, but / answers 500`."""
        return (
            f", but {self._plan.probe} answers {self._answered}" if self.state is OriginState.FAILING else ""
        )

    def worse_than(self, other: "Origin | None") -> bool:
        """Whether it fails where the other didn't."""
        healthy = other is not None and other.state is OriginState.HEALTHY
        return healthy and self.state is OriginState.FAILING

    def snapshot(self) -> dict[str, Any]:
        running = self._process is not None and self._process.returncode is None
        return {
            "state": self.state.value,
            "generation": self.generation,
            "address": self.address,
            "probe": {"path": self._plan.probe, "status": self._answered},
            "pid": self._process.pid if running and self._process else None,
            "restarts": self._restarts,
            "uptime_seconds": round(asyncio.get_running_loop().time() - self._started, 3) if running else 0.0,
        }

    async def _end(self, seconds: float) -> None:
        self.state = OriginState.STOPPED
        if self._process is not None and not await stop(self._process, seconds) and seconds:
            self._say(f"the origin (process {self._process.pid}) didn't stop in {seconds:g} s and was killed")
        _remove(self._path)

    async def _spawn(self) -> None:
        _remove(self._path)
        command = [argument.replace("{socket}", self._path) for argument in self._plan.command]
        # Not asyncio's pipe: with that, wait() would wait for whoever else holds its other end.
        reading, writing = os.pipe()
        output = FileIO(reading)
        try:
            self._process = await asyncio.create_subprocess_exec(
                *tethered(command),
                cwd=self._plan.directory,
                env=child_environment(**self._plan.environment),
                stdin=DEVNULL,
                stdout=writing,
                stderr=STDOUT,
                start_new_session=True,  # Ctrl-C in a terminal is for the supervisor; the origin is drained
            )
        except BaseException:
            output.close()
            raise
        finally:
            os.close(writing)
        self._started = asyncio.get_running_loop().time()
        self._shower = asyncio.create_task(self._show(output))

    async def _show(self, output: FileIO) -> None:
        """Print its output line by line, until its last process has closed it."""
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), output
        )
        rest = b""
        try:
            while data := await reader.read(65536):
                *lines, rest = (rest + data).split(b"\n")
                if len(rest) > _LONGEST_OUTPUT_LINE:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._say(line.decode(errors="backslashreplace").rstrip("\r"), "origin")
        finally:
            transport.close()
        if rest:
            self._say(rest.decode(errors="backslashreplace"), "origin")

    async def _until_healthy(self) -> None:
        process = self._process
        assert process is not None
        exited = asyncio.create_task(process.wait())
        answered = asyncio.create_task(
            wait_healthy(
                parse_origin(self.address),
                self._plan.probe,
                self._plan.start_seconds,
                host=self._plan.host.encode(),
            )
        )
        try:
            await asyncio.wait([exited, answered], return_when=asyncio.FIRST_COMPLETED)
            if answered.done():
                self._answered = status = await answered
                self.state = OriginState.HEALTHY if status < 500 else OriginState.FAILING
                return
            # What it said last is why it ended.
            await asyncio.wait([self._shower], timeout=1.0)
            raise OriginFailed(f"the origin {ending(process)} before it answered")
        except OriginError as error:
            raise OriginFailed(f"the origin runs and doesn't answer: {error}") from None
        finally:
            exited.cancel()
            answered.cancel()

    async def _keep(self) -> None:
        """Start it again whenever it ends. Meanwhile the workers find its socket dead and cope."""
        backoff = Backoff()
        while True:
            assert self._process is not None
            await self._process.wait()
            # Its other processes (gunicorn's workers, whose master was killed) would keep connections and
            # never read from them.
            kill_session(self._process)
            pause = backoff.after(asyncio.get_running_loop().time() - self._started)
            self.state = OriginState.RESTARTING
            self._restarts += 1
            when = f"in {pause:g} s" if pause else "now"
            self._say(
                f"the origin (process {self._process.pid}) {ending(self._process)}; starting it again {when}"
            )
            await asyncio.sleep(pause)
            await self._spawn()
            try:
                await self._until_healthy()
            except OriginFailed as failure:
                self._say(str(failure))
                await stop(self._process, 0.0)
            else:
                self._say(f"the origin answers again{self.but}")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
