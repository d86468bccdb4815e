"""Where a request comes from, as far as those tell it who are believed."""

import json
from pathlib import Path

import pytest

from support.edge_client import eventually, serve
from support.web_origin import WebOrigin, reply
from uncork.edge.trust import TrustedProxies


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        (b"10.1.1.1", b"203.0.113.9", b"203.0.113.9"),
        (b"10.1.1.1", b"1.2.3.4, 203.0.113.9", b"203.0.113.9"),  # the first is what a client invented
        (b"10.1.1.1", b"203.0.113.9 , 10.2.2.2", b"203.0.113.9"),
        (b"10.1.1.1", b"10.3.3.3,10.2.2.2", b"10.3.3.3"),
        (b"unix", b"2001:db8::1", b"2001:db8::1"),
        (b"::1", b"203.0.113.9", b"203.0.113.9"),
        (b"203.0.113.1", b"203.0.113.9", b"203.0.113.1"),
        (b"10.1.1.1", None, b"10.1.1.1"),
        (b"10.1.1.1", b"", b"10.1.1.1"),
        (b"10.1.1.1", b"unknown", b"10.1.1.1"),
        (b"10.1.1.1", b'203.0.113.9, x" "y', b"10.1.1.1"),
        (b"10.1.1.1", b"203.0.113.9, \xff", b"10.1.1.1"),
    ],
)
def test_the_client_is_the_last_address_that_is_no_proxys(
    peer: bytes, forwarded_for: bytes | None, client: bytes
) -> None:
    proxies = TrustedProxies(["10.0.0.0/8", "::1", "unix"])
    assert proxies.client(peer, forwarded_for) == client
    assert TrustedProxies().client(peer, forwarded_for) == peer


def test_nobody_is_trusted_who_was_not_named() -> None:
    assert not TrustedProxies()(b"127.0.0.1")
    assert not TrustedProxies(["127.0.0.0/8"])(b"unix")
    assert not TrustedProxies(["unix"])(b"127.0.0.1")


def test_the_log_has_the_address_that_the_proxy_told(tmp_path: Path, origin: WebOrigin) -> None:
    """Of a hit that was remembered, and of what went the long way."""
    page, passed = origin.new(reply(b"x", "Cache-Control: max-age=60")), origin.new(reply(b"x"))
    log = tmp_path / "access.log"
    more = ("--access-log", str(log), "--access-log-format", "json", "--trust-forwarded", "127.0.0.1")
    with serve(tmp_path, origin.url, *more) as edge, edge.connect() as proxy:
        for number in range(1, 9):
            for path in (page, passed):
                assert proxy.ask(path, f"X-Forwarded-For: 192.0.2.{number}").status == 200
        eventually(lambda: log.exists() and log.read_bytes().count(b"\n") >= 16)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert sorted(line["peer"] for line in lines) == sorted(2 * [f"192.0.2.{i}" for i in range(1, 9)])
