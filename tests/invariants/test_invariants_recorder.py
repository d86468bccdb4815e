"""With the recorder, and not a line about caching in the site: nobody ever sees a stale page, or another's.

Random reads and writes of a site that reads and writes in every way there is, with killed processes in
between; see `support.recorded_soak`. A seed that failed is run again by UNCORK_SEED=…: the same requests and
writes, though not at the same instants.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.postgres import Postgres
from support.recorded_project import recorded_site
from support.recorded_soak import Soak
from support.soak import FACTOR, soak


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    server = Postgres()
    server.start()
    yield server
    server.stop()


def many(reads: int) -> int:
    """So many in the normal run. Of a long one each test takes the same share, at 20 times 220,000 in all."""
    return reads if FACTOR == 1 else int(soak(2_750))


def seeds() -> int:
    return int(os.environ.get("UNCORK_SEED") or random.randrange(2**31))


@pytest.mark.parametrize(
    "workers, application, reads",
    [
        pytest.param(1, "recorded.wsgi:application", 2_000, id="1 worker"),
        pytest.param(4, "recorded.wsgi:application", 2_000, id="4 workers"),
        pytest.param(4, "recorded.asgi:application", 1_000, id="4 workers, ASGI"),
    ],
)
def test_on_sqlite(tmp_path: Path, workers: int, application: str, reads: int) -> None:
    with recorded_site(tmp_path, workers=workers, application=application) as site:
        hold(Soak(site, seeds()), many(reads))


def test_on_postgresql(tmp_path: Path, postgres: Postgres) -> None:
    with recorded_site(tmp_path, workers=4, postgres=postgres) as site:
        hold(Soak(site, seeds()), many(2_000))


def hold(run: Soak, reads: int) -> None:
    print(f"seed {run.seed}")
    try:
        run.run(reads)
    finally:
        print(run.summary())
        print(dict(run.counts))
    counts = run.counts
    # It was a test of something: many pages came from the store, many of them from before the last writes.
    assert counts["hits"] > counts["reads"] * 0.4, counts
    assert counts["survivors"] > counts["bursts"] * 10, counts
    assert counts["writes"] > counts["bursts"], counts
    assert counts["writes refused"] < counts["writes"] * 0.3, counts
    # Killed processes break what was under way, and no more than that.
    assert counts["broken"] + counts["outages"] < counts["reads"] / 4, counts
