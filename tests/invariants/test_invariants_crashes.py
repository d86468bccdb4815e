"""A crash of any process at any instant loses no purge and corrupts no page.

Everything that belongs to a running Uncork is killed, all of it or a part, while pages are read, written
and purged. Whatever is found afterwards is whole, and what starts next on the same state directory knows
every purge that was acknowledged, and the pages that were not purged.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import rows_app
from support.edge_client import eventually
from support.raw_client import Broken, RawClient
from support.sites import kill, origin_pid, running_site, state_of, worker_pids
from support.soak import soak
from support.uncork_process import Uncork
from uncork.pages.pagefile import decode_head, head_length
from uncork.purging.table import ClockTable
from uncork.stores.contract import StoredPage
from uncork.stores.disk import DiskStore

ROWS = 30
SECONDS_OF_A_LIFE = 1.5


def page_files(directory: Path) -> Iterator[Path]:
    """The files that have a page's name: two hex digits, then thirty."""
    for path in (state_of(directory) / "pages").glob("*/*"):
        if len(path.parent.name) == 2 and len(path.name) == 30:
            yield path


def check_store(directory: Path) -> int:
    """Every page file is complete: its head, its length, and each of its bodies. How many there are."""
    store = DiskStore(state_of(directory) / "pages")
    count = 0
    try:
        for path in page_files(directory):
            data = path.read_bytes()
            head = decode_head(data[: head_length(data)])
            assert head.size == len(data), path
            found = store.lookup(bytes.fromhex(path.parent.name + path.name))
            if isinstance(found, StoredPage):
                for coding in found.bodies:
                    found.read(coding)  # raises CorruptPage when it isn't what was written
                found.close()
            count += 1
        assert store.statistics().corrupt == 0
    finally:
        store.close()
    return count


def purger(directory: Path, versions: list[int], over: threading.Event, counts: Counter[str]) -> None:
    """Commits and purges, and knows what was acknowledged to it."""
    dice = random.Random()
    connection = rows_app.connect(str(directory / "rows.sqlite"))
    table = ClockTable(state_of(directory))
    try:
        while not over.is_set():
            row = dice.randrange(ROWS)
            versions[row] = rows_app.write(connection, table, row)
            counts["writes"] += 1
            time.sleep(dice.expovariate(50))
    finally:
        table.close(clean=False)
        connection.close()


def reader(
    address: str, versions: list[int], over: threading.Event, counts: Counter[str], number: int
) -> None:
    dice = random.Random()
    with RawClient(address) as client:
        while not over.is_set():
            row = dice.randrange(ROWS)
            known = versions[row]
            pad = dice.choice(("", "?pad=5000", "?pad=400000"))
            try:
                response = client.ask(
                    f"/fresh/{row}{pad}", accept_encoding=dice.choice(("identity", "br", "gzip"))
                )
            except (Broken, ConnectionError):
                counts["broken"] += 1
                time.sleep(0.02)
                continue
            if response.status == 200:
                if response["content-encoding"] is None:
                    assert rows_app.versions(response.body)[row] >= known, response.lines
                counts["reads"] += 1
            else:
                assert response.status in (502, 503, 504), response
                time.sleep(0.02)


def kill_something(dice: random.Random, uncork: Uncork, directory: Path) -> bool:
    """Whether the supervisor is among what was killed."""
    what = dice.choice(("supervisor", "everything", "worker", "worker", "origin"))
    if what in ("supervisor", "everything"):
        pids = [uncork.process.pid]
        if what == "everything":
            pids += [*worker_pids(uncork, directory), *filter(None, [origin_pid(uncork, directory)])]
        for pid in pids:
            kill(pid)
        return True
    if what == "origin":
        kill(origin_pid(uncork, directory))
        uncork.wait_for("the origin answers again")
    else:
        eventually(lambda: worker_pids(uncork, directory))  # those of the last kill may be on their way
        kill(dice.choice(worker_pids(uncork, directory)))
        uncork.wait_for("replacing it")
    return False


def test_whatever_is_killed(tmp_path: Path) -> None:
    rows_app.create(tmp_path / "rows.sqlite", ROWS)
    counts: Counter[str] = Counter()
    versions = [1] * ROWS
    dice = random.Random(random.randrange(2**32))
    pages = 0
    for _ in range(round(soak(5))):
        over = threading.Event()
        with running_site(tmp_path, workers=2) as uncork, ThreadPoolExecutor(5) as pool:
            work = [pool.submit(purger, tmp_path, versions, over, counts)]
            work += [pool.submit(reader, uncork.address, versions, over, counts, n) for n in range(4)]
            try:
                time.sleep(dice.uniform(0.3, SECONDS_OF_A_LIFE))
                while not kill_something(dice, uncork, tmp_path):
                    time.sleep(dice.uniform(0.1, 0.5))
                    counts["killed beside"] += 1
                counts["lives"] += 1
                check_store(tmp_path)  # while the orphans, if there are any, still write
            finally:
                over.set()
            for one in work:
                one.result()
            uncork.process.wait()
        pages = check_store(tmp_path)
    with running_site(tmp_path, workers=2) as uncork, RawClient(uncork.address) as client:
        kept = 0
        for row in range(ROWS):
            response = client.ask(f"/fresh/{row}", accept_encoding="identity")
            assert rows_app.versions(response.body)[row] == versions[row]
            kept += "; hit" in (response["cache-status"] or "")
        assert uncork.stop(signal.SIGTERM) == 0
    print(dict(counts), pages, kept)
    assert pages and kept, "pages outlive the processes that made them"
    assert counts["reads"] > 100 and counts["writes"] > 50, counts
    assert not list(state_of(tmp_path).glob("purge.clock.*"))
    assert os.path.getsize(state_of(tmp_path) / "purge.clock") > 0
