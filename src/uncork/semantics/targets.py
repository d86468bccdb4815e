"""Request targets: the URL that a request is for, and the path as names of files.

Lives here: the four forms of a target, `Host`, the normal form of an authority, decoding of a path.
Doesn't know: which hosts are served, and the file system.
"""

import re
from enum import Enum
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address
from urllib.parse import unquote_to_bytes


class Flaw(Enum):
    """What is wrong with a target."""

    FORM = "the target has none of the four forms, or one that the method can't have"
    CHARACTER = "the target holds a control character, a space or a fragment"
    AUTHORITY = "the authority of the target is not a host with an optional port"
    HOST = "Host is not a host with an optional port"
    SCHEME = "the target's scheme is neither http nor https"
    MISDIRECTED = "the target is https, but came over a connection that isn't secured"


class BadTarget(ValueError):
    """The request has no target that could be served: `status` is 400, or 421 when it's another server's."""

    def __init__(self, flaw: Flaw) -> None:
        super().__init__(flaw.value)
        self.flaw = flaw

    @property
    def status(self) -> int:
        """Source: RFC 9112 §3.2, RFC 9110 §7.4, §15.5.20"""
        return 421 if self.flaw is Flaw.MISDIRECTED else 400


# uri-host [ ":" port ], but a host can't be empty. Source: RFC 3986 §3.2.2, RFC 9110 §4.2.1, §7.2
authority_form = re.compile(
    rb"((?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+"
    rb"|\[([0-9A-Fa-f:.]+)\]"
    rb"|\[[vV][0-9A-Fa-f]+\.[A-Za-z0-9\-._~!$&'()*+,;=:]+\])"
    rb"(?::([0-9]*))?"
)
# A name for DNS of at most 255 bytes, and ":65535". Source: RFC 3986 §3.2.2
_LONGEST_AUTHORITY = 261

# absolute-form = absolute-URI. Source: RFC 9112 §3.2.2
absolute_form = re.compile(rb"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?]*)(/[^?]*)?(?:\?(.*))?")

# What can't be in any form. Of the rest, browsers and curl send raw much that RFC 3986 would have
# escaped (`|`, `[`, `{`, UTF-8), and no reader takes it for anything else.
_unfit = re.compile(rb"[\x00-\x20\x7f#]")

# NUL, a slash in disguise, and a percent sign that escapes nothing
_no_name = re.compile(rb"\x00|%(?:00|2[fF]|(?![0-9A-Fa-f]{2}))")

_DEFAULT_PORT = {b"http": 80, b"https": 443}


def split_target(
    target: bytes, method: bytes, host: bytes | None, scheme: bytes
) -> tuple[bytes, bytes, bytes, bytes | None]:
    """(scheme, authority, path, query) of a request, as in `Request`; raises BadTarget.

    `host` is the value of Host, None where there is none, and `scheme` that of the connection. That
    HTTP/1.1 must have one Host is the reader's of the message to see to; an absolute-form wins over it,
    but it must be valid even so. Without either, the authority is b"". `path` is b"*" for OPTIONS of the
    whole server and b"" for CONNECT. Source: RFC 9110 §7.1, §7.2, RFC 9112 §3.2, §3.3
    """
    try:
        authority = normalised_authority(host, scheme) if host else b""
    except BadTarget:
        raise BadTarget(Flaw.HOST) from None
    if _unfit.search(target) is not None:
        raise BadTarget(Flaw.CHARACTER)

    if method == b"CONNECT":
        named_host, port = _host_and_port(target)
        if port is None:
            raise BadTarget(Flaw.FORM)
        return scheme, b"%s:%d" % (named_host, port), b"", None
    if target.startswith(b"/"):
        path, mark, query = target.partition(b"?")
        return scheme, authority, path, query if mark else None
    if target == b"*" and method == b"OPTIONS":
        return scheme, authority, b"*", None

    found = absolute_form.fullmatch(target)
    if found is None:
        raise BadTarget(Flaw.FORM)
    named_scheme = found[1].lower()
    if named_scheme not in _DEFAULT_PORT:
        raise BadTarget(Flaw.SCHEME)
    if named_scheme == b"https" and scheme != b"https":
        raise BadTarget(Flaw.MISDIRECTED)
    authority = normalised_authority(found[2], named_scheme)
    path, query = found[3], found[4]
    if path is None:  # the whole server for OPTIONS. Source: RFC 9112 §3.2.4; RFC 9110 §4.2.3
        path = b"*" if method == b"OPTIONS" and query is None else b"/"
    return named_scheme, authority, path, query


# Only what is valid is remembered, and that is short.
@lru_cache(1024)
def normalised_authority(authority: bytes, scheme: bytes) -> bytes:
    """A host, with its port unless that is the scheme's own, in lower case; raises BadTarget.

    User information is an error: it is there to mislead. Source: RFC 9110 §4.2.3, §4.2.4
    """
    host, port = _host_and_port(authority)
    return host if port is None or port == _DEFAULT_PORT[scheme] else b"%s:%d" % (host, port)


def _host_and_port(authority: bytes) -> tuple[bytes, int | None]:
    found = authority_form.fullmatch(authority) if len(authority) <= _LONGEST_AUTHORITY else None
    if found is None:
        raise BadTarget(Flaw.AUTHORITY)
    host, ipv6, digits = found.groups()
    if ipv6 is not None:
        try:
            IPv6Address(ipv6.decode("ascii"))
        except AddressValueError:
            raise BadTarget(Flaw.AUTHORITY) from None
    port = int(digits) if digits else None
    if port is not None and not 0 < port < 65536:
        raise BadTarget(Flaw.AUTHORITY)
    return host.lower(), port


def decode_path(path: bytes) -> list[str] | None:
    """The names of a path for the file system, decoded; the last is "" when the path ends with a slash.

    Empty segments and `.` are left out, so that no way of joining the names gives an absolute one. None
    for what names no file: `..`, NUL, an encoded slash, a bad escape, and what isn't UTF-8.
    Source: RFC 3986 §2.1, §3.3, §6.2.2
    """
    if not path.startswith(b"/") or _no_name.search(path) is not None:
        return None
    try:
        decoded = (unquote_to_bytes(path) if b"%" in path else path).decode("utf-8")
    except UnicodeDecodeError:
        return None
    segments = decoded[1:].split("/")
    if ".." in segments:
        return None
    names = [segment for segment in segments if segment and segment != "."]
    if not segments[-1] or segments[-1] == ".":
        names.append("")
    return names
