"""What a write costs with its purge, and how soon after a commit nobody is served the old page.

    python -m bench.writes [--rounds 5] [--postgresql]

Lives here: statements of the ORM in a process of their own, with the app installed and without, in turns; and
a process that has the clock mapped and waits for a purge. Doesn't know: renders (`bench.recorder`).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import Any

TESTS = Path(__file__).resolve().parent.parent / "tests"
_TIMES = 200
_ROWS = 100
_COMMITS = 2000


def child(installed: bool, database: dict[str, Any], state_dir: str) -> dict[str, float]:
    """Microseconds for each kind of write, by the clock on the wall: the database's work is part of it."""
    set_up(installed, database, state_dir)
    from django.db import transaction
    from testsite.models import Organisation, Topic

    Organisation.objects.all().delete()
    one = Organisation.objects.create(name="n", code="c")
    numbers = iter(range(10**9))

    def save() -> None:
        one.rank = next(numbers)
        one.save()

    def in_a_block() -> None:
        with transaction.atomic():
            save()

    def ten_in_a_block() -> None:
        with transaction.atomic():
            for _ in range(10):
                save()

    def create() -> None:
        Topic.objects.create(slug=f"s{next(numbers)}")

    def create_in_bulk() -> None:
        Topic.objects.bulk_create([Topic(slug=f"s{next(numbers)}") for _ in range(_ROWS)])

    def update_all() -> None:
        Organisation.objects.update(rank=next(numbers))

    def delete() -> None:
        Topic.objects.filter(pk=f"s{next(deleted)}").delete()

    found = {
        "save(), autocommit": measured(save),
        "save() in atomic()": measured(in_a_block),
        "save(), one of ten in atomic()": measured(ten_in_a_block, _TIMES // 10) / 10,
        "create(), autocommit": measured(create),
    }
    Topic.objects.all()._raw_delete("default")
    Topic.objects.bulk_create([Topic(slug=f"s{n}") for n in range(2 * _TIMES)])
    deleted = iter(range(2 * _TIMES))
    found["delete() of one"] = measured(delete)
    found[f"bulk_create() of {_ROWS}, per row"] = measured(create_in_bulk, 20) / _ROWS
    Organisation.objects.bulk_create([Organisation(name="n", code=f"c{n}") for n in range(_ROWS - 1)])
    found[f"update() of {_ROWS}, per row"] = measured(update_all, 20) / _ROWS
    Topic.objects.all()._raw_delete("default")
    Organisation.objects.all()._raw_delete("default")
    return found


def measured(act: Callable[[], object], times: int = _TIMES) -> float:
    """The median of so many, after a few that don't count."""
    for _ in range(5):
        act()
    found = []
    for _ in range(times):
        begin = time.perf_counter_ns()
        act()
        found.append(time.perf_counter_ns() - begin)
    return median(found) / 1000


@contextmanager
def ahead() -> Iterator[None]:
    """Before what else runs on the machine, where that is allowed."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass
    yield
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def set_up(installed: bool, database: dict[str, Any], state_dir: str) -> None:
    os.environ["UNCORK_STATE_DIR"] = state_dir
    sys.path[:0] = [str(TESTS), str(TESTS / "django" / "site")]
    import django
    from django.conf import settings

    settings.configure(
        DATABASES={"default": database},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=["django.contrib.contenttypes", "testsite", *(["uncork.django"] if installed else [])],
        MIGRATION_MODULES={"contenttypes": None},
    )
    django.setup()
    from django.core.management import call_command

    call_command("migrate", run_syncdb=True, verbosity=0)


def committing(database: dict[str, Any], state_dir: str) -> None:
    """Commits, and says of each when the database's COMMIT had returned."""
    set_up(True, database, state_dir)
    from django.db import transaction
    from django.db.backends.base.base import BaseDatabaseWrapper
    from testsite.models import Organisation

    one = Organisation.objects.create(name="n", code="c")
    original = BaseDatabaseWrapper._commit
    done = [0]

    def commit(self: Any) -> None:
        original(self)
        done[0] = time.monotonic_ns()

    BaseDatabaseWrapper._commit = commit
    print("ready", flush=True)
    for at in range(_COMMITS):
        sys.stdin.readline()  # the other one looks
        one.rank = at + 1
        with transaction.atomic():
            one.save()
        print(done[0], flush=True)
    one.delete()


def latency(database: dict[str, Any], state_dir: str) -> tuple[float, float, float]:
    """Microseconds from the return of a COMMIT to when another process refuses the page: median, the 99th
    percentile, the longest."""
    from uncork.pages.clock import Verdict
    from uncork.pages.tags import table_tag
    from uncork.purging.table import ClockTable

    table = ClockTable(Path(state_dir))
    slot = table.slot(table_tag(b"testsite_organisation"))
    found = []
    with ahead(), start("committing", database, state_dir) as writer:
        assert writer.stdout is not None and writer.stdin is not None
        writer.stdout.readline()
        for _ in range(_COMMITS):
            stamp = table.clock.stamp()
            writer.stdin.write("\n")
            writer.stdin.flush()
            while table.clock.verdict(stamp, [slot]) is Verdict.VALID:
                pass
            seen = time.monotonic_ns()
            found.append((seen - int(writer.stdout.readline())) / 1000)
    return median(found), quantiles(found, n=100)[98], max(found)


def start(task: str, database: dict[str, Any], state_dir: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench.writes", "--child", task, json.dumps(database), state_dir]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(task: str, database: dict[str, Any], state_dir: str) -> dict[str, float]:
    with start(task, database, state_dir) as process:
        assert process.stdout is not None
        found: dict[str, float] = json.load(process.stdout)
    return found


def report(name: str, database: dict[str, Any], rounds: int) -> None:
    with tempfile.TemporaryDirectory() as state_dir:
        from uncork.purging.table import ClockTable

        ClockTable(Path(state_dir)).close()
        found: dict[str, list[dict[str, float]]] = {"without": [], "with": []}
        for _ in range(rounds):
            for kind in found:
                found[kind].append(run(kind, database, state_dir))
        print(f"{name:34} {'without':>10} {'with':>10}   more, in µs")
        for write in found["with"][0]:
            without, more = (median(one[write] for one in found[kind]) for kind in ("without", "with"))
            print(f"  {write:32} {without:10.1f} {more:10.1f} {more - without:10.1f}")
        middle, late, longest = latency(database, state_dir)
        print(f"  COMMIT to refused elsewhere: median {middle:.0f}, p99 {late:.0f}, longest {longest:.0f} µs")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--postgresql", action="store_true", help="a server of its own as well")
    parser.add_argument("--child", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child is not None:
        task, database, state_dir = arguments.child
        if task == "committing":
            committing(json.loads(database), state_dir)
        else:
            with ahead():
                print(json.dumps(child(task == "with", json.loads(database), state_dir)))
        return
    with tempfile.TemporaryDirectory() as directory:
        file = f"{directory}/db.sqlite3"
        engine = "django.db.backends.sqlite3"
        # Without waiting for the disk, which is the same for both, and takes most of the time.
        options = {"init_command": "PRAGMA journal_mode = wal; PRAGMA synchronous = off"}
        report("SQLite", {"ENGINE": engine, "NAME": file, "OPTIONS": options}, arguments.rounds)
    if arguments.postgresql:
        sys.path.insert(0, str(TESTS))
        from support import postgres

        server = postgres.Postgres()
        server.start()
        try:
            engine = {"ENGINE": "django.db.backends.postgresql", "NAME": postgres.DATABASE}
            report(
                "PostgreSQL", {**engine, "USER": postgres.USER, "HOST": server.socket_dir}, arguments.rounds
            )
        finally:
            server.stop()


if __name__ == "__main__":
    main()
