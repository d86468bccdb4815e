"""From figures to a table: medians over the rounds, ratios within them, Markdown and JSON.

Lives here: the arithmetic and the layout. Doesn't know: how a figure came about.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

RIVALS = ("nginx", "varnish")
"""The contenders that all others are compared with, where they take part."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one trial gave. None where the workload doesn't measure it.

    `rate` in requests per second; `user` and `system` in microseconds of CPU per request; latencies in
    microseconds; `server_busy` and `load_busy` as a share of their core; `pss` and `private` in bytes per
    idle connection.
    """

    requests: int
    rate: float | None = None
    user: float | None = None
    system: float | None = None
    p50: float | None = None
    p99: float | None = None
    server_busy: float | None = None
    load_busy: float | None = None
    pss: float | None = None
    private: float | None = None

    @property
    def cost(self) -> float | None:
        """What is compared: CPU per request, or memory per idle connection."""
        if self.user is not None and self.system is not None:
            return self.user + self.system
        return self.pss


@dataclass(slots=True)
class Entry:
    """A contender under a workload: its figures by round, or why there are none."""

    rounds: dict[int, Figures] = field(default_factory=dict)
    reason: str | None = None
    failed: bool = False
    """`reason` tells of a failure, not of something that the contender isn't made for."""


Results = dict[str, dict[str, Entry]]
"""By workload, then by contender."""


def middle(rounds: Iterable[Figures]) -> Figures:
    """The median of each figure, for itself."""
    listed = list(rounds)

    def of(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return median(known) if known else None

    columns = {
        name: of([getattr(figures, name) for figures in listed])
        for name in asdict(listed[0])
        if name != "requests"
    }
    return Figures(requests=sum(figures.requests for figures in listed), **columns)


def ratio(mine: Mapping[int, Figures], theirs: Mapping[int, Figures]) -> float | None:
    """The median over the rounds of my cost ÷ theirs, each pair from one round, in which they took turns.

    So a round in which the machine was busy with something else weighs on both sides of its own ratio only.
    """
    ratios = []
    for number in mine.keys() & theirs.keys():
        a, b = mine[number].cost, theirs[number].cost
        if a is not None and b:
            ratios.append(a / b)
    return median(ratios) if ratios else None


# Layout


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:,.{digits}f}"


def _time(microseconds: float | None) -> str:
    if microseconds is None:
        return "–"
    return f"{microseconds / 1000:,.1f} ms" if microseconds >= 10_000 else f"{microseconds:,.0f} µs"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def _ratios(name: str, entries: Mapping[str, Entry]) -> list[str]:
    cells = []
    for rival in RIVALS:
        other = entries.get(rival)
        value = ratio(entries[name].rounds, other.rounds) if other is not None else None
        cells.append(_number(value, 2))
    return cells


def _notes(entries: Mapping[str, Entry], titles: Mapping[str, str]) -> list[str]:
    absent = [
        f"{titles[name]}: {'failed: ' if entry.failed else ''}{entry.reason}"
        for name, entry in entries.items()
        if entry.reason is not None
    ]
    return ["", "– " + "; ".join(absent) + "."] if absent else []


def _section(entries: Mapping[str, Entry], titles: Mapping[str, str]) -> list[str]:
    """One workload: a row for each contender."""
    idle = any(figures.pss is not None for entry in entries.values() for figures in entry.rounds.values())
    rows = []
    for name, entry in entries.items():
        if not entry.rounds:
            continue
        figures = middle(entry.rounds.values())
        if idle:
            cells = [_number(None if b is None else b / 1024, 2) for b in (figures.pss, figures.private)]
        else:
            cells = [
                f"{_number(figures.cost, 1)} ({_number(figures.user, 1)} + {_number(figures.system, 1)})",
                _number(figures.rate, 0),
                _time(figures.p50),
                _time(figures.p99),
                _percent(figures.server_busy),
                _percent(figures.load_busy),
            ]
        rows.append([titles[name], *cells, *_ratios(name, entries)])
    if idle:
        head = ["", "KiB per connection (Pss)", "of it private dirty"]
    else:
        head = [
            "",
            "CPU µs per request (user + system)",
            "requests/s",
            "p50",
            "p99",
            "server core",
            "load core",
        ]
    return _table([*head, "× nginx", "× Varnish"], rows) + _notes(entries, titles)


def _summary(results: Results, workloads: Mapping[str, str], titles: Mapping[str, str]) -> list[str]:
    """All workloads: a column for each contender, with what one request costs it."""
    rows = []
    for workload, entries in results.items():
        row = [f"[{workloads[workload]}](#{workload})"]
        for name in titles:
            entry = entries.get(name)
            if entry is None or not entry.rounds:
                row.append("–")
                continue
            figures = middle(entry.rounds.values())
            if figures.pss is not None:
                row.append(f"{figures.pss / 1024:,.2f} KiB")
            else:
                row.append(f"{_number(figures.cost, 1)} µs")
        rows.append(row)
    return _table(["", *titles.values()], rows)


def markdown(
    results: Results, workloads: Mapping[str, str], titles: Mapping[str, str], machine: Mapping[str, str]
) -> str:
    """The page: the machine, a summary, then a table for each workload, keyed by name in `workloads`."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench`; how it measures is told in `bench/README.md`. Each server had one core,",
        "the load generator another; the contenders took turns in one run, and every figure is a median",
        "over its rounds. CPU is that of all processes of a server, user and system. What counts is CPU per",
        "request: the rates and latencies are those of a saturated core. Ratios compare CPU per request (or",
        "memory), round by round: below 1 is cheaper.",
        "",
        *(f"- {name}: {value}" for name, value in machine.items()),
        "",
        "## CPU per request, memory per idle connection",
        "",
        *_summary(results, workloads, titles),
    ]
    for workload, entries in results.items():
        lines += [
            "",
            f'<a id="{workload}"></a>',
            "",
            f"## {workloads[workload]}",
            "",
            *_section(entries, titles),
        ]
    return "\n".join(lines) + "\n"


def as_json(results: Results, machine: Mapping[str, str]) -> dict[str, Any]:
    """Everything, round by round, for a program to read."""
    return {
        "machine": dict(machine),
        "results": {
            workload: {
                name: {
                    "reason": entry.reason,
                    "failed": entry.failed,
                    "rounds": {number: asdict(figures) for number, figures in entry.rounds.items()},
                    "ratios": {
                        rival: ratio(entry.rounds, entries[rival].rounds)
                        for rival in RIVALS
                        if rival in entries
                    },
                }
                for name, entry in entries.items()
            }
            for workload, entries in results.items()
        },
    }
