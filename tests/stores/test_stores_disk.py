"""The disk store: damaged files, a full disk, processes that are killed."""

import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.pages import PAGE, page
from uncork.pages.pagefile import CorruptPage, encode_head
from uncork.stores.contract import Signpost, StoredPage, StoreFull
from uncork.stores.disk import DiskOptions, DiskStore

KEY = bytes(range(16))
BODY = b"0123456789" * 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "pages"


@pytest.fixture
def store(root: Path) -> Iterator[DiskStore]:
    opened = DiskStore(root, DiskOptions(retry_after=0.0))
    yield opened
    opened.close()


def path_of(root: Path, key: bytes = KEY) -> Path:
    return root / key.hex()[:2] / key.hex()[2:]


def put(store: DiskStore, key: bytes = KEY, body: bytes = BODY) -> None:
    writer = store.create(key, PAGE, [b"query:q"])
    writer.write(body)
    writer.commit().close()


def page_at(store: DiskStore, key: bytes = KEY) -> StoredPage:
    entry = store.lookup(key)
    assert isinstance(entry, StoredPage)
    return entry


def leftovers(root: Path) -> list[str]:
    return [
        name
        for home in (root / "tmp").iterdir()
        if home.is_dir()
        for name in os.listdir(home)
        if name != "lock"
    ]


def test_a_page_is_one_private_file(store: DiskStore, root: Path) -> None:
    put(store)
    assert path_of(root).stat().st_mode & 0o777 == 0o600
    assert path_of(root).parent.stat().st_mode & 0o777 == 0o700
    assert path_of(root).read_bytes().endswith(BODY)
    assert leftovers(root) == []


@pytest.mark.parametrize("at", [0, 9, 20, 100, 180, 300])
def test_a_damaged_head_is_a_miss_and_removed(store: DiskStore, root: Path, at: int) -> None:
    put(store)
    data = bytearray(path_of(root).read_bytes())
    data[at] ^= 1
    path_of(root).write_bytes(data)
    assert store.lookup(KEY) is None
    assert not path_of(root).exists()
    assert store.statistics().corrupt == 1


@pytest.mark.parametrize("size", [0, 1, 167, 168, 300, -1])
def test_a_file_that_is_cut_off_is_a_miss_and_removed(store: DiskStore, root: Path, size: int) -> None:
    put(store)
    path_of(root).write_bytes(path_of(root).read_bytes()[:size])
    assert store.lookup(KEY) is None
    assert not path_of(root).exists()


def test_a_file_that_is_too_long_is_a_miss_and_removed(store: DiskStore, root: Path) -> None:
    put(store)
    path_of(root).write_bytes(path_of(root).read_bytes() + b"x")
    assert store.lookup(KEY) is None
    assert not path_of(root).exists()


def test_a_file_of_zeros_is_a_miss_and_removed(store: DiskStore, root: Path) -> None:
    put(store)
    path_of(root).write_bytes(bytes(path_of(root).stat().st_size))
    assert store.lookup(KEY) is None
    assert not path_of(root).exists()


def test_a_page_without_a_body_is_a_miss_and_removed(store: DiskStore, root: Path) -> None:
    path_of(root).write_bytes(encode_head(PAGE, ()))
    assert store.lookup(KEY) is None
    assert not path_of(root).exists()


def test_a_damaged_body_is_noticed_when_it_is_read(store: DiskStore, root: Path) -> None:
    put(store)
    data = bytearray(path_of(root).read_bytes())
    data[-1] ^= 1
    path_of(root).write_bytes(data)
    stored = page_at(store)
    with pytest.raises(CorruptPage):
        stored.read()
    with pytest.raises(CorruptPage):  # and gets no digest of its own
        store.add_codings(KEY, stored, {b"br": b"x"})
    stored.close()


def test_a_body_that_is_cut_off_under_a_reader_is_noticed(store: DiskStore, root: Path) -> None:
    put(store)
    stored = page_at(store)
    os.truncate(path_of(root), 500)
    with pytest.raises(CorruptPage):
        stored.read()
    stored.close()


