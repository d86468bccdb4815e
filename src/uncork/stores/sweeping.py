"""Making room in a disk store: the least recently used files go, and those that nobody can use any more.

Lives here: what to remove and in which order.
Doesn't know: freshness and the purge clock: the caller says which page is expendable.

Memory is bounded: the first pass counts bytes by age in a histogram, the second removes what is older than
the age that follows from it. Every removal may race with a use or a renewal of that file; the loser renders
a page once more. A process that serves should leave this to one that doesn't: the system calls of a pass
over 600,000 files take seconds.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from math import log2
from pathlib import Path
from time import time

from uncork.pages.page import Page
from uncork.pages.pagefile import CorruptPage
from uncork.stores.listing import files, read_head
from uncork.stores.places import FAN_OUT

_STEPS_PER_DOUBLING = 16
"""Precision of an age: files within 4 % of each other's age are of the same age."""


@dataclass(frozen=True, slots=True)
class SweepOptions:
    """Bytes as the file system counts them, in blocks.

    Above `most_bytes` of pages, or with less than `least_free` bytes left on the file system, pages are
    removed until `slack` times `most_bytes` more are free than need be. Pages unused for `inspect_after`
    seconds are opened, to see whether they are expendable.
    """

    most_bytes: int
    least_free: int = 0
    slack: float = 0.1
    inspect_after: float = 3600.0


@dataclass(slots=True)
class SweepReport:
    """`files` and `bytes` are what is left; `expendable` and `corrupt` are among the `removed`.

    `oldest` is the age in seconds above which everything was removed; None when there was room.
    """

    files: int = 0
    bytes: int = 0
    removed: int = 0
    removed_bytes: int = 0
    expendable: int = 0
    corrupt: int = 0
    oldest: float | None = None


class _Use(Enum):
    POSSIBLE = "possible"
    EXPENDABLE = "expendable"
    CORRUPT = "corrupt"


Expendable = Callable[[Page], bool]


def sweep(root: Path, options: SweepOptions, expendable: Expendable | None = None) -> SweepReport:
    """Sweep at one go."""
    report = SweepReport()
    for _ in sweep_steps(root, options, report, expendable):
        pass
    return report


def sweep_steps(
    root: Path, options: SweepOptions, report: SweepReport, expendable: Expendable | None = None
) -> Iterator[None]:
    """The same in steps of one directory, a few milliseconds each; it may be given up after any of them."""
    now = time()
    histogram: dict[int, int] = {}
    for name in FAN_OUT:
        for path, status in files(root / name):
            size, age = status.st_blocks * 512, now - status.st_mtime
            if expendable is not None and age >= options.inspect_after:
                use = _inspect(path, expendable)
                if use is not _Use.POSSIBLE and _remove(path, size, report):
                    report.corrupt += use is _Use.CORRUPT
                    report.expendable += use is _Use.EXPENDABLE
                    continue
            report.files += 1
            report.bytes += size
            histogram[_step(age)] = histogram.get(_step(age), 0) + size
        yield
    wanted = max(report.bytes - options.most_bytes, options.least_free - _free(root))
    if wanted <= 0:
        return
    wanted += int(options.slack * options.most_bytes)
    oldest, remaining = _oldest_to_keep(histogram, wanted)
    report.oldest = 2.0 ** (oldest / _STEPS_PER_DOUBLING) - 1
    for name in FAN_OUT:
        for path, status in files(root / name):
            size, step = status.st_blocks * 512, _step(now - status.st_mtime)
            if step < oldest or (step == oldest and remaining <= 0):
                continue
            if _remove(path, size, report):
                report.files -= 1
                report.bytes -= size
                if step == oldest:
                    remaining -= size
        yield


def _oldest_to_keep(histogram: dict[int, int], wanted: int) -> tuple[int, int]:
    """Where removing the oldest first has made room, and how many bytes of that very age have to go."""
    step = 0
    for step in sorted(histogram, reverse=True):
        if histogram[step] >= wanted:
            break
        wanted -= histogram[step]
    return step, wanted


def _step(age: float) -> int:
    return int(log2(max(age, 0.0) + 1.0) * _STEPS_PER_DOUBLING)


def _inspect(path: str, expendable: Expendable) -> _Use:
    try:
        head = read_head(path)
    except CorruptPage:
        return _Use.CORRUPT
    except OSError:
        return _Use.POSSIBLE
    return _Use.EXPENDABLE if head.page is not None and expendable(head.page) else _Use.POSSIBLE


def _remove(path: str, size: int, report: SweepReport) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    report.removed += 1
    report.removed_bytes += size
    return True


def _free(root: Path) -> int:
    status = os.statvfs(root)
    return status.f_bavail * status.f_frsize
