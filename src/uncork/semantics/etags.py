"""Entity tags: reading them, comparing them, and one for each content coding.

Lives here: the syntax of `ETag`, the lists of `If-Match` and `If-None-Match`, both comparisons.
Doesn't know: how a tag is made, and what follows from a match (conditional.py).
A tag is kept as it is written: `"x"` is strong, `W/"x"` is weak.
"""

import re
from enum import Enum
from typing import Final

# entity-tag = [ weak ] opaque-tag ; weak = %s"W/" ; opaque-tag = DQUOTE *etagc DQUOTE
# etagc = %x21 / %x23-7E / obs-text. A comma may stand inside. Source: RFC 9110 §8.8.3
_entity_tag = rb'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
entity_tag = re.compile(_entity_tag)
# #entity-tag, with empty members. Source: RFC 9110 §5.6.1, §13.1.1, §13.1.2
entity_tag_list = re.compile(rb"[ \t,]*(?:" + _entity_tag + rb"[ \t]*(?:,[ \t,]*|\Z))+")


class AnyTag(Enum):
    ANY = "*"


ANY: Final = AnyTag.ANY


def parse_etag(value: bytes) -> bytes | None:
    """The tag, or None for what isn't one. Source: RFC 9110 §8.8.3"""
    return value if entity_tag.fullmatch(value) is not None else None


def parse_etag_list(value: bytes) -> list[bytes] | AnyTag:
    """The tags of `If-Match` or `If-None-Match`, or ANY for `*`.

    A value that doesn't follow the grammar has no tags: nothing matches it, so that `If-None-Match` gets
    the whole response and `If-Match` fails. Source: RFC 9110 §13.1.1, §13.1.2
    """
    if value == b"*":
        return ANY
    if entity_tag_list.fullmatch(value) is None:
        return []
    return entity_tag.findall(value)


def is_weak(etag: bytes) -> bool:
    """Source: RFC 9110 §8.8.3"""
    return etag.startswith(b"W/")


def strong_match(a: bytes, b: bytes) -> bool:
    """Both are strong, and the same. Source: RFC 9110 §8.8.3.2"""
    return a == b and not a.startswith(b"W/")


def weak_match(a: bytes, b: bytes) -> bool:
    """The same, whether weak or strong. Source: RFC 9110 §8.8.3.2"""
    return a.removeprefix(b"W/") == b.removeprefix(b"W/")


def with_coding(etag: bytes, coding: bytes) -> bytes:
    """The tag of the same representation in a content coding: `"x"` and br make `"x-br"`.

    A strong tag differs for each coding, because the bytes do. A weak one holds for all of them, and is
    unchanged; so is any tag for the identity (b""). Source: RFC 9110 §8.8.3.3
    """
    if not coding or etag.startswith(b"W/"):
        return etag
    return b'%s-%s"' % (etag[:-1], coding)
