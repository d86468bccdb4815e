"""Precompressed siblings: which one, its validator, and when it doesn't count."""

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.file_site import HOUR, FileSite

ALL = "gzip, deflate, br, zstd"
PLAIN = b"p{}" * 100
CODED = {"br": b"brotli", "zstd": b"zstandard", "gzip": gzip.compress(PLAIN)}
ENDINGS = {"br": ".br", "zstd": ".zst", "gzip": ".gz"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    with FileSite(tmp_path / "static") as site:
        site.write("a.css", PLAIN)
        yield site


def siblings(site: FileSite, *codings: str, age: float = HOUR) -> None:
    for coding in codings:
        site.write("a.css" + ENDINGS[coding], CODED[coding], age)


@pytest.mark.parametrize(
    ("there", "accepted", "sent"),
    [
        (("br", "zstd", "gzip"), ALL, "br"),
        (("zstd", "gzip"), ALL, "zstd"),
        (("gzip",), ALL, "gzip"),
        ((), ALL, None),
        (("br", "gzip"), "gzip", "gzip"),
        (("br", "gzip"), "gzip;q=0", None),  # RFC 9110 §12.5.3: a refusal
        (("br", "gzip"), "br;q=0.1, gzip;q=0.9", "gzip"),
        (("br",), "br;q=0.1, gzip;q=0.9", "br"),
        (("br",), "identity, br;q=0.5", None),
        (("gzip",), "*", "gzip"),
        (("gzip",), "x-gzip", "gzip"),  # RFC 9110 §8.4.1.3
        (("gzip",), "GZIP", "gzip"),
        (("gzip",), "identity;q=0, br", None),  # never 406
        (("br",), "deflate", None),
    ],
)
def test_the_coding(site: FileSite, there: tuple[str, ...], accepted: str, sent: str | None) -> None:
    siblings(site, *there)
    got = site.get("/static/a.css", accept_encoding=accepted)
    assert got["content-encoding"] == sent
    assert got.body == (PLAIN if sent is None else CODED[sent])
    assert (got["content-type"], got["vary"]) == ("text/css; charset=utf-8", "accept-encoding")


def test_without_the_field_nothing_is_encoded(site: FileSite) -> None:
    siblings(site, "br", "gzip")
    got = site.get("/static/a.css")
    assert (got.body, got["content-encoding"], got["vary"]) == (PLAIN, None, "accept-encoding")


def test_a_validator_for_each_coding(site: FileSite) -> None:
    """RFC 9110 §8.8.3.3"""
    siblings(site, "br", "zstd", "gzip")
    tags = {coding: site.get("/static/a.css", accept_encoding=coding)["etag"] for coding in ("", *CODED)}
    assert len(set(tags.values())) == 4
    assert all(tag is not None and tag.startswith('"') for tag in tags.values())
    for coding, tag in tags.items():
        for other in tags:
            got = site.get("/static/a.css", accept_encoding=other, if_none_match=tag)
            assert got.status == (304 if other == coding else 200)
            assert got["vary"] == "accept-encoding"  # RFC 9110 §15.4.5


def test_equal_bytes_in_two_codings_are_two_representations(site: FileSite) -> None:
    site.write("a.css.br", PLAIN)
    assert site.get("/static/a.css")["etag"] != site.get("/static/a.css", accept_encoding="br")["etag"]


def test_ranges_are_of_the_encoded_bytes(site: FileSite) -> None:
    """RFC 9110 §14.1.2"""
    siblings(site, "br")
    got = site.get("/static/a.css", accept_encoding="br", range="bytes=1-3")
    assert (got.status, got.body, got["content-range"]) == (206, b"rot", "bytes 1-3/6")
    assert got["content-encoding"] == "br"
    plain = site.get("/static/a.css")["etag"]
    assert site.get("/static/a.css", accept_encoding="br", range="bytes=1-3", if_range=plain).status == 200


def test_head_has_the_length_of_the_coding(site: FileSite) -> None:
    siblings(site, "br")
    assert site.get("/static/a.css", "HEAD", accept_encoding="br")["content-length"] == "6"


def test_an_older_sibling_is_of_what_the_file_was_before(site: FileSite) -> None:
    siblings(site, "br", age=HOUR + 1)
    siblings(site, "gzip", age=HOUR)
    assert site.get("/static/a.css", accept_encoding=ALL)["content-encoding"] == "gzip"


def test_a_sibling_that_was_just_written_may_not_be_whole_yet(site: FileSite) -> None:
    siblings(site, "br", age=1)
    got = site.get("/static/a.css", accept_encoding=ALL)
    assert (got["content-encoding"], got.unchanged()) == (None, False)
    site.now += 2
    assert site.get("/static/a.css", accept_encoding=ALL)["content-encoding"] == "br"


def test_a_sibling_alone_is_a_file_of_its_own(site: FileSite) -> None:
    siblings(site, "gzip")
    (site.root / "a.css").unlink()
    assert site.find("/static/a.css", accept_encoding=ALL) is None
    got = site.get("/static/a.css.gz", accept_encoding=ALL)
    assert (got["content-type"], got["content-encoding"], got["vary"]) == ("application/gzip", None, None)
    assert gzip.decompress(got.body) == PLAIN


def test_a_directory_is_no_sibling(site: FileSite) -> None:
    (site.root / "a.css.br").mkdir()
    assert site.get("/static/a.css", accept_encoding="br").body == PLAIN


def test_a_sibling_is_bound_to_the_roots_as_the_file_is(tmp_path: Path, site: FileSite) -> None:
    (tmp_path / "secret").write_bytes(b"SECRET")
    (site.root / "a.css.br").symlink_to(tmp_path / "secret")
    assert site.get("/static/a.css", accept_encoding="br").body == PLAIN
    site.write("elsewhere", b"inside")
    (site.root / "a.css.zst").symlink_to("elsewhere")
    assert site.get("/static/a.css", accept_encoding=ALL).body == b"inside"


@pytest.mark.parametrize("name", ["a.png", "a.woff2", "backup.tar", "data"])
def test_what_is_compressed_already_has_no_siblings(site: FileSite, name: str) -> None:
    """`backup.tar.gz` beside `backup.tar` is another download."""
    site.write(name)
    site.write(name + ".gz", b"gz")
    got = site.get(f"/static/{name}", accept_encoding=ALL)
    assert (got.body, got["vary"], got["content-encoding"]) == (b"content", None, None)


def test_switched_off(tmp_path: Path) -> None:
    with FileSite(tmp_path / "s", precompressed=False) as site:
        site.write("a.css", PLAIN)
        siblings(site, "br")
        got = site.get("/static/a.css", accept_encoding=ALL)
        assert (got.body, got["vary"]) == (PLAIN, None)


def test_large_siblings_stay_in_their_files(tmp_path: Path) -> None:
    with FileSite(tmp_path / "s", small=100) as site:
        site.write("a.css", b"x" * 1000)
        site.write("a.css.br", b"y" * 500)
        got = site.get("/static/a.css", accept_encoding=ALL)
        assert (got.body, got.from_memory) == (b"y" * 500, False)
        assert got["etag"] is not None and got["etag"].endswith('-br"')


# Until when it may be sent again


def test_siblings_that_come_and_go_are_noticed(site: FileSite) -> None:
    site.now += 10  # so that the directory is settled
    site.aged(site.root / "a.css")
    identity = site.get("/static/a.css", accept_encoding=ALL)
    assert identity.unchanged()
    siblings(site, "gzip")
    assert not identity.unchanged()

    site.now += 10
    coded = site.get("/static/a.css", accept_encoding=ALL)
    assert (coded["content-encoding"], coded.unchanged()) == ("gzip", True)
    siblings(site, "br")
    assert not coded.unchanged()

    site.now += 10
    best = site.get("/static/a.css", accept_encoding=ALL)
    assert (best["content-encoding"], best.unchanged()) == ("br", True)
    site.write("a.css", PLAIN + b"new", age=0)
    assert not best.unchanged()
    site.now += 10
    assert site.get("/static/a.css", accept_encoding=ALL).body == PLAIN + b"new"


def test_a_stale_sibling_that_is_renewed_in_place_is_noticed(site: FileSite) -> None:
    siblings(site, "br", age=HOUR + 1)
    site.now += 10
    stale = site.get("/static/a.css", accept_encoding=ALL)
    assert (stale["content-encoding"], stale.unchanged()) == (None, True)
    with (site.root / "a.css.br").open("r+b") as file:
        file.write(b"BROTLI")
    assert not stale.unchanged()


def test_it_costs_three_stats_at_most(site: FileSite) -> None:
    siblings(site, "br", "gzip")
    got = site.get("/static/a.css", accept_encoding=ALL)
    assert [path for path, _ in got.answer.watched.states] == [  # type: ignore[attr-defined]
        str(site.root / name).rstrip("/").encode() for name in ("a.css", "", "a.css.br")
    ]