def test_a_page_that_can_not_be_read_is_a_miss(store: DiskStore, root: Path) -> None:
    path_of(root).mkdir()
    assert store.lookup(KEY) is None
    assert store.statistics().read_errors == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """A real error of write(2): the kernel lets no file grow beyond this."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_stops_storing_and_goes_on_serving(root: Path) -> None:
    store = DiskStore(root, DiskOptions(retry_after=3600.0))
    put(store)
    with largest_file(5000):
        writer = store.create(b"x" * 16, PAGE)
        with pytest.raises(StoreFull) as first:
            writer.write(BODY)
            writer.commit()
        with pytest.raises(StoreFull) as second:
            store.create(b"x" * 16, PAGE)
    assert (first.value.first, second.value.first) == (True, False)
    assert writer.fd == -1
    writer.abort()
    assert leftovers(root) == []
    assert store.lookup(b"x" * 16) is None
    page_at(store).close()
    counted = store.statistics()
    assert (counted.refused, counted.last_refusal) == (2, "File too large")
    with pytest.raises(StoreFull):
        store.record(b"y" * 16, [b"query:q"])
    store.close()


@pytest.mark.parametrize("size", [100, 5000])
def test_a_disk_that_fills_up_leaves_the_page_as_it_was(store: DiskStore, root: Path, size: int) -> None:
    put(store)
    stored = page_at(store)
    with largest_file(size):
        with pytest.raises(StoreFull):
            store.add_codings(KEY, stored, {b"br": b"x"})
        with pytest.raises(StoreFull):
            store.freshen(KEY, stored, PAGE)
        with pytest.raises(StoreFull):
            store.record(KEY, [b"cookie:sid"])
    stored.close()
    assert leftovers(root) == []
    stored = page_at(store)
    assert (stored.read(), stored.names, list(stored.bodies)) == (BODY, (b"query:q",), [b""])
    stored.close()


def test_it_takes_pages_again_when_there_is_room(store: DiskStore) -> None:
    with largest_file(100), pytest.raises(StoreFull) as first:
        put(store)
    put(store)
    with largest_file(100), pytest.raises(StoreFull) as again:
        put(store)
    assert first.value.first and again.value.first


def test_directories_that_were_removed_are_made_again(store: DiskStore, root: Path) -> None:
    put(store)
    for entry in root.iterdir():
        shutil.rmtree(entry)
    assert store.lookup(KEY) is None
    put(store)
    assert page_at(store).read() == BODY
    shutil.rmtree(path_of(root).parent)
    put(store)
    page_at(store).close()


def test_a_page_that_lost_its_temporary_file_is_not_stored(store: DiskStore, root: Path) -> None:
    writer = store.create(KEY, PAGE)
    shutil.rmtree(root)
    with pytest.raises(StoreFull):
        writer.commit()
    assert store.lookup(KEY) is None


def test_a_page_that_is_used_is_marked_as_used(root: Path) -> None:
    store = DiskStore(root, DiskOptions(touch_after=100.0))
    put(store)
    now = time.time()
    for age, touched in ((50, False), (200, True), (-200, True)):
        os.utime(path_of(root), (now - age, now - age))
        page_at(store).close()
        assert (abs(path_of(root).stat().st_mtime - now) < 40) is touched
    store.close()


def test_names_that_others_record_meanwhile_are_kept(store: DiskStore, root: Path) -> None:
    other = DiskStore(root)
    writer = store.create(KEY, page(inputs=()), [b"query:q"])
    writer.write(BODY)
    other.record(KEY, [b"cookie:sid"])
    stored = writer.commit()
    assert stored.names == (b"cookie:sid", b"query:q")
    assert stored.read() == BODY
    stored.close()
    stored = page_at(store)
    assert (stored.names, stored.read()) == ((b"cookie:sid", b"query:q"), BODY)
    stored.close()
    other.close()


def test_who_follows_can_read_the_body_while_it_is_written(store: DiskStore) -> None:
    writer = store.create(KEY, PAGE)
    for chunk in (b"one", b"two"):
        writer.write(chunk)
        assert os.pread(writer.fd, 100, writer.offset + writer.length - 3) == chunk
    writer.abort()


def test_a_signpost_is_a_file_too(store: DiskStore, root: Path) -> None:
    store.record(KEY, [b"query:q"])
    data = path_of(root).read_bytes()
    assert store.lookup(KEY) == Signpost((b"query:q",))
    path_of(root).write_bytes(data[:-1])
    assert store.lookup(KEY) is None


def test_what_a_living_process_is_writing_stays(root: Path) -> None:
    one = DiskStore(root)
    writer = one.create(KEY, PAGE)
    writer.write(BODY)
    other = DiskStore(root)
    writer.commit().close()
    page_at(other).close()
    one.close()
    other.close()
    assert os.listdir(root / "tmp") == ["lock"]


WRITER = """
import os, random, sys
from pathlib import Path
from support.pages import PAGE
from uncork.stores.contract import StoredPage
from uncork.stores.disk import DiskStore

store = DiskStore(Path(sys.argv[1]))
chance = random.Random(int(sys.argv[2]))
os.write(1, b"+")
while True:
    key = bytes([chance.randrange(20)]) * 16
    body = os.urandom(chance.randrange(200_000))
    writer = store.create(key, PAGE)
    for at in range(0, len(body), 16384):
        writer.write(body[at : at + 16384])
    stored = writer.commit()
    store.record(key, [b"query:%d" % chance.randrange(30)])
    stored = store.lookup(key)
    store.add_codings(key, stored, {b"br": body[:1000]})
    stored.close()
    os.write(1, b"+")
"""


def test_a_killed_writer_leaves_whole_pages_and_nothing_else(root: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    chance = random.Random(0)
    found = 0
    for seed in range(6):
        command = [sys.executable, "-c", WRITER, str(root)]
        writers = [
            subprocess.Popen([*command, str(seed + part)], stdout=subprocess.PIPE, env=environment)
            for part in (0, 100)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.read(5)
        time.sleep(chance.random() * 0.02)  # any instruction will do
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for writer in writers:
            writer.stdout.close()  # type: ignore[union-attr]
            writer.wait()
        store = DiskStore(root)
        for number in range(20):
            entry = store.lookup(bytes([number]) * 16)
            if isinstance(entry, StoredPage):
                for coding in entry.bodies:
                    entry.read(coding)
                entry.close()
                found += 1
        assert store.statistics().corrupt == 0
        assert leftovers(root) == []
        store.close()
        assert os.listdir(root / "tmp") == ["lock"]
    assert found > 20
