"""After a commit is acknowledged, no request that starts later gets a page rendered from the data before it.

Random reads and writes against a real site, compared with a model that knows only what was acknowledged:
each page says which version of which row it was rendered from, and none may be older than what the model
knew when the request began. Meanwhile workers and origins are killed and exchanged.
"""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from support import rows_app
from support.raw_client import Broken, RawClient
from support.sites import kill, origin_pid, rows_site, state_of, worker_pids
from support.soak import soak
from support.uncork_process import Uncork
from uncork.purging.table import ClockTable

ROWS = 12
READERS = 5
WRITERS = 2

# What an origin or a worker that was just killed may answer.
OUTAGE = {502, 503, 504}


class Model:
    """The newest acknowledged version of each row."""

    def __init__(self, rows: int) -> None:
        self._versions = [1] * rows
        self._lock = threading.Lock()

    def acknowledge(self, row: int, version: int) -> None:
        with self._lock:
            self._versions[row] = max(self._versions[row], version)

    def known(self) -> list[int]:
        with self._lock:
            return self._versions.copy()


class Run:
    """The threads of one run, and what they counted."""

    def __init__(self, address: str, directory: Path, seconds: float, seed: int) -> None:
        self.address = address
        self.directory = directory
        self.model = Model(ROWS)
        self.counts: Counter[str] = Counter()
        self.over = time.monotonic() + seconds
        self.seed = seed
        self.failed = threading.Event()

    def running(self) -> bool:
        return time.monotonic() < self.over and not self.failed.is_set()

    def read(self, number: int) -> None:
        """Ask for random pages, and hold each against the model."""
        dice = random.Random(self.seed * 100 + number)
        with RawClient(self.address) as client:
            while self.running():
                target, languages = random_page(dice)
                known = self.model.known()
                try:
                    response = client.ask(target, accept_language=languages, accept_encoding="identity")
                except Broken:
                    self.counts["broken"] += 1
                    time.sleep(0.01)
                    continue
                if response.status in OUTAGE:
                    self.counts[f"status {response.status}"] += 1
                    time.sleep(0.05)
                    continue
                assert response.status == 200, response
                shown = rows_app.versions(response.body)
                old = {row: (version, known[row]) for row, version in shown.items() if version < known[row]}
                assert not old, f"{target}: row: (shown, known before) = {old}; {response.lines}"
                self.counts["reads"] += 1
                if "; hit" in (response["cache-status"] or ""):
                    self.counts["hits"] += 1
                if dice.random() < 0.02:
                    client.close()

    def write_beside(self, number: int) -> None:
        """Commit and purge as an application process does that no request goes to: a worker of a queue."""
        dice = random.Random(self.seed * 100 + 50 + number)
        connection = rows_app.connect(str(self.directory / "rows.sqlite"))
        table = ClockTable(state_of(self.directory))
        try:
            while self.running():
                row = random_row(dice)
                self.model.acknowledge(row, rows_app.write(connection, table, row))
                self.counts["writes"] += 1
                time.sleep(dice.expovariate(8))
        finally:
            table.close(clean=False)
            connection.close()

    def write_through(self, number: int) -> None:
        """Have the application commit and purge, and know what it acknowledged."""
        dice = random.Random(self.seed * 100 + 80 + number)
        with RawClient(self.address) as client:
            while self.running():
                row = random_row(dice)
                try:
                    response = client.ask(f"/fresh/{row}", "POST", b"")
                except Broken:
                    continue
                if response.status == 200:
                    self.model.acknowledge(row, int(response.body))
                    self.counts["posts"] += 1
                else:
                    assert response.status in OUTAGE, response
                time.sleep(dice.expovariate(5))

    def disturb(self, uncork: Uncork) -> None:
        """Reload, and kill what is killed at random instants."""
        dice = random.Random(self.seed * 100 + 99)
        while self.over - time.monotonic() > 1.5 and self.running():
            time.sleep(dice.uniform(0.2, 1.2))
            match dice.choice(("reload", "worker", "worker", "origin", "origin worker")):
                case "reload":
                    uncork.send(1)
                    uncork.wait_for("uncork: reloaded")
                case "worker":
                    if not (pids := worker_pids(uncork, self.directory)):
                        continue
                    kill(dice.choice(pids))
                    uncork.wait_for("replacing it")
                case "origin":
                    kill(origin_pid(uncork, self.directory))
                    uncork.wait_for("the origin answers again")
                case "origin worker":
                    with RawClient(self.address) as client:
                        try:
                            response = client.ask("/pid")
                        except Broken:
                            continue
                        if response.status == 200:
                            kill(int(response.body))
            self.counts["disturbances"] += 1

    def go(self, *work: Callable[[], None]) -> None:
        """Run all of it at once; raise what the first failed with."""

        def stop_all(future: "Future[None]") -> None:
            if future.exception() is not None:
                self.failed.set()

        with ThreadPoolExecutor(len(work)) as pool:
            futures = [pool.submit(one) for one in work]
            for future in futures:
                future.add_done_callback(stop_all)
        for future in futures:
            future.result()


def random_row(dice: random.Random) -> int:
    """Low rows are hot."""
    return min(int(dice.expovariate(0.5)), ROWS - 1)


def random_page(dice: random.Random) -> tuple[str, str]:
    """A target and an Accept-Language: some pages over and over, some hardly ever."""
    rows = sorted({random_row(dice) for _ in range(dice.choice((1, 1, 1, 1, 1, 2, 3)))})
    kind = dice.choice(list(rows_app.KINDS)) if dice.random() < 0.3 else "fresh"
    query = []
    if dice.random() < 0.1:
        query.append("pad=" + dice.choice(("3000", "200000")))
    if dice.random() < 0.05:
        query.append("slow=" + dice.choice(("0.01", "0.05", "0.2")))
    target = f"/{kind}/" + ",".join(map(str, rows)) + ("?" + "&".join(query) if query else "")
    return target, "de" if dice.random() < 0.1 else "en"


@pytest.mark.parametrize("workers", [1, 3])
def test_no_page_from_before_an_acknowledged_commit(tmp_path: Path, workers: int) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with rows_site(tmp_path, rows=ROWS, workers=workers) as uncork:
        run = Run(uncork.address, tmp_path, soak(12.0), seed)
        run.go(
            lambda: run.disturb(uncork),
            *(lambda number=number: run.read(number) for number in range(READERS)),
            *(lambda number=number: run.write_beside(number) for number in range(WRITERS - 1)),
            lambda: run.write_through(0),
        )
        print(dict(run.counts))
    counts = run.counts
    # It was a test of something: pages came from the store while they were purged.
    assert counts["hits"] > 100 and counts["writes"] > 20 and counts["posts"] > 10, counts
    assert counts["disturbances"] >= 2, counts
    # Killed processes break what was under way, and no more than that.
    lost = counts["broken"] + sum(count for name, count in counts.items() if name.startswith("status"))
    assert lost < counts["reads"] / 4, counts
