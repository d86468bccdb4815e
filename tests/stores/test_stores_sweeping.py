"""Sweeping: the oldest go first, and only as many as must."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.pages import page
from uncork.stores.disk import DiskStore
from uncork.stores.sweeping import SweepOptions, SweepReport, _oldest_to_keep, sweep, sweep_steps

BLOCK = 4096
COUNT = 40


def key(number: int) -> bytes:
    return (number * 6).to_bytes(1, "big") + bytes(15)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A store of pages of one to two blocks, the one of number N used N hours ago."""
    root = tmp_path / "pages"
    store = DiskStore(root)
    now = time.time()
    for number in range(COUNT):
        writer = store.create(key(number), page(status=200 + number % 2))
        writer.write(bytes(BLOCK))
        writer.commit().close()
        os.utime(path(root, number), (now - 3600 * number,) * 2)
    store.close()
    return root


@pytest.fixture
def store(root: Path) -> Iterator[DiskStore]:
    store = DiskStore(root)
    yield store
    store.close()


def path(root: Path, number: int) -> Path:
    return root / key(number).hex()[:2] / key(number).hex()[2:]


def left(root: Path) -> list[int]:
    return [number for number in range(COUNT) if path(root, number).exists()]


def size(root: Path) -> int:
    return sum(path(root, number).stat().st_blocks * 512 for number in left(root))


def test_with_room_nothing_goes(root: Path) -> None:
    report = sweep(root, SweepOptions(most_bytes=size(root)))
    assert report == SweepReport(files=COUNT, bytes=size(root))
    assert left(root) == list(range(COUNT))


def test_the_least_recently_used_go_first_and_no_more_than_must(root: Path) -> None:
    before = size(root)
    report = sweep(root, SweepOptions(most_bytes=before // 2, slack=0.1))
    kept = left(root)
    assert kept == list(range(len(kept)))  # the youngest
    assert before * 0.4 <= size(root) <= before * 0.45
    assert (report.files, report.bytes) == (len(kept), size(root))
    assert (report.removed, report.removed_bytes) == (COUNT - len(kept), before - size(root))
    assert report.oldest == pytest.approx(3600 * len(kept), rel=0.1)


def test_of_one_age_no_more_go_than_must(root: Path) -> None:
    for number in range(COUNT):
        os.utime(path(root, number), (1e9, 1e9))
    before = size(root)
    sweep(root, SweepOptions(most_bytes=before // 2, slack=0.0))
    assert before * 0.45 <= size(root) <= before * 0.5


def test_room_is_kept_for_others(root: Path) -> None:
    report = sweep(root, SweepOptions(most_bytes=2**60, least_free=2**60, slack=0.0))
    assert left(root) == []
    assert (report.files, report.bytes) == (0, 0)


def test_what_nobody_can_use_goes_when_it_was_not_used_for_some_time(root: Path) -> None:
    options = SweepOptions(most_bytes=2**60, inspect_after=3600 * 9.5)
    report = sweep(root, options, lambda found: found.status == 201)
    assert left(root) == [number for number in range(COUNT) if number < 10 or number % 2 == 0]
    assert (report.expendable, report.removed, report.corrupt) == (15, 15, 0)


def test_what_is_corrupt_goes_when_it_is_inspected(root: Path) -> None:
    path(root, 39).write_bytes(b"x")
    os.truncate(path(root, 38), 5000)
    os.utime(path(root, 39), (1e9, 1e9))
    os.utime(path(root, 38), (1e9, 1e9))
    report = sweep(root, SweepOptions(most_bytes=2**60), lambda found: False)
    assert left(root) == list(range(38))
    assert (report.corrupt, report.removed) == (2, 2)


def test_a_signpost_goes_by_its_age_alone(root: Path, store: DiskStore) -> None:
    store.record(key(0)[:15] + b"x", [b"query:q"])
    report = sweep(root, SweepOptions(most_bytes=2**60, inspect_after=0.0), lambda found: True)
    assert (report.files, report.removed) == (1, COUNT)


def test_it_can_be_given_up_after_any_step_and_begun_again(root: Path) -> None:
    options = SweepOptions(most_bytes=0, slack=0.0)
    for stop_after in (0, 100, 300):
        report = SweepReport()
        for at, _ in enumerate(sweep_steps(root, options, report)):
            if at == stop_after:
                break
    assert 0 < len(left(root)) < COUNT
    sweep(root, options)
    assert left(root) == []


def test_temporary_and_foreign_directories_are_left_alone(root: Path, store: DiskStore) -> None:
    writer = store.create(b"x" * 16, page())
    writer.write(bytes(BLOCK))
    (root / "notes").mkdir()
    (root / "notes" / "file").write_bytes(b"x")
    sweep(root, SweepOptions(most_bytes=0))
    assert (root / "notes" / "file").exists()
    writer.commit().close()


def test_a_store_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert sweep(tmp_path, SweepOptions(most_bytes=0)) == SweepReport()


@given(st.dictionaries(st.integers(0, 500), st.integers(1, 1000), min_size=1), st.data())
def test_the_limit_of_age_makes_room_exactly(histogram: dict[int, int], data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, sum(histogram.values())))
    oldest, remaining = _oldest_to_keep(histogram, wanted)
    assert sum(size for step, size in histogram.items() if step > oldest) + remaining == wanted
    assert 0 < remaining <= histogram[oldest]
