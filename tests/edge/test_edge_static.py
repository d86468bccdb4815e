"""Static files as RFC 9110 has them: fields, validators, conditions, ranges."""

import email
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.edge_client import Edge
from support.file_site import FileSite, content, request
from uncork.edge.static import HASHED_NAMES, FileAnswer, HashedBy, StaticOptions, check
from uncork.semantics.dates import format_date

SMALL = 100
TEXT = bytes(range(256)) * 2  # more than SMALL: stays in the file
BRIEF = TEXT[:80]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    with FileSite(tmp_path / "static", small=SMALL) as site:
        site.write("brief.bin", BRIEF)
        site.write("long.bin", TEXT)
        yield site


@pytest.fixture(params=["brief.bin", "long.bin"])
def each(request: pytest.FixtureRequest, site: FileSite) -> tuple[str, bytes]:
    """The URL and content of a file that is read to memory, and of one that isn't."""
    return f"/static/{request.param}", (site.root / request.param).read_bytes()


def test_a_file(site: FileSite) -> None:
    path = site.write("css/site.css", b"p{}", age=86400)
    got = site.get("/static/css/site.css")
    assert (got.status, got.reason, got.body) == (200, "whole", b"p{}")
    assert dict(got.fields) == {
        b"content-type": b"text/css; charset=utf-8",
        b"x-content-type-options": b"nosniff",
        b"cache-control": b"public, max-age=0, must-revalidate",
        b"vary": b"accept-encoding",
        b"accept-ranges": b"bytes",
        b"etag": got.fields.get(b"etag"),
        b"last-modified": format_date(path.stat().st_mtime),
    }


def test_small_ones_come_from_memory_and_large_ones_from_the_file(site: FileSite) -> None:
    assert site.get("/static/brief.bin").from_memory
    assert not site.get("/static/long.bin").from_memory
    site.write("edge.bin", bytes(SMALL))
    assert site.get("/static/edge.bin").from_memory


