"""One trial: a contender is started, checked, warmed, measured under one workload, and stopped.

Lives here: the order of these steps, and what makes a trial invalid. Doesn't know: the other trials.
"""

import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from bench import site
from bench.contenders.base import Contender, Setup
from bench.load import BadAnswer, Client, Head, IdleConnections, Load, head
from bench.origin import Origin
from bench.processes import Group, free_port
from bench.report import Figures
from bench.workloads import Heads, Kind, Workload

# A load run's bytes per answer may differ from those of the checked answers by so much (`Age`, `Date`).
_SIZE_TOLERANCE = 0.03
# Heads of the check, of the warming and of the measured run never share a number.
_NUMBERS_OF_CHECK, _NUMBERS_OF_WARMING, _NUMBERS_OF_RUN = 100_000_000, 200_000_000, 500_000_000


class DoesNotServe(Exception):
    """The contender has no answer for this workload; the message says why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where trials happen."""

    site: Path
    scratch: Path
    origin: Origin
    server_core: int
    load_core: int
    seconds: float


def run(contender: Contender, workload: Workload, place: Place) -> Figures:
    """Raises `DoesNotServe`, `BadAnswer`, `DidNotStart` or `Missing`."""
    if (reason := contender.absence(workload)) is not None:
        raise DoesNotServe(reason)
    directory = place.scratch / contender.name
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    directory.chmod(0o777)  # some daemons give up root before they write here
    log = directory / "access.log" if workload.log else None
    setup = Setup(directory, place.site, free_port(), place.origin.port, log)
    group = Group(contender.commands(setup), setup.port, place.server_core, directory)
    try:
        heads, wire_size = _check(workload, setup, place.origin)
        if workload.idle:
            return _measure_idle(workload, setup, heads, group)
        figures = _measure(workload, setup, heads, wire_size, group, place)
        group.check()
        if log is not None:
            _check_log(log, figures.requests)
        return figures
    except (BadAnswer, OSError) as why:
        raise BadAnswer(f"{why}\n{group.messages()}".rstrip()) from why
    finally:
        group.stop()
        shutil.rmtree(directory, ignore_errors=True)


def _check(workload: Workload, setup: Setup, origin: Origin) -> tuple[list[Head], float]:
    """Ask for every URL twice and compare; with what to ask from now on, and the mean bytes of an answer."""
    client = Client(setup.port)
    heads: list[Head] = []
    sizes: list[int] = []
    for turn in range(2):
        before = origin.requests()
        heads, sizes = [], []
        for number in range(site.URLS):
            path = workload.path(number)
            wanted = (setup.site / path[1:]).read_bytes()
            reply = client.exchange(head(path, setup.port).filled(_NUMBERS_OF_CHECK + number))
            if reply.status != 200 or reply.body != wanted:
                raise BadAnswer(
                    f"{path}: status {reply.status}, {len(reply.body)} bytes instead of {len(wanted)}"
                )
            if b"content-encoding" in reply.fields:
                raise BadAnswer(f"{path}: content coding {reply.fields[b'content-encoding']!r}")
            if workload.counted_by_bytes and b"content-length" not in reply.fields:
                raise DoesNotServe("sends it in chunks, which a load that drops bytes unread can't follow")
            etag = None
            if workload.conditional:
                etag = reply.fields.get(b"etag")
                if etag is None:
                    raise DoesNotServe("sends no ETag")
            one = head(path, setup.port, close=workload.close, etag=etag)
            heads.append(one)
            if turn and (workload.conditional or workload.close):
                reply = client.exchange(one.filled(_NUMBERS_OF_CHECK + site.URLS + number))
                status = 304 if workload.conditional else 200
                if reply.status != status or len(reply.body) != (0 if workload.conditional else len(wanted)):
                    raise BadAnswer(
                        f"{path}: {reply.status}, {len(reply.body)} bytes to If-None-Match: {etag!r}"
                    )
            sizes.append(reply.wire_size)
        asked = origin.requests() - before
        if turn and workload.kind is Kind.CACHED and asked:
            raise BadAnswer(f"{asked} of {site.URLS} pages came from the origin again")
        if workload.kind is Kind.PASSED and asked != site.URLS:
            raise BadAnswer(f"{asked} of {site.URLS} requests reached the origin")
    client.close()
    return heads, sum(sizes) / len(sizes)


def _measure(
    workload: Workload, setup: Setup, heads: list[Head], wire_size: float, group: Group, place: Place
) -> Figures:
    def load(first_number: int) -> Load:
        varied = workload.heads is Heads.VARIED
        return Load(heads, varied, first_number, workload.connections, workload.counted_by_bytes)

    warming, run = load(_NUMBERS_OF_WARMING), load(_NUMBERS_OF_RUN)
    warming.run(setup.port, setup.directory, seconds=place.seconds / 4, core=place.load_core)
    group.settle()
    asked = place.origin.requests()
    began, before = time.monotonic(), group.cpu_time()
    result = run.run(setup.port, setup.directory, seconds=place.seconds, core=place.load_core)
    spent, elapsed = group.cpu_time() - before, time.monotonic() - began
    asked = place.origin.requests() - asked
    if result.errors or not result.requests:
        raise BadAnswer(f"{result.errors} errors in {result.requests} requests")
    if workload.counted_by_bytes:
        answered = result.bytes / wire_size
    else:
        answered = float(result.requests)
        if abs(result.bytes / answered - wire_size) > _SIZE_TOLERANCE * wire_size:
            raise BadAnswer(
                f"{result.bytes / answered:.0f} bytes an answer, {wire_size:.0f} when it was checked"
            )
    # The origin may see what is on its way when the count is taken, and no more than that.
    if workload.kind is Kind.CACHED and asked > workload.connections:
        raise BadAnswer(f"{asked} of {result.requests} cached pages came from the origin")
    if workload.kind is Kind.PASSED and asked < result.requests:
        raise BadAnswer(f"{asked} of {result.requests} requests reached the origin")
    return Figures(
        requests=round(answered),
        rate=answered / result.duration,
        user=spent.user / answered * 1e6,
        system=spent.system / answered * 1e6,
        p50=result.p50,
        p99=result.p99,
        server_busy=spent.total / elapsed,
        load_busy=result.cpu / elapsed,
    )


def _measure_idle(workload: Workload, setup: Setup, heads: list[Head], group: Group) -> Figures:
    group.settle()
    before = group.memory()
    requests = [
        heads[number % len(heads)].filled(_NUMBERS_OF_RUN + number) for number in range(workload.idle)
    ]
    connections = IdleConnections(setup.port, requests)
    try:
        group.settle()
        after = group.memory()
        still_open = connections.count_open()
    finally:
        connections.close()
    if still_open != workload.idle:
        raise BadAnswer(f"the server closed {workload.idle - still_open} of {workload.idle} connections")
    return Figures(
        requests=workload.idle,
        pss=(after.pss - before.pss) / workload.idle,
        private=(after.private - before.private) / workload.idle,
    )


def _check_log(log: Path, requests: int) -> None:
    """A line for every request: the log is read after the server's buffer had time to empty."""
    deadline = time.monotonic() + 10
    while True:
        with log.open("rb") as file:
            lines = sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
        if lines >= requests:
            return
        if time.monotonic() > deadline:
            raise BadAnswer(f"the access log has {lines} lines after {requests} requests")
        time.sleep(0.2)
