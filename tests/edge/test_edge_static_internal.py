"""X-Accel-Redirect and X-Sendfile: the origin names a file, the edge sends it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.file_site import HOUR, FileSite, Got, open_descriptors, read, request
from uncork.edge.internal import NAMING, CannotSend, InternalFiles, InternalOptions
from uncork.edge.static import FileAnswer
from uncork.semantics.dates import format_date
from uncork.semantics.fields import Fields


class Origin:
    """Files below /protected/ and /protected/deep/, and a secret beside them."""

    def __init__(self, base: Path) -> None:
        self.site = FileSite(base / "files")
        self.base = base
        self.site.write("report.pdf", b"%PDF")
        self.site.write("big.bin", os.urandom(200_000))
        self.site.write("naïve name+1%.txt", b"odd")
        self.site.write(".hidden", b"hidden")
        (base / "secret").write_bytes(b"SECRET")
        (base / "deep").mkdir()
        (base / "files" / "directory").mkdir()
        (base / "deep" / "a.txt").write_bytes(b"deep")
        (base / "files" / "out").symlink_to(base / "secret")
        self.files = InternalFiles(
            InternalOptions(
                ((b"/protected/", str(base / "files")), (b"/protected/deep/", str(base / "deep")))
            )
        )

    def find(self, name: str, location: str | bytes, method: str = "GET", **fields: str) -> Got:
        return self.with_fields({}, name, location, method, **fields)

    def with_fields(
        self, origin: dict[str, str], name: str, location: str | bytes, method: str = "GET", **fields: str
    ) -> Got:
        raw = location if isinstance(location, bytes) else location.encode()
        sent = Fields(
            [(name.encode(), raw), *((key.encode(), value.encode()) for key, value in origin.items())]
        )
        before = open_descriptors()
        answer = self.files.respond(request("/download/1", method, **fields), sent, sent, self.site.now)
        assert not isinstance(answer, FileAnswer)  # the next request is the origin's again
        got = read(answer)
        assert open_descriptors() <= before
        return got

    def accel(self, location: str, method: str = "GET", **fields: str) -> Got:
        return self.find("x-accel-redirect", location, method, **fields)


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[Origin]:
    yield Origin(tmp_path)


def test_a_url_below_an_internal_prefix(origin: Origin) -> None:
    got = origin.accel("/protected/report.pdf")
    assert (got.status, got.body, got["content-type"]) == (200, b"%PDF", "application/pdf")
    assert got["etag"] and got["last-modified"] and got["accept-ranges"] == "bytes"
    assert got["cache-control"] is None
    assert origin.accel("/protected/report.pdf?v=1").body == b"%PDF"
    assert origin.accel("/protected/na%C3%AFve%20name+1%25.txt").body == b"odd"
    assert origin.accel("/protected/deep/a.txt").body == b"deep"
    assert origin.accel("/protected/.hidden").body == b"hidden"


def test_an_absolute_path(origin: Origin) -> None:
    files = f"{origin.base}/files"
    for path, body in [
        (f"{files}/report.pdf", b"%PDF"),
        (f"{files}//./report.pdf", b"%PDF"),
        (f"{files}/naïve name+1%.txt", b"odd"),
        (f"{files}/na%C3%AFve%20name+1%25.txt", b"odd"),
        (f"{origin.base}/deep/a.txt", b"deep"),
    ]:
        got = origin.find("x-sendfile", path)
        assert got.body == body, path


NO_MOUNT = "it is in none of the internal-files"
NO_FILE = "No such file or directory"
NO_NAME = "not the name of a file"
NOT_PLAIN = "it is no regular file"
LINK = "a symbolic link leads out of the roots"


@pytest.mark.parametrize(
    ("name", "location", "why"),
    [
        ("x-accel-redirect", "/protected/absent", NO_FILE),
        ("x-accel-redirect", "/protected/", NO_NAME),
        ("x-accel-redirect", "/protected", NO_MOUNT),
        ("x-accel-redirect", "/protected/deep", NO_FILE),
        ("x-accel-redirect", "/protected/directory", NOT_PLAIN),
        ("x-accel-redirect", "/elsewhere/report.pdf", NO_MOUNT),
        ("x-accel-redirect", "/protected/../secret", NO_NAME),
        ("x-accel-redirect", "/protected/%2e%2e/secret", NO_NAME),
        ("x-accel-redirect", "/protected/..%2fsecret", NO_NAME),
        ("x-accel-redirect", "/protected/out", LINK),
        ("x-accel-redirect", "report.pdf", NO_MOUNT),
        ("x-accel-redirect", "{base}/files/report.pdf", NO_MOUNT),
        ("x-accel-redirect", "", NO_MOUNT),
        ("x-accel-redirect", "@named", NO_MOUNT),
        ("x-sendfile", "/protected/report.pdf", NO_MOUNT),
        ("x-sendfile", "{base}/secret", NO_MOUNT),
        ("x-sendfile", "{base}/files/../secret", NO_NAME),
        ("x-sendfile", "{base}/files/%2e%2e/secret", NO_NAME),
        ("x-sendfile", "{base}/files/out", LINK),
        ("x-sendfile", "{base}/files", NO_MOUNT),
        ("x-sendfile", "{base}/files/", NO_NAME),
        ("x-sendfile", "{base}/files/report.pdf/", NO_NAME),
        ("x-sendfile", "{base}/files/report.pdf%00", NO_NAME),
        ("x-sendfile", "{base}/files-2/report.pdf", NO_MOUNT),
        ("x-sendfile", "/etc/passwd", NO_MOUNT),
        ("x-sendfile", "files/report.pdf", NO_MOUNT),
        ("x-sendfile", "", NO_MOUNT),
    ],
)
def test_what_names_no_file(origin: Origin, name: str, location: str, why: str) -> None:
    location = location.format(base=origin.base)
    with pytest.raises(CannotSend) as failure:
        origin.find(name, location)
    assert read(failure.value.answer).status == 404
    assert str(failure.value) == f"can't send {location!r}, which the origin names by {name.title()}: {why}"


def test_the_first_of_the_two_wins(origin: Origin) -> None:
    got = origin.with_fields({NAMING[1].decode(): "/etc/passwd"}, NAMING[0].decode(), "/protected/report.pdf")
    assert got.body == b"%PDF"


def test_what_the_origin_said_of_the_file_stays(origin: Origin) -> None:
    kept = {
        "content-type": "text/x-report",
        "content-disposition": 'attachment; filename="r.pdf"',
        "cache-control": "private, max-age=5",
        "set-cookie": "a=1",
        "expires": "0",
        "content-security-policy": "sandbox",
        "content-language": "de",
        "x-content-type-options": "nosniff",
        "vary": "cookie",
    }
    dropped = {
        "content-length": "0",
        "content-range": "bytes 0-0/1",
        "accept-ranges": "none",
        "x-accel-buffering": "no",
        "x-accel-expires": "10",
        "connection": "close",
        "transfer-encoding": "chunked",
        "date": "now",
    }
    got = origin.with_fields(kept | dropped, "x-accel-redirect", "/protected/report.pdf")
    values = {name.decode(): value.decode() for name, value in got.fields}
    assert values == kept | {
        "accept-ranges": "bytes",
        "etag": got["etag"],
        "last-modified": format_date(origin.site.now - HOUR).decode(),
    }


def test_two_cookies_stay_two(origin: Origin) -> None:
    fields = Fields(
        ((b"x-accel-redirect", b"/protected/report.pdf"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"))
    )
    answer = origin.files.respond(request("/"), fields, fields, origin.site.now)
    assert answer.fields.getall(b"set-cookie") == (b"a=1", b"b=2")


def test_validators_of_the_origin_win(origin: Origin) -> None:
    date = "Sun, 09 Sep 2001 01:46:40 GMT"
    own = {"etag": '"own"', "last-modified": date}
    url = "/protected/report.pdf"
    got = origin.with_fields(own, "x-accel-redirect", url)
    assert (got["etag"], got["last-modified"]) == ('"own"', date)
    again = origin.with_fields(own, "x-accel-redirect", url, if_none_match='"own"')
    assert (again.status, again.body) == (304, b"")
    nonsense = origin.with_fields({"etag": "own", "last-modified": "then"}, "x-accel-redirect", url)
    assert nonsense["etag"] != "own" and nonsense["last-modified"] != "then"


def test_conditions_and_ranges_apply(origin: Origin) -> None:
    whole = (origin.site.root / "big.bin").read_bytes()
    got = origin.accel("/protected/big.bin")
    assert (got.body, got.from_memory) == (whole, False)
    assert origin.accel("/protected/big.bin", if_none_match=str(got["etag"])).status == 304
    part = origin.accel("/protected/big.bin", range="bytes=5-9")
    assert (part.status, part.body) == (206, whole[5:10])
    head = origin.accel("/protected/big.bin", "HEAD")
    assert (head.body, head["content-length"]) == (b"", "200000")


def test_a_file_in_the_answer_to_a_form_is_sent_whole(origin: Origin) -> None:
    got = origin.accel("/protected/report.pdf", "POST", range="bytes=0-0", if_match='"x"', if_none_match="*")
    assert (got.status, got.body) == (200, b"%PDF")


def test_no_siblings(origin: Origin) -> None:
    origin.site.write("a.css", b"plain")
    origin.site.write("a.css.br", b"coded")
    assert origin.accel("/protected/a.css", accept_encoding="br").body == b"plain"
