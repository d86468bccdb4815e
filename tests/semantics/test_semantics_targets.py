"""Request targets: RFC 9110 §4.2, §7.1, §7.2, §7.4, RFC 9112 §3.2, §3.3; paths: RFC 3986."""

import os.path
from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.semantics.targets import BadTarget, Flaw, decode_path, normalised_authority, split_target


@pytest.mark.parametrize(
    ("method", "target", "host", "scheme", "expected"),
    [
        # RFC 9112 §3.2.1: origin-form, as it was sent
        (b"GET", b"/", b"h", b"http", (b"http", b"h", b"/", None)),
        (b"GET", b"/a/b?q=1", b"h", b"http", (b"http", b"h", b"/a/b", b"q=1")),
        (b"GET", b"/a?", b"h", b"http", (b"http", b"h", b"/a", b"")),
        (b"GET", b"/a?b?c", b"h", b"http", (b"http", b"h", b"/a", b"b?c")),
        (b"GET", b"/%7Ea/../b//c", b"h", b"http", (b"http", b"h", b"/%7Ea/../b//c", None)),
        (b"GET", b"//evil.example/x", b"h", b"http", (b"http", b"h", b"//evil.example/x", None)),
        (b"GET", b"/http://x/", b"h", b"http", (b"http", b"h", b"/http://x/", None)),
        (b"GET", b"/a?u=http://x/", b"h", b"http", (b"http", b"h", b"/a", b"u=http://x/")),
        (b"GET", b'/|[]{}^`"<>\\\xc3\xa9', b"h", b"http", (b"http", b"h", b'/|[]{}^`"<>\\\xc3\xa9', None)),
        (b"GET", b"/*", b"h", b"http", (b"http", b"h", b"/*", None)),
        (b"OPTIONS", b"/a", b"h", b"http", (b"http", b"h", b"/a", None)),
        # RFC 9112 §3.3: without Host the authority is empty
        (b"GET", b"/a", None, b"http", (b"http", b"", b"/a", None)),
        (b"GET", b"/a", b"", b"http", (b"http", b"", b"/a", None)),
        # RFC 9110 §4.2.3: the normal form of an authority
        (b"GET", b"/", b"EXAMPLE.com:80", b"http", (b"http", b"example.com", b"/", None)),
        (b"GET", b"/", b"example.com:", b"http", (b"http", b"example.com", b"/", None)),
        (b"GET", b"/", b"example.com:443", b"https", (b"https", b"example.com", b"/", None)),
        (b"GET", b"/", b"example.com:443", b"http", (b"http", b"example.com:443", b"/", None)),
        (b"GET", b"/", b"example.com:80", b"https", (b"https", b"example.com:80", b"/", None)),
        (b"GET", b"/", b"[::1]:8000", b"http", (b"http", b"[::1]:8000", b"/", None)),
        # RFC 9112 §3.2.2: absolute-form wins over Host, scheme and host in any case
        (b"GET", b"http://a.example/x?y", b"b.example", b"http", (b"http", b"a.example", b"/x", b"y")),
        (b"GET", b"HTTP://A.Example:80/X", b"b", b"http", (b"http", b"a.example", b"/X", None)),
        (b"GET", b"http://a.example:8080/x", None, b"http", (b"http", b"a.example:8080", b"/x", None)),
        (b"POST", b"https://a/x", b"b", b"https", (b"https", b"a", b"/x", None)),
        (b"GET", b"http://a/x", b"b", b"https", (b"http", b"a", b"/x", None)),
        (b"GET", b"http://a/x/http://b/", b"c", b"http", (b"http", b"a", b"/x/http://b/", None)),
        # RFC 9110 §4.2.3: an empty path is /
        (b"GET", b"http://a", b"b", b"http", (b"http", b"a", b"/", None)),
        (b"GET", b"http://a?q", b"b", b"http", (b"http", b"a", b"/", b"q")),
        (b"GET", b"http://a?q/r", b"b", b"http", (b"http", b"a", b"/", b"q/r")),
        # RFC 9112 §3.2.4: asterisk-form is for OPTIONS, and so an absolute-form without a path
        (b"OPTIONS", b"*", b"h", b"http", (b"http", b"h", b"*", None)),
        (b"OPTIONS", b"http://a", b"b", b"http", (b"http", b"a", b"*", None)),
        (b"OPTIONS", b"http://a/", b"b", b"http", (b"http", b"a", b"/", None)),
        (b"OPTIONS", b"http://a?", b"b", b"http", (b"http", b"a", b"/", b"")),
        # RFC 9112 §3.2.3: authority-form is for CONNECT, with a port
        (b"CONNECT", b"Example.com:443", b"b", b"http", (b"http", b"example.com:443", b"", None)),
        (b"CONNECT", b"[::1]:80", b"b", b"http", (b"http", b"[::1]:80", b"", None)),
    ],
)
def test_the_url_of_a_request(
    method: bytes, target: bytes, host: bytes | None, scheme: bytes, expected: object
) -> None:
    assert split_target(target, method, host, scheme) == expected


