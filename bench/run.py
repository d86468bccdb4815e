"""The command: `python -m bench.run`. Every contender under every workload, in turns, then the table.

Lives here: options, the order of trials, where the results go. Doesn't know: how a trial is made.
"""

import argparse
import json
import os
import platform
import resource
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import load, report, site, trial
from bench.contenders.base import Contender, Missing, program
from bench.contenders.registry import CONTENDERS
from bench.origin import Origin
from bench.processes import DidNotStart
from bench.workloads import QUICK, WORKLOADS, Workload

_ROOT = Path(__file__).resolve().parent.parent
_PAGE = _ROOT / "docs" / "benchmarks.md"
_OUT = _ROOT / "bench" / "out"
# Each of 5,000 idle connections is a file for the server and for the client.
_FILES = 16_384


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    contenders = [contender.name for contender in CONTENDERS]
    workloads = [workload.name for workload in WORKLOADS]
    parser.add_argument(
        "--only", action="append", choices=contenders, metavar="NAME", help=", ".join(contenders)
    )
    parser.add_argument(
        "--workload", action="append", choices=workloads, metavar="NAME", help=", ".join(workloads)
    )
    parser.add_argument("--rounds", type=int, default=None, help="default 3, or 1 with --quick")
    parser.add_argument(
        "--seconds", type=float, default=None, help="of one measured run; default 5, or 2 with --quick"
    )
    parser.add_argument("--quick", action="store_true", help=f"one round of {', '.join(QUICK)}")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--load-core", type=int, default=1)
    options = parser.parse_args(arguments)
    if options.rounds is None:
        options.rounds = 1 if options.quick else 3
    if options.seconds is None:
        options.seconds = 2.0 if options.quick else 5.0
    return options


def _machine(contenders: Sequence[Contender], options: argparse.Namespace) -> dict[str, str]:
    """What a reader must know to compare; nothing that names the machine itself."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    virtual = " (virtual machine)" if "hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    kernel = ".".join(platform.release().split("-")[0].split(".")[:2])
    # Every contender is asked, so that a missing program is told before anything starts.
    told = {contender: contender.version() for contender in contenders}
    versions = ", ".join(f"{one.title} {version}" for one, version in told.items() if one.own_program)
    return {
        "Date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "Machine": f"{model}{virtual}, {os.cpu_count()} cores; one for the server, one for load and origin",
        # Distributions build CPython with profile-guided optimisation (a tenth or more); pyenv doesn't.
        "Kernel": f"{platform.system()} {kernel}; Python {platform.python_version()}"
        + (" of the distribution" if sys.base_prefix == "/usr" else ""),
        "Versions": versions,
        "Run": f"rounds: {options.rounds}, of {options.seconds:g} s for each contender and workload",
    }


def _check_machine(options: argparse.Namespace) -> None:
    cores = os.sched_getaffinity(0)
    if not {options.server_core, options.load_core} <= cores or options.server_core == options.load_core:
        raise Missing("the benchmark needs two cores of its own: see --server-core and --load-core")
    program("taskset", "apt install util-linux")
    program("wrk", "apt install wrk")
    program("nginx", "apt install nginx-light")  # the origin, whoever takes part
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        raise Missing(f"the limit of open files is {hard}; {_FILES} are needed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard if 0 < hard < 65_536 else 65_536, hard))


def _run_trial(
    entry: report.Entry, number: int, contender: Contender, workload: Workload, place: trial.Place
) -> str:
    """One trial into `entry`; returns what to tell about it."""
    try:
        figures = trial.run(contender, workload, place)
    except trial.DoesNotServe as why:
        entry.reason = str(why)
        return f"– {why}"
    except (load.BadAnswer, DidNotStart, OSError) as why:
        # The first line, for the table: what follows is the server's own output, and names paths.
        entry.reason, entry.failed = str(why).splitlines()[0].replace(f"{place.scratch}/", ""), True
        return f"failed: {why}"
    entry.rounds[number] = figures
    if figures.pss is not None:
        return f"{figures.pss / 1024:.2f} KiB per connection"
    return (
        f"{figures.cost:.1f} µs ({figures.user:.1f} + {figures.system:.1f}), {figures.rate:,.0f}/s, "
        f"p99 {figures.p99:,.0f} µs, server {figures.server_busy:.0%}, load {figures.load_busy:.0%}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = _options(arguments)
    contenders = [c for c in CONTENDERS if not options.only or c.name in options.only]
    workloads = [
        w
        for w in WORKLOADS
        if (w.name in options.workload if options.workload else not options.quick or w.name in QUICK)
    ]
    try:
        _check_machine(options)
        machine = _machine(contenders, options)
    except Missing as why:
        print(f"bench: {why}", file=sys.stderr)
        return 2
    os.sched_setaffinity(0, {options.load_core})
    # As an exception, so that the servers are stopped on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    results: report.Results = {w.name: {c.name: report.Entry() for c in contenders} for w in workloads}
    scratch = Path(tempfile.mkdtemp(prefix="bench-"))
    scratch.chmod(0o755)
    try:
        site.build(scratch / "site")
        origin_directory = scratch / "origin"
        origin_directory.mkdir()
        origin = Origin(scratch / "site", origin_directory, options.load_core)
        try:
            place = trial.Place(
                scratch / "site", scratch, origin, options.server_core, options.load_core, options.seconds
            )
            for number in range(1, options.rounds + 1):
                for workload in workloads:
                    # Another one begins each round: the first finds the core as the last workload left it.
                    turn = number % len(contenders)
                    for contender in contenders[turn:] + contenders[:turn]:
                        entry = results[workload.name][contender.name]
                        if entry.reason is not None:
                            continue
                        told = _run_trial(entry, number, contender, workload, place)
                        print(f"{number} {workload.name:18} {contender.name:16} {told}", flush=True)
        finally:
            origin.stop()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    titles = {c.name: c.title for c in contenders}
    page = report.markdown(results, {w.name: w.title for w in workloads}, titles, machine)
    _OUT.mkdir(parents=True, exist_ok=True)
    (_OUT / "results.json").write_text(json.dumps(report.as_json(results, machine), indent=1) + "\n")
    (_OUT / "results.md").write_text(page)
    if options.only or options.workload or options.quick:
        print("\n" + page)
    else:
        _PAGE.write_text(page)
    failed = [entry for entries in results.values() for entry in entries.values() if entry.failed]
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
