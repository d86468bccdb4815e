"""Content that lies somewhere inside a file, as that of a stored page does."""

import os
from pathlib import Path

from support.file_site import content, read, request
from uncork.edge.answers import FilePart, OpenFile
from uncork.edge.representation import Representation, answer


def stored(tmp_path: Path) -> Representation:
    (tmp_path / "page").write_bytes(b"HEADER" + b"0123456789" * 20 + b"TRAILER")
    file = OpenFile(os.open(tmp_path / "page", os.O_RDONLY))
    fields = ((b"content-type", b"text/html"), (b"content-location", b"/x"), (b"content-language", b"de"))
    return Representation(fields, FilePart(file, 6, 200), b'"x"', 1_000_000_000)


def test_the_whole_is_the_part_of_the_file(tmp_path: Path) -> None:
    got = read(answer(request("/"), stored(tmp_path), 2e9))
    assert (got.status, got.body) == (200, b"0123456789" * 20)
    assert got["last-modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"


def test_ranges_count_from_its_beginning(tmp_path: Path) -> None:
    got = read(answer(request("/", range="bytes=-3"), stored(tmp_path), 2e9))
    assert (got.body, got["content-range"]) == (b"789", "bytes 197-199/200")
    several = answer(request("/", range="bytes=0-1,198-"), stored(tmp_path), 2e9)
    assert isinstance(several.body, list)
    assert [content(part) for part in several.body if isinstance(part, FilePart)] == [b"01", b"89"]
    several.release()


def test_a_304_keeps_where_it_is_from(tmp_path: Path) -> None:
    """RFC 9110 §15.4.5: Content-Location, and no other metadata of the content"""
    representation = stored(tmp_path)
    got = read(answer(request("/", if_none_match='"x"'), representation, 2e9))
    assert dict(got.fields) == {b"content-location": b"/x", b"etag": b'"x"'}
    assert isinstance(representation.content, FilePart)
    assert representation.content.file.fd == -1


def test_without_a_tag_a_304_has_the_date(tmp_path: Path) -> None:
    representation = Representation((), b"x", None, 1_000_000_000)
    got = read(answer(request("/", if_modified_since="Sun, 09 Sep 2001 01:46:40 GMT"), representation, 2e9))
    assert (got.status, got["last-modified"]) == (304, "Sun, 09 Sep 2001 01:46:40 GMT")
