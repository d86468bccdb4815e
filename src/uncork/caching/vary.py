"""Which request fields selected a response, and when two of their values are the same.

Lives here: `Vary`, and the normal form of a selecting value.
Doesn't know: keys, and what else of a request a response may depend on.
"""

import re
from collections.abc import Iterable

from uncork.semantics.fields import Fields, members, names, token

# Their values are weighted lists: #( item [ weight ] ). Source: RFC 9110 §12.5.1 to §12.5.4
WEIGHTED = frozenset({b"accept", b"accept-charset", b"accept-encoding", b"accept-language"})

# Charsets, codings and language tags compare without case; a media type's parameter may not.
# Source: RFC 9110 §8.3.1, §8.3.2, §8.4.1, §8.5.1
_CASELESS = WEIGHTED - {b"accept"}

# weight = OWS ";" OWS "q=" qvalue. Source: RFC 9110 §12.4.2
weight = re.compile(rb"[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)")


def vary_names(fields: Fields) -> tuple[bytes, ...] | None:
    """The names in `Vary`, each once and sorted; None for `*`, and for what is no name, which nothing can
    be known to match. Source: RFC 9110 §12.5.5, RFC 9111 §4.1"""
    found = set(names(fields.get(b"vary")))
    if any(name == b"*" or token.fullmatch(name) is None for name in found):
        return None
    return tuple(sorted(found))


def normalise(name: bytes, value: bytes | None) -> bytes | None:
    """The normal form of a request field's value: two values with the same one mean the same.

    Absent stays absent. White space, the case of what has none, and how a weight is written are evened
    out. Order is kept even where the weights are equal: RFC 9110 §12.5.4 gives it no meaning, but Django,
    like most readers of Accept-Language, takes the first. Source: RFC 9111 §4.1
    """
    if value is None or name not in WEIGHTED:
        return value
    normal = b",".join(_normal_member(member) for member in members(value))
    return normal.lower() if name in _CASELESS else normal


def select(selecting: Iterable[bytes], fields: Fields) -> tuple[tuple[bytes, bytes | None], ...]:
    """The normal values that a request's fields have for these names. Source: RFC 9111 §4.1"""
    return tuple((name, normalise(name, fields.get(name))) for name in selecting)


def matches(selected: Iterable[tuple[bytes, bytes | None]], fields: Fields) -> bool:
    """Whether a request selects what these values, from `select`, were stored for."""
    return all(normalise(name, fields.get(name)) == value for name, value in selected)


def _normal_member(member: bytes) -> bytes:
    if b'"' in member:
        return member
    *parts, last = (part.strip(b" \t") for part in member.split(b";"))
    # Only at the end: what follows a weight is no part of the item, and means something else before it.
    found = weight.fullmatch(last) if parts else None
    if found is None:
        parts.append(last)
    elif (quality := found[1].rstrip(b"0").rstrip(b".") if b"." in found[1] else found[1]) != b"1":
        parts.append(b"q=" + quality)
    return b";".join(parts)
