"""Content codings: which one a request gets.

Lives here: `Accept-Encoding`, its weights, and the choice among the codings that there are.
Doesn't know: how to compress, and which codings a response has.
"""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from uncork.semantics.fields import members

# The codings that Uncork keeps, as registered. Source: RFC 9110 §8.4.1, RFC 7932, RFC 8878
KNOWN_CODINGS = (b"br", b"gzip", b"zstd")

# codings [ weight ] ; weight = OWS ";" OWS "q=" qvalue. Source: RFC 9110 §12.4.2, §12.5.3
weighted_coding = re.compile(
    rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[ \t]*;[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)

# A longer value is read anew each time, so that no client decides how much is remembered. Bytes.
_LONGEST_REMEMBERED = 256


def preferred_coding(accept_encoding: bytes | None, available: Sequence[bytes]) -> bytes | None:
    """The coding to send, one of `available` (best first, without the identity), or None for the identity.

    The highest weight wins, then the order of `available`; the identity wins only with a higher weight of
    its own, or that of `*`. A client that refuses all there is, the identity included, gets the identity:
    406 would help nobody. Without the field, nothing is encoded. Source: RFC 9110 §12.5.3
    """
    if not accept_encoding:
        return None
    weights = _remembered_weights(accept_encoding)
    others = weights.get(b"*", 0)
    best, best_weight = None, 0
    for coding in available:
        weight = weights.get(coding, others)
        if weight > best_weight:
            best, best_weight = coding, weight
    return None if weights.get(b"identity", others) > best_weight else best


def normalised_codings(accept_encoding: bytes | None) -> tuple[bytes, ...]:
    """The known codings that are acceptable, sorted: what a cache key needs of the field."""
    if not accept_encoding:
        return ()
    weights = _remembered_weights(accept_encoding)
    others = weights.get(b"*", 0)
    return tuple(coding for coding in KNOWN_CODINGS if weights.get(coding, others) > 0)


def _weights(accept_encoding: bytes) -> Mapping[bytes, int]:
    """Thousandths for each coding that is named; 0 is a refusal, and so is what can't be read.

    Of a coding named twice the lower weight holds. `x-gzip` is `gzip`. Source: RFC 9110 §8.4.1.3, §12.5.3
    """
    weights: dict[bytes, int] = {}
    for member in members(accept_encoding):
        found = weighted_coding.fullmatch(member)
        if found is None:
            coding, weight = member.partition(b";")[0].rstrip(b" \t").lower(), 0
        else:
            coding = found[1].lower()
            weight = 1000 if found[2] is None else round(float(found[2]) * 1000)
        if coding in (b"x-gzip", b"x-compress"):
            coding = coding[2:]
        weights[coding] = min(weight, weights.get(coding, 1000))
    return weights


_cached_weights = lru_cache(512)(_weights)


def _remembered_weights(accept_encoding: bytes) -> Mapping[bytes, int]:
    return (_cached_weights if len(accept_encoding) <= _LONGEST_REMEMBERED else _weights)(accept_encoding)