@pytest.mark.parametrize(
    ("method", "target", "host", "flaw"),
    [
        # RFC 9112 §3.2: none of the four forms, or not that method's
        (b"GET", b"", b"h", Flaw.FORM),
        (b"GET", b"*", b"h", Flaw.FORM),
        (b"OPTIONS", b"**", b"h", Flaw.FORM),
        (b"OPTIONS", b"*/", b"h", Flaw.FORM),
        (b"GET", b"a/b", b"h", Flaw.FORM),
        (b"GET", b"?q", b"h", Flaw.FORM),
        (b"GET", b"example.com:443", b"h", Flaw.FORM),
        (b"GET", b"http:/a", b"h", Flaw.FORM),
        (b"GET", b"http:a", b"h", Flaw.FORM),
        (b"GET", b"://a/", b"h", Flaw.FORM),
        (b"CONNECT", b"/a", b"h", Flaw.AUTHORITY),
        (b"CONNECT", b"http://a/", b"h", Flaw.AUTHORITY),
        (b"CONNECT", b"example.com", b"h", Flaw.FORM),
        (b"CONNECT", b"example.com:", b"h", Flaw.FORM),
        (b"CONNECT", b"*", b"h", Flaw.FORM),
        # what would end a line or a target early
        (b"GET", b"/a b", b"h", Flaw.CHARACTER),
        (b"GET", b"/a\tb", b"h", Flaw.CHARACTER),
        (b"GET", b"/a\r\nX: y", b"h", Flaw.CHARACTER),
        (b"GET", b"/a\n", b"h", Flaw.CHARACTER),
        (b"GET", b"/a\x00", b"h", Flaw.CHARACTER),
        (b"GET", b"/a\x7f", b"h", Flaw.CHARACTER),
        (b"GET", b"/a#b", b"h", Flaw.CHARACTER),
        (b"GET", b"http://a/#b", b"h", Flaw.CHARACTER),
        # RFC 9110 §4.2.1, §4.2.4: no empty host, no user information
        (b"GET", b"http:///a", b"h", Flaw.AUTHORITY),
        (b"GET", b"http://:80/a", b"h", Flaw.AUTHORITY),
        (b"GET", b"http://u@h/a", b"h", Flaw.AUTHORITY),
        (b"GET", b"http://u:p@h/a", b"h", Flaw.AUTHORITY),
        (b"GET", b"http://a:b/", b"h", Flaw.AUTHORITY),
        (b"GET", b"http://[::1/", b"h", Flaw.AUTHORITY),
        # RFC 9110 §4.2, §7.4
        (b"GET", b"ftp://a/", b"h", Flaw.SCHEME),
        (b"GET", b"ws://a/", b"h", Flaw.SCHEME),
        (b"GET", b"https://a/", b"h", Flaw.MISDIRECTED),
        # RFC 9112 §3.2: Host must be valid, even where it doesn't count
        (b"GET", b"/", b"a b", Flaw.HOST),
        (b"GET", b"/", b"a, b", Flaw.HOST),
        (b"GET", b"/", b"a/b", Flaw.HOST),
        (b"GET", b"/", b"u@a", Flaw.HOST),
        (b"GET", b"/", b"http://a", Flaw.HOST),
        (b"GET", b"/", b":80", Flaw.HOST),
        (b"GET", b"/", b"a:b", Flaw.HOST),
        (b"GET", b"/", b"a:-1", Flaw.HOST),
        (b"GET", b"/", b"a:0", Flaw.HOST),
        (b"GET", b"/", b"a:65536", Flaw.HOST),
        (b"GET", b"/", b"a:" + b"9" * 5000, Flaw.HOST),
        (b"GET", b"/", b"a" * 5000, Flaw.HOST),
        (b"GET", b"/", b"a:80:80", Flaw.HOST),
        (b"GET", b"/", b"::1", Flaw.HOST),
        (b"GET", b"/", b"[::1", Flaw.HOST),
        (b"GET", b"/", b"[::1]x", Flaw.HOST),
        (b"GET", b"/", b"[:::]", Flaw.HOST),
        (b"GET", b"/", b"[1.2.3.4]", Flaw.HOST),
        (b"GET", b"/", b"[fe80::1%25eth0]", Flaw.HOST),
        (b"GET", b"/", b"a%zz", Flaw.HOST),
        (b"GET", b"/", b"a\x00", Flaw.HOST),
        (b"GET", b"/", b"a\n", Flaw.HOST),
        (b"GET", b"/", b"\xc3\xa9", Flaw.HOST),
        (b"GET", b"http://a/", b"b c", Flaw.HOST),
        (b"OPTIONS", b"*", b"b c", Flaw.HOST),
        (b"CONNECT", b"a:1", b"b c", Flaw.HOST),
    ],
)
def test_a_bad_target_names_its_flaw(method: bytes, target: bytes, host: bytes, flaw: Flaw) -> None:
    with pytest.raises(BadTarget) as caught:
        split_target(target, method, host, b"http")
    assert caught.value.flaw is flaw
    assert caught.value.status == (421 if flaw is Flaw.MISDIRECTED else 400)
    assert str(caught.value) == flaw.value


