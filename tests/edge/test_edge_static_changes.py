"""Files that appear, change and vanish: never an old length, never an old validator."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.file_site import FileSite, read, request
from uncork.edge.answers import FilePart

SMALL = 1000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    with FileSite(tmp_path / "static", small=SMALL) as site:
        yield site


@pytest.fixture(params=[10, 5000], ids=["in-memory", "in-file"])
def size(request: pytest.FixtureRequest) -> int:
    assert isinstance(request.param, int)
    return request.param


def test_it_appears_changes_and_vanishes(site: FileSite, size: int) -> None:
    assert site.find("/static/a.bin") is None
    path = site.write("a.bin", b"1" * size)
    first = site.get("/static/a.bin")
    assert (first.body, first.unchanged()) == (b"1" * size, True)

    site.write("a.bin", b"2" * (size + 1), age=60)
    assert not first.unchanged()
    second = site.get("/static/a.bin", if_none_match=first["etag"])
    assert (second.status, second.body) == (200, b"2" * (size + 1))
    assert (second["etag"], second["last-modified"]) != (first["etag"], first["last-modified"])

    path.unlink()
    assert not second.unchanged()
    assert site.find("/static/a.bin") is None


def test_it_is_replaced_by_a_rename(site: FileSite, size: int) -> None:
    site.write("a.bin", b"1" * size)
    first = site.get("/static/a.bin")
    site.write("new", b"2" * size)  # of the same age and length, as two builds may be
    (site.root / "new").rename(site.root / "a.bin")
    assert not first.unchanged()
    second = site.get("/static/a.bin", if_none_match=first["etag"])
    assert (second.status, second.body) == (200, b"2" * size)


def test_it_is_rewritten_with_the_same_length_and_date(site: FileSite, size: int) -> None:
    site.write("a.bin", b"1" * size)
    first = site.get("/static/a.bin")
    site.write("a.bin", b"2" * size)
    assert not first.unchanged()
    second = site.get("/static/a.bin", if_none_match=first["etag"])
    assert (second.status, second.body) == (200, b"2" * size)
    assert second["etag"] != first["etag"]


def test_a_directory_is_swapped_for_another(site: FileSite, size: int) -> None:
    site.write("v1/a.bin", b"1" * size)
    site.write("v2/a.bin", b"2" * size)
    (site.root / "current").symlink_to("v1")
    first = site.get("/static/current/a.bin")
    (site.root / "next").symlink_to("v2")
    (site.root / "next").rename(site.root / "current")
    assert not first.unchanged()
    assert site.get("/static/current/a.bin").body == b"2" * size


def test_it_becomes_a_directory(site: FileSite) -> None:
    path = site.write("a")
    first = site.get("/static/a")
    path.unlink()
    site.write("a/index.html")
    assert not first.unchanged()
    assert site.get("/static/a").status == 301


def test_what_is_being_sent_stays_what_it_was_when_the_name_goes(site: FileSite) -> None:
    path = site.write("a.bin", b"1" * 5000)
    answer = site.ask(request("/static/a.bin"))
    assert answer is not None and isinstance(answer.body, FilePart)
    path.unlink()
    site.write("a.bin", b"2" * 10)
    assert read(answer).body == b"1" * 5000


# While it is being written


def test_a_date_is_sent_only_when_its_second_is_over(site: FileSite, size: int) -> None:
    """RFC 9110 §8.8.2.2: another change within it would have the same date"""
    site.now = 1_000_000_000.9
    site.write("a.bin", b"1" * size, age=0.4)
    assert site.get("/static/a.bin")["last-modified"] is None
    site.now += 0.2
    assert site.get("/static/a.bin")["last-modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"


def test_a_date_in_the_future_is_never_sent(site: FileSite, size: int) -> None:
    """RFC 9110 §8.8.2.1"""
    site.write("a.bin", b"1" * size, age=-5000)
    got = site.get("/static/a.bin")
    assert got["last-modified"] is None
    assert got["etag"] is not None
    assert got.unchanged()


def test_what_was_just_modified_may_change_again_unseen(site: FileSite, size: int) -> None:
    site.write("a.55e7cbb9ba48.bin", b"1" * size, age=1.0)
    got = site.get("/static/a.55e7cbb9ba48.bin")
    assert not got.unchanged()
    assert (got["etag"] is None) == (size > SMALL)  # of a small file, it is the hash of what was sent
    assert got["cache-control"] == "public, max-age=0, must-revalidate"
    site.now += 1.5
    later = site.get("/static/a.55e7cbb9ba48.bin")
    assert later.unchanged()
    assert later["etag"] is not None
    assert later["cache-control"] == "public, max-age=31536000, immutable"


WRITER = """
import os, sys
path, sizes = sys.argv[1], [int(size) for size in sys.argv[2].split(",")]
replace = sys.argv[3] == "replace"
turn = 0
while os.getppid() == int(os.environ["PARENT"]):
    turn += 1
    content = b"%d" % (turn % 10) * sizes[turn % len(sizes)]
    with open(path + ".new" if replace else path, "wb") as file:
        file.write(content)
    if replace:
        os.rename(path + ".new", path)
    if turn == 1:
        print("ready", flush=True)
"""


@pytest.mark.parametrize("how", ["replace", "in-place"])
def test_validator_length_and_bytes_belong_together(site: FileSite, how: str) -> None:
    """Somebody writes all the time, small and large. In place, half-written content is what the file then is;
    yet the length is that of the bytes, and no strong validator ever stands for two contents."""
    site.write("a.bin", b"0" * 100)
    command = [sys.executable, "-c", WRITER, str(site.root / "a.bin"), "100,900,2000,100,5000", how]
    seen: dict[str, bytes] = {}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PARENT": str(os.getpid())}
    ) as writer:
        assert writer.stdout is not None
        writer.stdout.readline()
        try:
            # On a busy machine the two of us may take turns rarely.
            for turn in range(200_000):
                if turn >= 2000 and len(seen) >= 4:
                    break
                answer = site.ask(request("/static/a.bin"))
                assert answer is not None
                if isinstance(answer.body, FilePart):
                    # An in-place writer may truncate it under our hands: the sender's business.
                    whole = os.pread(answer.body.file.fd, 10_000, 0)
                    if how == "replace":
                        assert len(whole) == answer.body.count
                        assert whole in {digit.encode() * len(whole) for digit in "0123456789"}
                    answer.release()
                    continue
                got = read(answer)
                tag = got["etag"]
                assert tag == f'"{hashlib.sha256(got.body).hexdigest()[:32]}"'
                assert seen.setdefault(tag, got.body) == got.body
                if how == "replace":
                    assert len(set(got.body)) == 1
        finally:
            writer.kill()
    assert len(seen) >= 4
