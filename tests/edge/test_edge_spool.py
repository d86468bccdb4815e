"""The spool: first in, first out, whether in memory, in its file or in both; and a disk that is full."""

import os
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uncork.edge.spool import MOST_IN_MEMORY, Spool


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    found = Spool(str(tmp_path))
    yield found
    found.close()


def drained(spool: Spool) -> bytes:
    found = b""
    while data := spool.take():
        found += data
    return found


# Sizes that are put (positive), and 0 for a take.
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.just(0), st.integers(1, 100), st.integers(1, 2 * MOST_IN_MEMORY)), max_size=30))
def test_what_comes_out_is_what_went_in(tmp_path: Path, steps: list[int]) -> None:
    spool = Spool(str(tmp_path))
    put = taken = b""
    for at, size in enumerate(steps):
        if size:
            data = bytes([at]) * size
            spool.put(data)
            put += data
        else:
            taken += spool.take()
            assert put.startswith(taken)
        assert spool.extent >= len(put) - len(taken)
        assert (spool.extent == 0) is (put == taken)
    assert taken + drained(spool) == put
    assert spool.extent == 0
    spool.close()
    assert os.listdir(tmp_path) == []


def test_little_is_in_memory_and_much_is_not(spool: Spool, tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    spool.put(bytes(MOST_IN_MEMORY))
    assert spool.in_memory and len(os.listdir("/proc/self/fd")) == before
    spool.put(b"x")
    assert not spool.in_memory and len(os.listdir("/proc/self/fd")) == before + 1
    assert os.listdir(tmp_path) == []  # it has no name
    assert drained(spool) == bytes(MOST_IN_MEMORY) + b"x"
    spool.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_was_taken_leaves_the_disk(spool: Spool) -> None:
    for _ in range(3):
        for _ in range(8):
            spool.put(bytes(MOST_IN_MEMORY + 1))
        assert spool.extent == 8 * (MOST_IN_MEMORY + 1)
        assert len(drained(spool)) == 8 * (MOST_IN_MEMORY + 1)
        assert spool.extent == 0
        assert spool._file is not None and os.fstat(spool._file.fileno()).st_blocks == 0


def test_a_full_disk_loses_nothing(spool: Spool) -> None:
    """The limit on the size of a file stands for the end of a disk: a write is cut short, then fails."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_IN_MEMORY + 1000, limits[1]))
    try:
        spool.put(b"a" * (MOST_IN_MEMORY + 1))
        with pytest.raises(OSError):
            spool.put(b"b" * (MOST_IN_MEMORY + 1))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert drained(spool) == b"a" * (MOST_IN_MEMORY + 1) + b"b" * (MOST_IN_MEMORY + 1)


def test_a_directory_that_is_gone(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "gone"))
    with pytest.raises(FileNotFoundError):
        spool.put(bytes(MOST_IN_MEMORY + 1))
    assert drained(spool) == bytes(MOST_IN_MEMORY + 1)
