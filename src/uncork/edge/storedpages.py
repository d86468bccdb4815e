"""A stored page as the answer to a request.

Lives here: which of its bodies is sent, its fields for the client, conditions and ranges.
Doesn't know: whether it may be sent, and to whom.
"""

import os

from uncork.caching.vary import vary_names
from uncork.edge.answers import Answer, FilePart, OpenFile
from uncork.edge.compressing import is_worth_compressing
from uncork.edge.decide import Why
from uncork.edge.representation import Representation, answer
from uncork.edge.rewriting import client_fields
from uncork.pages.page import Page
from uncork.semantics.dates import parse_date
from uncork.semantics.etags import parse_etag, with_coding
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import Request
from uncork.semantics.negotiation import preferred_coding
from uncork.stores.contract import StoredPage

# A page up to this size is sent from memory, a larger one by sendfile. Bytes.
_SMALL = 64 * 1024
# The codings that pages are stored in, the preferred one first.
_CODINGS = (b"br", b"gzip")


class PageAnswers:
    """`keep_tags` leaves the tags to the client. `compresses`: pages get variants of our making."""

    def __init__(self, keep_tags: bool, compresses: bool) -> None:
        self._keep_tags = keep_tags
        self._compresses = compresses

    def make(self, request: Request, stored: StoredPage, why: Why, now: float) -> Answer:
        """The answer, without the fields that change with time. Raises CorruptPage."""
        page = stored.page
        coding = preferred_coding(
            request.fields.get(b"accept-encoding"), [known for known in _CODINGS if known in stored.bodies]
        )
        offset, length = stored.bodies[coding or b""]
        content: bytes | FilePart
        if length <= _SMALL:
            content = stored.read(coding or b"")
        else:
            content = FilePart(OpenFile(os.dup(stored.fd)), offset, length)
        fields, etag = self._fields_and_tag(stored, coding)
        if page.status == 200:
            modified = page.fields.get(b"last-modified")
            date = parse_date(page.fields.get(b"date") or b"", now)
            made = answer(
                request,
                Representation(
                    tuple(fields), content, etag, None if modified is None else parse_date(modified, now)
                ),
                now,
                at_origin=False,
                date=now if date is None else date,
            )
        elif request.method == b"HEAD":
            made = Answer(page.status, why, Fields((*fields, (b"content-length", b"%d" % length))))
            if isinstance(content, FilePart):
                content.file.release()
        else:
            made = Answer(page.status, why, Fields(fields), content)
        made.reason = why
        return made

    def fields(self, page: Page) -> list[Field]:
        """Those for the client, with Accept-Encoding in Vary where the page has, or will have, variants of
        our making."""
        fields = client_fields(page.fields, self._keep_tags)
        if not self._compresses or not is_worth_compressing(page):
            return fields
        if b"accept-encoding" in (vary_names(page.fields) or ()):
            return fields
        vary = page.fields.get(b"vary")
        kept = [item for item in fields if item[0] != b"vary"]
        return [*kept, (b"vary", b"Accept-Encoding" if vary is None else vary + b", Accept-Encoding")]

    def _fields_and_tag(self, stored: StoredPage, coding: bytes | None) -> tuple[list[Field], bytes | None]:
        """The fields but for what `Representation` makes of the tag and the date; and the tag."""
        page = stored.page
        made_anew = (b"etag", b"last-modified", b"accept-ranges")
        fields = [item for item in self.fields(page) if item[0] not in made_anew]
        etag = page.fields.get(b"etag")
        if etag is None or parse_etag(etag) is None:
            etag = stored.etag()
        if coding is not None:
            etag = with_coding(etag, coding)
            fields.append((b"content-encoding", coding))
        return fields, etag