def test_head_is_get_without_the_content(site: FileSite, each: tuple[str, bytes]) -> None:
    """RFC 9110 §9.3.2"""
    url, whole = each
    got, head = site.get(url), site.get(url, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.fields == got.fields.with_(b"content-length", b"%d" % len(whole))


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW", "get"])
def test_other_methods(site: FileSite, method: str) -> None:
    """RFC 9110 §15.5.6"""
    got = site.get("/static/brief.bin", method)
    assert (got.status, got["allow"], got.reason) == (405, "GET, HEAD", "method-not-allowed")
    assert site.find("/static/absent", method) is None


def test_an_empty_file(site: FileSite) -> None:
    site.write("empty.txt", b"")
    assert site.get("/static/empty.txt").body == b""
    assert site.get("/static/empty.txt", "HEAD")["content-length"] == "0"
    assert site.get("/static/empty.txt", range="bytes=0-0").status == 416
    assert site.get("/static/empty.txt", range="bytes=-5").status == 200


# Prefixes


def test_the_longest_prefix_wins(tmp_path: Path) -> None:
    for name in ("all", "static", "deep"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "a").write_text(name)
    prefixes = ((b"/", "all"), (b"/static/deep", "deep"), (b"/static/", "static"))
    with FileSite(
        tmp_path / "x", prefixes=tuple((url, str(tmp_path / name)) for url, name in prefixes)
    ) as site:
        assert site.get("/a").body == b"all"
        assert site.get("/static/a").body == b"static"
        assert site.get("/static/deep/a").body == b"deep"
        assert site.find("/static/deeper/a") is None
        assert site.find("*", "OPTIONS") is None


def test_no_prefix() -> None:
    with FileSite(Path("/"), prefixes=()) as site:
        assert site.find("/etc/passwd") is None


@pytest.mark.parametrize(
    "path", ["/static", "/statics/brief.bin", "/STATIC/brief.bin", "/", "/%73tatic/brief.bin"]
)
def test_what_is_outside_every_prefix(site: FileSite, path: str) -> None:
    assert site.static.find(path.encode()) is None


# Conditions: RFC 9110 §13


def test_not_modified(site: FileSite, each: tuple[str, bytes]) -> None:
    """RFC 9110 §15.4.5: the fields that a 200 would have had, and no metadata of content that isn't there"""
    url, _ = each
    got = site.get(url)
    again = site.get(url, if_none_match=got["etag"])
    assert (again.status, again.body, again.reason) == (304, b"", "not-modified")
    assert dict(again.fields) == {
        name: value for name, value in got.fields if name in (b"etag", b"cache-control", b"vary")
    }


def test_conditions(site: FileSite, each: tuple[str, bytes]) -> None:
    url, _ = each
    got = site.get(url)
    tag, date = got["etag"], got["last-modified"]
    earlier = format_date(site.now - 90000).decode()
    rows: list[tuple[str, int, dict[str, str]]] = [
        ("§13.1.2 weak comparison", 304, {"if_none_match": f"W/{tag}"}),
        ("§13.1.2 a list", 304, {"if_none_match": f'"a,b", W/"c", {tag}'}),
        ("§13.1.2 anything", 304, {"if_none_match": "*"}),
        ("§13.1.2 another", 200, {"if_none_match": '"other"'}),
        ("§13.1.3 the date", 304, {"if_modified_since": date}),
        ("§13.1.3 an earlier date", 200, {"if_modified_since": earlier}),
        ("§13.1.3 no date", 200, {"if_modified_since": "yesterday"}),
        ("§13.2.2 the tag decides, not the date", 200, {"if_none_match": '"x"', "if_modified_since": date}),
        ("§13.1.1 the same", 200, {"if_match": tag}),
        ("§13.1.1 strong comparison", 412, {"if_match": f"W/{tag}"}),
        ("§13.1.1 anything", 200, {"if_match": "*"}),
        ("§13.1.1 another", 412, {"if_match": '"other"'}),
        ("§13.1.4 unmodified", 200, {"if_unmodified_since": date}),
        ("§13.1.4 modified", 412, {"if_unmodified_since": earlier}),
        ("§13.2.2 the tag decides, not the date", 200, {"if_match": tag, "if_unmodified_since": earlier}),
        ("§13.2.2 If-Match comes first", 412, {"if_match": '"x"', "if_none_match": tag}),
    ]
    for section, status, fields in rows:
        for method in ("GET", "HEAD"):
            assert site.get(url, method, **fields).status == status, (section, method)


# Ranges: RFC 9110 §14


def test_single_ranges(site: FileSite, each: tuple[str, bytes]) -> None:
    url, whole = each
    size = len(whole)
    rows = [
        ("bytes=0-0", 0, 1),
        ("bytes=-1", size - 1, size),
        ("bytes=5-9", 5, 10),
        ("bytes=5-", 5, size),
        ("bytes=-7", size - 7, size),
        (f"bytes=0-{size}", 0, size),
        (f"bytes=-{size + 1}", 0, size),
        ("BYTES=1-1", 1, 2),
        (f"bytes=2-3,{size}-", 2, 4),
        ("bytes=0-5,3-9", 0, 10),
    ]
    for wanted, start, stop in rows:
        got = site.get(url, range=wanted)
        assert (got.status, got.body, got.reason) == (206, whole[start:stop], "range"), wanted
        assert got["content-range"] == f"bytes {start}-{stop - 1}/{size}", wanted
        assert got["etag"] and got["content-type"] == "application/octet-stream"


@pytest.mark.parametrize("wanted", ["bytes=1000-", "bytes=1000-2000,3000-"])
def test_unsatisfiable(site: FileSite, each: tuple[str, bytes], wanted: str) -> None:
    """RFC 9110 §15.5.17"""
    url, whole = each
    got = site.get(url, range=wanted)
    assert (got.status, got.body, got["content-range"]) == (416, b"", f"bytes */{len(whole)}")
    assert got.reason == "range-unsatisfiable"


@pytest.mark.parametrize(
    "wanted", ["bytes", "bytes=", "bytes=5-3", "bytes=a-b", "lines=0-1", "bytes=0-0;", "0-1"]
)
def test_ignored_ranges(site: FileSite, each: tuple[str, bytes], wanted: str) -> None:
    """RFC 9110 §14.2: an unknown unit, or nonsense, is no range"""
    url, whole = each
    got = site.get(url, range=wanted)
    assert (got.status, got.body) == (200, whole)


def test_range_is_for_get(site: FileSite) -> None:
    """RFC 9110 §14.2"""
    head = site.get("/static/long.bin", "HEAD", range="bytes=0-0")
    assert (head.status, head["content-length"]) == (200, str(len(TEXT)))


def parts_of(content_type: str | None, body: bytes) -> list[tuple[str, str, bytes]]:
    """(type, range, content) of each part, as the standard library reads them."""
    assert content_type is not None
    message = email.message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body)
    assert message.is_multipart() and not message.defects
    return [
        (str(part["content-type"]), str(part["content-range"]), part.get_payload(decode=True))
        for part in message.get_payload()
    ]


