"""The pages of Uncork's own answers: small, complete, and without anything that a stranger could use.

Lives here: the content of 4xx and 5xx answers that no origin has written.
Doesn't know: when they are sent.
"""

from enum import Enum
from functools import lru_cache

from uncork.edge.answers import Answer
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import reason

_EXPLANATIONS = {
    400: "Your browser sent a request that this server could not understand.",
    404: "There is nothing at this address.",
    405: "This address does not answer that kind of request.",
    408: "The request took too long to arrive.",
    413: "What you sent is larger than this server takes.",
    414: "The address is longer than this server takes.",
    431: "The request's header fields are larger than this server takes.",
    502: "The application behind this server did not give an answer that could be passed on.",
    503: "The application behind this server is not available just now. Please try again in a moment.",
    504: "The application behind this server took too long to answer.",
}

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{status} {reason}</title>
<style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:18vh auto;padding:0 1.5rem;\
color:#222;background:#fafafa}}h1{{font-size:1.6rem}}@media(prefers-color-scheme:dark){{\
body{{color:#ddd;background:#181818}}}}</style>
<h1>{status} {reason}</h1>
<p>{explanation}</p>
</html>
"""


@lru_cache(64)
def error_page(status: int) -> bytes:
    """An HTML page in UTF-8."""
    return _PAGE.format(
        status=status, reason=reason(status).decode(), explanation=_EXPLANATIONS.get(status, "")
    ).encode()


def error_answer(status: int, why: Enum, *fields: Field) -> Answer:
    """An answer with the page of its status, which nobody may store."""
    return Answer(
        status,
        why,
        Fields((*fields, (b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store"))),
        error_page(status),
    )
