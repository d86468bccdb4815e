"""Whom to believe about where a request comes from.

Lives here: the proxies in front that were named, and the client's address as they tell it.
Doesn't know: what else a proxy may say, and who asks.
"""

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

# What stands for the address of a client that came by a Unix socket, and has none: X-Forwarded-For, in which
# applications expect one, is left out.
UNIX = b"unix"


class TrustedProxies:
    """`networks` are in CIDR; `unix` among them is whoever can connect to a Unix socket."""

    def __init__(self, networks: Iterable[str] = ()) -> None:
        named = list(networks)
        self._unix = "unix" in named
        self._networks = [ipaddress.ip_network(name, strict=False) for name in named if name != "unix"]
        self._any = bool(named)
        self._among = lru_cache(4096)(self._look_up)
        self._told = lru_cache(4096)(self._walk)

    def __call__(self, peer: bytes) -> bool:
        """Whether an address is one of them."""
        return self._any and self._among(peer)

    def client(self, peer: bytes, forwarded_for: bytes | None) -> bytes:
        """The address that a request comes from: the last one of X-Forwarded-For that isn't a proxy's, as far
        as proxies tell. What stands before it may be anybody's invention."""
        return peer if not self._any or not forwarded_for else self._told(peer, forwarded_for)

    def _walk(self, peer: bytes, forwarded_for: bytes) -> bytes:
        addresses = [address.strip(b" \t") for address in forwarded_for.split(b",")]
        while addresses and self(peer):
            before = addresses.pop()
            if _parsed(before) is None:
                break
            peer = before
        return peer

    def _look_up(self, peer: bytes) -> bool:
        if peer == UNIX:
            return self._unix
        address = _parsed(peer)
        return address is not None and any(address in network for network in self._networks)


def _parsed(address: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(address.decode())
    except ValueError:
        return None