def test_several_ranges(site: FileSite) -> None:
    """RFC 9110 §14.6, §15.3.7.2: in the order of the request, the type in the parts"""
    site.write("long.txt", b"a" * 200 + b"b" * 200 + b"c" * 200)
    got = site.get("/static/long.txt", range="bytes=-2, 0-1, 199-200")
    assert (got.status, got.reason, got["content-range"]) == (206, "ranges", None)
    assert got.fields.getall(b"content-type")[0].startswith(b"multipart/byteranges; boundary=")
    assert parts_of(got["content-type"], got.body) == [
        ("text/plain; charset=utf-8", "bytes 598-599/600", b"cc"),
        ("text/plain; charset=utf-8", "bytes 0-1/600", b"aa"),
        ("text/plain; charset=utf-8", "bytes 199-200/600", b"ab"),
    ]


@given(
    st.lists(st.tuples(st.integers(0, 600), st.integers(0, 700)), min_size=1, max_size=8),
    st.sampled_from([10, 10_000]),
)
def test_whatever_the_ranges_the_bytes_are_those(
    tmp_path_factory: pytest.TempPathFactory, ranges: list[tuple[int, int]], small: int
) -> None:
    root = tmp_path_factory.getbasetemp() / "ranges"
    with FileSite(root, small=small) as site:
        whole = os.urandom(512) if not (root / "a.bin").exists() else (root / "a.bin").read_bytes()
        site.write("a.bin", whole)
        got = site.get(
            "/static/a.bin", range="bytes=" + ",".join(f"{first}-{last}" for first, last in ranges)
        )
        if got.reason == "ranges":
            _, end, rest = got.body.rpartition(b"\r\n--")
            assert end and rest.endswith(b"--\r\n")
            boundary = got["content-type"].partition("boundary=")[2].encode()
            covered = 0
            for part in (b"\r\n" + got.body).split(b"\r\n--" + boundary)[1:-1]:
                head, _, content = part.partition(b"\r\n\r\n")
                first, last = head.partition(b"Content-Range: bytes ")[2].partition(b"/512")[0].split(b"-")
                assert content == whole[int(first) : int(last) + 1]
                covered += len(content)
            assert covered <= len(whole)
        elif got.reason == "range":
            first, last = got["content-range"].removeprefix("bytes ").removesuffix("/512").split("-")
            assert got.body == whole[int(first) : int(last) + 1]
        elif got.status == 416:
            assert all(first >= 512 for first, _ in ranges)
        else:
            assert (got.status, got.body) == (200, whole)


def test_if_range(site: FileSite, each: tuple[str, bytes]) -> None:
    """RFC 9110 §13.1.5: a match gives the range, anything else the whole"""
    url, whole = each
    got = site.get(url)
    rows = [
        ("the tag", 206, got["etag"]),
        ("the date", 206, got["last-modified"]),
        ("strong comparison", 200, f"W/{got['etag']}"),
        ("another tag", 200, '"x"'),
        ("not the same date, though later", 200, format_date(site.now).decode()),
        ("nonsense", 200, "x"),
        ("a list is not one", 200, f'{got["etag"]}, "x"'),
    ]
    for section, status, value in rows:
        answer = site.get(url, range="bytes=1-2", if_range=value)
        assert answer.status == status, section
        assert answer.body == (whole[1:3] if status == 206 else whole), section
    # That there is no satisfiable range doesn't matter when it is not to be looked at.
    assert site.get(url, range="bytes=9999-", if_range='"x"').status == 200
    assert site.get(url, range="bytes=9999-", if_range=got["etag"]).status == 416
    # Conditions come before ranges. Source: RFC 9110 §13.2.2
    assert site.get(url, range="bytes=0-0", if_none_match=got["etag"]).status == 304