@pytest.mark.parametrize(
    ("authority", "expected"),
    [
        # RFC 3986 §3.2.2, §3.2.3
        (b"Example.COM", b"example.com"),
        (b"example.com.", b"example.com."),
        (b"a_b-c.d~e", b"a_b-c.d~e"),
        (b"127.0.0.1:8000", b"127.0.0.1:8000"),
        (b"a:00080", b"a"),
        (b"a:08080", b"a:8080"),
        (b"a:65535", b"a:65535"),
        (b"a%2Fb", b"a%2fb"),
        (b"[2001:DB8::1]", b"[2001:db8::1]"),
        (b"[::ffff:1.2.3.4]:80", b"[::ffff:1.2.3.4]"),
        (b"[v1.fe:x]:81", b"[v1.fe:x]:81"),
        (b"a" * 255 + b":65535", b"a" * 255 + b":65535"),
    ],
)
def test_an_authority_has_one_normal_form(authority: bytes, expected: bytes) -> None:
    assert normalised_authority(authority, b"http") == expected
    assert normalised_authority(expected, b"http") == expected


raw = st.binary(max_size=24) | st.text("http://[]:@%2F?#*a.1 ", max_size=24).map(str.encode)


@given(
    raw,
    st.sampled_from([b"GET", b"OPTIONS", b"CONNECT"]),
    st.none() | raw,
    st.sampled_from([b"http", b"https"]),
)
def test_any_target_is_split_soundly_or_refused(
    target: bytes, method: bytes, host: bytes | None, scheme: bytes
) -> None:
    try:
        named_scheme, authority, path, query = split_target(target, method, host, scheme)
    except BadTarget:
        return
    assert named_scheme in (b"http", b"https")
    assert not set(authority) & set(b" \r\n\t/?#@\\,") or b"," in (host or target)
    assert authority == authority.lower()
    assert path.startswith(b"/") or (path, method) in ((b"*", b"OPTIONS"), (b"", b"CONNECT"))
    assert b"?" not in path
    assert not any(byte <= 0x20 or byte == 0x7F for byte in path + (query or b""))
    if authority and method != b"CONNECT" and path != b"*":
        # The URL that it makes, sent as an absolute-form, is the same request.
        url = named_scheme + b"://" + authority + path + (b"" if query is None else b"?" + query)
        assert split_target(url, method, None, named_scheme) == (named_scheme, authority, path, query)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/", [""]),
        (b"/a", ["a"]),
        (b"/a/b.css", ["a", "b.css"]),
        (b"/a/", ["a", ""]),
        # RFC 3986 §2.1: decoded once
        (b"/a%20b", ["a b"]),
        (b"/%c3%A9", ["é"]),
        (b"/\xc3\xa9", ["é"]),
        (b"/%2541", ["%41"]),
        (b"/a+b", ["a+b"]),
        (b"/a;b=c", ["a;b=c"]),
        (b"/%2ehtaccess", [".htaccess"]),
        (b"/...", ["..."]),
        (b"/..a/a..", ["..a", "a.."]),
        (b"/a\\..\\b", ["a\\..\\b"]),
        # RFC 3986 §6.2.2.3: nothing in between is nothing, and a dot is here
        (b"//a///b//", ["a", "b", ""]),
        (b"/./a/./b/.", ["a", "b", ""]),
        (b"/%2e/a", ["a"]),
        (b"//etc/passwd", ["etc", "passwd"]),
        # what names no file
        (b"", None),
        (b"a", None),
        (b"*", None),
        (b"/..", None),
        (b"/a/../b", None),
        (b"/a/..", None),
        (b"/%2e%2e/a", None),
        (b"/.%2E/a", None),
        (b"/a%2fb", None),
        (b"/%2Fetc", None),
        (b"/..%2f..", None),
        (b"/a%00", None),
        (b"/a\x00b", None),
        (b"/a%", None),
        (b"/a%4", None),
        (b"/a%zz", None),
        (b"/a%u0041", None),
        (b"/%ff", None),
        (b"/%c0%ae%c0%ae", None),
        (b"/%c0%af", None),
        (b"/%ed%a0%80", None),
    ],
)
def test_a_path_as_names_of_files(path: bytes, expected: list[str] | None) -> None:
    assert decode_path(path) == expected


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name not in (".", "..")
)


@given(st.lists(names, max_size=5), st.booleans())
def test_every_name_of_a_file_can_be_asked_for(wanted: list[str], directory: bool) -> None:
    path = "/" + "/".join(quote(name, safe="") for name in wanted) + ("/" if directory and wanted else "")
    assert decode_path(path.encode()) == ([*wanted, ""] if directory or not wanted else wanted)


@given(
    st.lists(st.sampled_from(["/", ".", "..", "%2e", "%2f", "%5c", "a", "%00", "%", "//", "é"]), max_size=12)
)
def test_no_path_leads_out_of_a_root(pieces: list[str]) -> None:
    """However the names are joined."""
    found = decode_path(("/" + "".join(pieces)).encode())
    if found is not None:
        for joined in (
            str(PurePosixPath("/srv/root", *found)),
            os.path.join("/srv/root", *found),
            os.path.join("/srv/root", "/".join(found)),
        ):
            assert os.path.normpath(joined).startswith("/srv/root")
        assert not any("\0" in name or "/" in name or name in (".", "..") for name in found)
        assert all(found[:-1])
