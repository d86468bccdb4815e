"""Where an origin listens.

Lives here: reading `--origin` values, and the address of a socket they mean.
Doesn't know: connections, and whether anyone listens there.
"""

import os
import re
import socket
from dataclasses import dataclass
from ipaddress import ip_address

# sun_path is 108 bytes with its closing NUL. Source: unix(7)
_LONGEST_PATH = 107

_USAGE = "use http://HOST:PORT, http+unix:/path/to/socket or unix:/path/to/socket"

_authority = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class Address:
    """A Unix socket (`path`) or a TCP host and port; of the two kinds exactly one is set.

    `host` is a name or an IP address without brackets.
    """

    path: str | None = None
    host: str | None = None
    port: int = 0

    @property
    def authority(self) -> bytes:
        """A `Host` value for requests of our own, such as a health check."""
        if self.host is None:
            return b"localhost"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.port == 80 else f"{host}:{self.port}").encode()

    @property
    def local(self) -> bool:
        """Whether what is sent there stays on this machine."""
        if self.host is None or self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:  # a name, which may lead anywhere
            return False

    def __str__(self) -> str:
        if self.path is not None:
            return "http+unix:" + self.path
        return "http://" + self.authority.decode()


def parse_origin(text: str) -> Address:
    """`http://h:p`, `http+unix:PATH` or `unix:PATH` as an address; ValueError says what is wrong.

    A relative PATH is kept as it is. The port is 80 where none is given. Source: RFC 9110 §4.2.1
    """
    scheme, colon, rest = text.strip().partition(":")
    scheme = scheme.lower()
    if not colon:
        raise ValueError(f"origin {text!r} has no scheme: {_USAGE}")
    if scheme in ("unix", "http+unix"):
        return _unix(text, rest)
    if scheme in ("https", "https+unix"):
        raise ValueError(f"origin {text!r}: origins over TLS are not supported yet; {_USAGE}")
    if scheme != "http":
        raise ValueError(f"origin {text!r} has an unknown scheme {scheme!r}: {_USAGE}")
    if not rest.startswith("//"):
        raise ValueError(f"origin {text!r} lacks '//' after 'http:': {_USAGE}")
    authority, _, beyond = rest[2:].partition("/")
    if beyond or "?" in authority or "#" in authority:
        raise ValueError(f"origin {text!r} must not have a path or query: requests keep their own")
    if "@" in authority:
        raise ValueError(f"origin {text!r} must not have a user name or password")
    found = _authority.fullmatch(authority)
    if found is None:
        raise ValueError(f"origin {text!r} has no valid host and port: {_USAGE}")
    port = int(found["port"] or 80)
    if not 0 < port < 65536:
        raise ValueError(f"origin {text!r}: the port must be between 1 and 65535")
    host = found["host"]
    if host.startswith("["):
        host = host[1:-1]
        try:
            socket.inet_pton(socket.AF_INET6, host)
        except OSError:
            raise ValueError(f"origin {text!r}: {host!r} is not an IPv6 address") from None
    return Address(host=host.lower(), port=port)


def _unix(text: str, path: str) -> Address:
    if path.startswith("//"):
        if not path.startswith("///"):
            raise ValueError(f"origin {text!r} names a host before the path: write http+unix:/path/to/socket")
        path = path[2:]
    if not path:
        raise ValueError(f"origin {text!r} names no socket: {_USAGE}")
    if "\0" in path:
        raise ValueError(f"origin {text!r}: a path can't hold a NUL byte")
    length = len(os.fsencode(path))
    if length > _LONGEST_PATH:
        raise ValueError(
            f"origin {text!r}: the socket's path has {length} bytes, and may have {_LONGEST_PATH}"
        )
    return Address(path=path)