# Directories


def test_the_index_stands_for_its_directory(site: FileSite) -> None:
    site.write("docs/index.html", b"<p>")
    got = site.get("/static/docs/")
    assert (got.status, got["content-type"], got.body) == (200, "text/html; charset=utf-8", b"<p>")
    moved = site.get("/static/docs", query=b"a=1")
    assert (moved.status, moved["location"], moved.reason) == (301, "/static/docs/?a=1", "directory")
    assert moved["cache-control"] == "public, max-age=0, must-revalidate"  # permanent redirects go stale too
    assert site.get("/static/docs", "POST").status == 405
    assert site.get("/static/docs", "HEAD").status == 301


def test_a_directory_without_index_is_nothing(site: FileSite) -> None:
    site.write("docs/a.txt")
    (site.root / "odd" / "index.html").mkdir(parents=True)
    for path in (
        "/static/docs",
        "/static/docs/",
        "/static/",
        "/static/odd",
        "/static/odd/",
        "/static/brief.bin/",
    ):
        assert site.find(path) is None, path


def test_without_an_index_name_no_directory_is_anything(tmp_path: Path) -> None:
    with FileSite(tmp_path / "s", index=None) as site:
        site.write("docs/index.html")
        assert site.find("/static/docs") is None
        assert site.find("/static/docs/") is None
        assert site.get("/static/docs/index.html").status == 200


@pytest.mark.parametrize(
    ("path", "location"),
    [("//evil.example", "/evil.example/"), ("/\\evil.example", "/%5Cevil.example/"), ("/a%20b", "/a%20b/")],
)
def test_the_redirect_stays_on_this_site(tmp_path: Path, path: str, location: str) -> None:
    """RFC 3986 §4.2: `//host/` is a network-path reference"""
    with FileSite(tmp_path / "s", prefixes=((b"/", str(tmp_path / "s")),)) as site:
        for name in ("evil.example", "\\evil.example", "a b"):
            site.write(f"{name}/index.html")
        assert site.get(path)["location"] == location


# How long it may be cached


def test_names_with_a_hash_are_for_ever(site: FileSite) -> None:
    site.write("app.55e7cbb9ba48.css")
    site.write("app.css")
    assert site.get("/static/app.55e7cbb9ba48.css")["cache-control"] == "public, max-age=31536000, immutable"
    assert site.get("/static/app.css")["cache-control"] == "public, max-age=0, must-revalidate"


@pytest.mark.parametrize(
    ("hashed_by", "kept"),
    [
        ((), []),
        ((HashedBy.DJANGO,), ["app.55e7cbb9ba48.css"]),
        ((HashedBy.VITE,), ["assets/index-BfX3kd9a.js"]),
        ((HashedBy.DJANGO, HashedBy.VITE), ["app.55e7cbb9ba48.css", "assets/index-BfX3kd9a.js"]),
    ],
)
def test_whose_hashes_are_known(tmp_path: Path, hashed_by: tuple[HashedBy, ...], kept: list[str]) -> None:
    with FileSite(tmp_path / "s", hashed_by=hashed_by) as site:
        names = ["app.55e7cbb9ba48.css", "assets/index-BfX3kd9a.js", "dir-BfX3kd9a.x/app.js"]
        for name in names:
            site.write(name)
        found = [site.get(f"/static/{name}")["cache-control"] for name in names]
        assert [name for name, value in zip(names, found, strict=True) if "immutable" in str(value)] == kept


def test_whose_hashes_are_known_is_an_option(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "index-BfX3kd9a.js").touch()
    os.utime(files / "index-BfX3kd9a.js", (1e9, 1e9))
    with Edge("static", str(files), "--static-hashed-by", "vite", cwd=tmp_path) as edge:
        assert "immutable" in str(edge.ask("/index-BfX3kd9a.js")["cache-control"])


