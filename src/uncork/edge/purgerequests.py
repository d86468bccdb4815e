"""PURGE over HTTP: pages taken back by whoever has the token.

Lives here: who may purge, what a request names, and the answer. Doesn't know: how a purge works.

There is no standard for it; what is understood is what operators of the common caches know:

    PURGE /path                 that page, with all its queries; with a query, that one only
    PURGE /path/*               it and all below it (as in nginx)
    Surrogate-Key: a b          what has one of these tags, instead of a URL (as with Fastly);
    Cache-Tag: a,b              the same (as with Cloudflare)
    xkey-purge: a b             the same (as in Varnish's xkey)
    Fastly-Soft-Purge: 1        it may be served stale while it is renewed
"""

import hmac
import json
from enum import Enum

from uncork.edge.answers import Answer
from uncork.edge.errorpages import error_answer
from uncork.pages.tags import BadPurge, parse_purge_prefix, parse_purge_url, response_tags
from uncork.purging.table import ClockTable
from uncork.semantics.fields import Fields
from uncork.semantics.messages import Request

_NAMING = {b"surrogate-key": b"surrogate-key", b"cache-tag": b"cache-tag", b"xkey-purge": b"xkey"}


class PurgeReason(Enum):
    """Why a PURGE was answered so."""

    PURGED = "purged-by-request"
    FORBIDDEN = "purge-forbidden"
    BAD = "purge-of-nothing"


class PurgeRequests:
    """`token` is what `Authorization: Bearer` must carry."""

    def __init__(self, token: str, table: ClockTable) -> None:
        self._token = token.encode()
        self._table = table

    def answer(self, request: Request) -> Answer:
        """Purge what the request names: 200 with JSON that lists it, 403, or 400."""
        if not self._may(request.fields.get(b"authorization")):
            return error_answer(403, PurgeReason.FORBIDDEN)
        try:
            tags, named = _named(request)
        except BadPurge:
            return error_answer(400, PurgeReason.BAD)
        soft = request.fields.get(b"fastly-soft-purge") not in (None, b"", b"0")
        self._table.purge(tags, soft=soft)
        body = json.dumps({"purged": named, "soft": soft}).encode()
        fields = Fields(((b"content-type", b"application/json"), (b"cache-control", b"no-store")))
        return Answer(200, PurgeReason.PURGED, fields, body)

    def _may(self, credentials: bytes | None) -> bool:
        scheme, _, token = (credentials or b"").partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(b" "), self._token)


def _named(request: Request) -> tuple[list[bytes], list[str]]:
    """The tags to purge, and how what they stand for is told. Raises BadPurge."""
    naming = [(known, value) for name, value in request.fields if (known := _NAMING.get(name))]
    if naming:
        tags = response_tags(Fields(naming), b"")
        if not tags:
            raise BadPurge("No tag is named")
        return tags, [f"tag {tag.decode('latin-1')}" for tag in tags]
    url = request.url
    if request.query is None and request.path.endswith(b"/*"):
        return [parse_purge_prefix(url[:-1])], [f"prefix {url[:-1].decode('latin-1')}"]
    return parse_purge_url(url), [f"url {url.decode('latin-1')}"]
