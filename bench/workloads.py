"""The workloads: what is asked for, how, and over how many connections.

Lives here: the list, as data. Doesn't know: who answers, or how load is made.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bench import site


class Kind(Enum):
    """What a contender must be able to do to take part."""

    STATIC = "serves files from a directory"
    CACHED = "answers from its cache what an origin produced"
    PASSED = "passes on what an origin forbids to store"


class Heads(Enum):
    """How much of the request head repeats."""

    SAME = "the same header lines on every request"
    VARIED = "a `Cookie` and a `Referer` that no other request has"


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    title: str
    kind: Kind
    heads: Heads
    path: Callable[[int], str]
    """URL path by number, 0 up to `site.URLS`."""
    size: int
    """Bytes of a complete body."""
    conditional: bool = False
    """Send the validator that the contender gave for the URL, and expect 304."""
    close: bool = False
    """A new connection for every request."""
    log: bool = False
    """Access log on, in the combined format, to a file."""
    connections: int = 64
    idle: int = 0
    """Measure the memory of as many idle connections, and nothing else."""

    @property
    def counted_by_bytes(self) -> bool:
        """Bodies so large that the answers under way at the end of a run would weigh in its count."""
        return self.size > 1024 * 1024


def _static(size: str) -> Callable[[int], str]:
    return lambda number: site.static_path(size, number)


def _workloads() -> list[Workload]:
    rows: list[Workload] = []

    def three(
        name: str, title: str, kind: Kind, path: Callable[[int], str], size: int, conditional: bool
    ) -> None:
        for suffix, note, heads, log in (
            ("", "headers differ on each request", Heads.VARIED, False),
            ("-same", "the same headers on every request", Heads.SAME, False),
            ("-log", "headers differ, access log on", Heads.VARIED, True),
        ):
            rows.append(
                Workload(name + suffix, f"{title}: {note}", kind, heads, path, size, conditional, log=log)
            )

    for size, title in (("1k", "1 KiB"), ("10k", "10 KiB"), ("100k", "100 KiB")):
        three(
            f"static-{size}", f"Static file of {title}", Kind.STATIC, _static(size), site.SIZES[size], False
        )
    three("static-304", "Static file, 304", Kind.STATIC, _static("10k"), site.SIZES["10k"], True)
    three("cached-10k", "Cached page of 10 KiB", Kind.CACHED, site.page_path, site.PAGE_SIZE, False)
    three("cached-304", "Cached page, 304", Kind.CACHED, site.page_path, site.PAGE_SIZE, True)
    rows += [
        Workload(
            "static-10m",
            "Static file of 10 MiB: headers differ on each request, 8 connections",
            Kind.STATIC,
            Heads.VARIED,
            _static("10m"),
            site.SIZES["10m"],
            connections=8,
        ),
        Workload(
            "close-static-1k",
            "A connection per request, static file of 1 KiB",
            Kind.STATIC,
            Heads.VARIED,
            _static("1k"),
            site.SIZES["1k"],
            close=True,
        ),
        Workload(
            "close-cached-10k",
            "A connection per request, cached page of 10 KiB",
            Kind.CACHED,
            Heads.VARIED,
            site.page_path,
            site.PAGE_SIZE,
            close=True,
        ),
        Workload(
            "pass-10k",
            "Pass-through of a page of 10 KiB that must not be stored",
            Kind.PASSED,
            Heads.VARIED,
            site.pass_path,
            site.PAGE_SIZE,
        ),
        Workload(
            "idle-static",
            "5,000 idle connections after a static file of 1 KiB on each",
            Kind.STATIC,
            Heads.VARIED,
            _static("1k"),
            site.SIZES["1k"],
            idle=5000,
        ),
        Workload(
            "idle-cached",
            "5,000 idle connections after a cached page of 10 KiB on each",
            Kind.CACHED,
            Heads.VARIED,
            site.page_path,
            site.PAGE_SIZE,
            idle=5000,
        ),
    ]
    return rows


WORKLOADS = _workloads()

QUICK = ("static-1k", "static-10k", "static-304", "cached-10k", "pass-10k")
"""What `--quick` runs: one workload of every kind, with headers that differ."""