@pytest.mark.parametrize(
    ("name", "by_django", "by_vite"),
    [
        (b"app.55e7cbb9ba48.css", True, False),
        (b"app.min.55e7cbb9ba48.js", True, False),
        (b"LICENSE.55e7cbb9ba48", True, False),
        (b"app.css", False, False),
        (b"app.55e7cbb9ba4.css", False, False),
        (b"app.55e7cbb9ba482.css", False, False),
        (b"app.55E7CBB9BA48.css", False, False),
        (b"export.202411240700.csv", False, False),
        (b"app55e7cbb9ba48.css", False, False),
        (b"app.55e7cbb9ba48.min.css", False, False),
        (b"index-BfX3kd9a.js", False, True),
        (b"index-BfX3kd9a.js.map", False, True),
        (b"index.d41d8cd9.js", False, True),
        (b"site-template.css", False, False),
    ],
)
def test_what_is_a_hash(name: bytes, by_django: bool, by_vite: bool) -> None:
    assert (HASHED_NAMES[HashedBy.DJANGO].search(name) is not None) == by_django
    assert (HASHED_NAMES[HashedBy.VITE].search(name) is not None) == by_vite


def test_the_names_are_those_that_django_makes() -> None:
    from django.conf import settings
    from django.contrib.staticfiles.storage import HashedFilesMixin
    from django.core.files.base import ContentFile
    from django.core.files.storage import InMemoryStorage

    if not settings.configured:
        settings.configure()

    class Storage(HashedFilesMixin, InMemoryStorage):
        pass

    for name in ("css/app.css", "LICENSE", "a.min.js"):
        hashed = Storage().hashed_name(name, ContentFile(b"content"))
        assert HASHED_NAMES[HashedBy.DJANGO].search(hashed.rpartition("/")[2].encode()), hashed


@pytest.mark.parametrize(
    ("max_age", "expected"),
    [(0, "public, max-age=0, must-revalidate"), (60, "public, max-age=60"), (None, None)],
)
def test_how_long_the_others_are(tmp_path: Path, max_age: int | None, expected: str | None) -> None:
    with FileSite(tmp_path / "s", max_age=max_age) as site:
        site.write("a.txt")
        assert site.get("/static/a.txt")["cache-control"] == expected


# Ownership


def test_only_a_plain_200_may_be_sent_again(site: FileSite) -> None:
    kinds = [
        ({}, True),
        ({"range": "bytes=0-0"}, False),
        ({"if_none_match": "*"}, False),
        ({"if_match": '"x"'}, False),
        ({"range": "bytes=9999-"}, False),
    ]
    for fields, again in kinds:
        answer = site.ask(request("/static/long.bin", **fields))
        assert answer is not None
        assert isinstance(answer, FileAnswer) == again
        answer.release()
    head = site.ask(request("/static/long.bin", "HEAD"))
    assert not isinstance(head, FileAnswer)


def test_parts_of_one_file_share_its_descriptor_until_the_last(site: FileSite) -> None:
    site.write("big.bin", bytes(1000))
    answer = site.ask(request("/static/big.bin", range="bytes=0-1,500-501,-1"))
    assert answer is not None and isinstance(answer.body, list)
    files = {part.file for part in answer.body if not isinstance(part, bytes)}
    assert len(files) == 1
    assert len(content(answer.body)) > 5
    answer.release()
    assert files.pop().fd == -1


# At the start


def test_check_names_the_option_and_the_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "good").mkdir()
    rows = [
        (b"/static/", "absent", "No such file or directory"),
        (b"/static/", "file", "Not a directory"),
        (b"static/", "good", "the URL prefix must start with a slash"),
    ]
    for prefix, name, message in rows:
        directory = str(tmp_path / name)
        assert check(StaticOptions(((prefix, directory),))) == [
            f"--static {prefix.decode()}={directory}: {message}"
        ]
    good = str(tmp_path / "good")
    assert check(StaticOptions(((b"/static/", good), (b"/media", good)))) == []
    twice = check(StaticOptions(((b"/static/", good), (b"/static", str(tmp_path)))))
    assert twice == [f"--static /static={tmp_path}: the URL prefix already stands for {good}"]
