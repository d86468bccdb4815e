"""What an unsafe request makes invalid.

Lives here: the URLs and the cache groups that a response to an unsafe request names, and its own URL.
Doesn't know: how they are purged.
"""

from typing import NamedTuple
from urllib.parse import urljoin

from uncork.caching.structured import Kind, Malformed, parse_list
from uncork.semantics.messages import SAFE_METHODS, Request, Response
from uncork.semantics.targets import split_target


class Url(NamedTuple):
    """A URL in the parts and the normal form of `Request`."""

    scheme: bytes
    authority: bytes
    path: bytes
    query: bytes | None


def invalidated_urls(request: Request, response: Response) -> tuple[Url, ...]:
    """The URLs whose stored responses a response makes invalid: first the target, then `Location` and
    `Content-Location` if they are of the same origin. Empty for a safe method and for an error.

    A method that isn't known counts as unsafe. Source: RFC 9111 §4.4
    """
    if request.method in SAFE_METHODS or not 200 <= response.status < 400:
        return ()
    found = [Url(request.scheme, request.authority, request.path, request.query)]
    for name in (b"location", b"content-location"):
        reference = response.fields.get(name)
        if reference is None:
            continue
        url = _resolved(request, reference)
        if url is not None and url not in found and url[:2] == found[0][:2]:
            found.append(url)
    return tuple(found)


def invalidated_groups(request: Request, response: Response) -> tuple[bytes, ...]:
    """The groups of the request's origin that `Cache-Group-Invalidation` names; none for a safe method.

    Unlike URLs, groups are named on purpose, so an error makes no difference. Source: RFC 9875 §3
    """
    if request.method in SAFE_METHODS:
        return ()
    return parse_groups(response.fields.get(b"cache-group-invalidation"))


def parse_groups(value: bytes | None) -> tuple[bytes, ...]:
    """The groups of `Cache-Groups` or `Cache-Group-Invalidation`, each once, compared byte by byte. A value
    that isn't a list of strings has none. Source: RFC 9875 §2, §3"""
    if value is None:
        return ()
    try:
        items = parse_list(value)
    except Malformed:
        return ()
    groups = [item.value for item in items if item.kind is Kind.STRING and isinstance(item.value, bytes)]
    return tuple(dict.fromkeys(groups)) if len(groups) == len(items) else ()


def _resolved(request: Request, reference: bytes) -> Url | None:
    """The reference as a URL, None when it names no http(s) resource. Source: RFC 9110 §10.2.2"""
    try:
        absolute = urljoin(request.url.decode("latin-1"), reference.decode("latin-1"))
        target = absolute.partition("#")[0].encode("latin-1")
        return Url(*split_target(target, b"GET", None, request.scheme))
    except ValueError:
        return None
