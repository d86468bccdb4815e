import pytest

from uncork.upstream.addresses import Address, parse_origin


@pytest.mark.parametrize(
    ("text", "address", "shown", "authority"),
    [
        ("http://127.0.0.1:8000", Address(host="127.0.0.1", port=8000), None, b"127.0.0.1:8000"),
        ("http://127.0.0.1:8000/", Address(host="127.0.0.1", port=8000), "http://127.0.0.1:8000", None),
        (
            "HTTP://App.Internal",
            Address(host="app.internal", port=80),
            "http://app.internal",
            b"app.internal",
        ),
        ("http://my_app:80", Address(host="my_app", port=80), "http://my_app", b"my_app"),
        ("http://[::1]:8000", Address(host="::1", port=8000), None, b"[::1]:8000"),
        (" http://a:1 ", Address(host="a", port=1), "http://a:1", b"a:1"),
        ("http+unix:/run/app.sock", Address(path="/run/app.sock"), None, b"localhost"),
        ("http+unix:///run/app.sock", Address(path="/run/app.sock"), "http+unix:/run/app.sock", None),
        ("http+unix:app.sock", Address(path="app.sock"), None, b"localhost"),
        ("unix:/run/a:b.sock", Address(path="/run/a:b.sock"), "http+unix:/run/a:b.sock", None),
    ],
)
def test_an_origin_is_read_and_shown(text, address, shown, authority):
    assert parse_origin(text) == address
    assert str(address) == (shown or text)
    assert parse_origin(str(address)) == address
    if authority is not None:
        assert address.authority == authority


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no scheme"),
        ("localhost", "no scheme"),
        ("localhost:8000", "unknown scheme 'localhost'"),
        ("https://h:443", "not supported yet"),
        ("ftp://h", "unknown scheme 'ftp'"),
        ("http:h", "lacks '//'"),
        ("http://", "no valid host"),
        ("http://:80", "no valid host"),
        ("http://h:", "no valid host"),
        ("http://h:0", "between 1 and 65535"),
        ("http://h:65536", "between 1 and 65535"),
        ("http://h:80x", "no valid host"),
        ("http://h/app", "must not have a path"),
        ("http://h?x", "must not have a path"),
        ("http://u:p@h", "user name"),
        ("http://[::g]:1", "no valid host"),
        ("http://[1:2]:1", "not an IPv6 address"),
        ("http+unix:", "names no socket"),
        ("http+unix://run/app.sock", "names a host"),
        ("unix:/" + "x" * 107, "has 108 bytes"),
        ("unix:/a\0b", "NUL"),
    ],
)
def test_what_is_wrong_with_an_origin_is_said(text, said):
    with pytest.raises(ValueError, match="origin") as error:
        parse_origin(text)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("unix:/a", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9", True),
        ("http://[::1]:8000", True),
        ("http://LOCALHOST:8000", True),
        ("http://10.0.0.1", False),
        ("http://[fe80::1]", False),
        ("http://0.0.0.0", False),
        ("http://app:8000", False),
        ("http://localhost.example", False),
    ],
)
def test_what_stays_on_this_machine(text: str, local: bool) -> None:
    assert parse_origin(text).local is local
