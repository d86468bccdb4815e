"""Cache directives: `Cache-Control` of requests and responses, and the targeted fields.

Lives here: how a directive is read, and what a bad or repeated one counts as: always the more careful.
Doesn't know: what follows from a directive.
"""

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from uncork.caching.structured import Kind, Malformed, parse_dictionary
from uncork.semantics.fields import Fields, members, token

DELTA_MAX = 2**31
"""Seconds that stand for every longer time. Source: RFC 9111 §1.2.2"""


@dataclass(frozen=True, slots=True)
class Directives:
    """What one message says. Times are whole seconds in 0..DELTA_MAX, None where nothing is said.

    `private` and `no_cache` are set by their forms with field names too: a cache may treat these as
    the forms without. `max_stale` is DELTA_MAX when the directive has no argument.
    Source: RFC 9111 §5.2.1, §5.2.2, RFC 5861 §3, §4
    """

    max_age: int | None = None
    s_maxage: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None
    no_cache: bool = False
    no_store: bool = False
    no_transform: bool = False
    only_if_cached: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False


NO_DIRECTIVES = Directives()

# The fields that are for this cache, the first that has a say first. Ours is taken off before the client sees
# it; the other is for the caches on the way, too. Source: RFC 9213 §2.2, §3.1
TARGETS = (b"uncork-cache-control", b"cdn-cache-control")

_FLAGS = {
    name: name.decode().replace("-", "_")
    for name in (
        b"no-cache", b"no-store", b"no-transform", b"only-if-cached", b"private", b"public",
        b"must-revalidate", b"proxy-revalidate", b"must-understand",
    )
}  # fmt: skip
_TIMES = {
    name: name.decode().replace("-", "_")
    for name in (
        b"max-age", b"s-maxage", b"min-fresh", b"max-stale", b"stale-while-revalidate", b"stale-if-error",
    )
}  # fmt: skip

# What a member that breaks the grammar can forbid, but never allow: must-revalidate isn't here, since it
# also lets responses to requests with Authorization be stored, and proxy-revalidate says the same otherwise.
_FORBIDDING = frozenset({b"no-cache", b"no-store", b"no-transform", b"private", b"proxy-revalidate"})

# cache-directive = token [ "=" ( token / quoted-string ) ]. Source: RFC 9111 §5.2
cache_directive = re.compile(
    rb"(" + token.pattern + rb")(?:=(?:(" + token.pattern + rb')|"((?>(?:[^"\\]|\\.)*))"))?', re.DOTALL
)
# Source: RFC 9111 §1.2.2
delta_seconds = re.compile(rb"[0-9]+")


def parse_directives(value: bytes | None) -> Directives:
    """A combined `Cache-Control`. Never fails: what can't be read counts as what is most careful.

    A bad time is 0, a time that comes twice is the more restrictive one, names are compared without case,
    and a time may be quoted. Of a member that isn't a directive (`private; max-age=60`, an unclosed
    quote), each word that forbids something does, and a time makes the response stale.
    Source: RFC 9111 §4.2.1, §5.2
    """
    if not value:
        return NO_DIRECTIVES
    return _parse(value) if len(value) > _KEPT_LENGTH else _parse_and_keep(value)


def parse_targeted(value: bytes | None) -> Directives | None:
    """A combined targeted field; None when it is absent, empty or void, and so has no say.

    It is a structured field and read strictly: one error, or a known directive with a value of the wrong
    type, voids it. Source: RFC 9213 §2.1
    """
    if not value:
        return None
    try:
        dictionary = parse_dictionary(value)
    except Malformed:
        return None
    found: dict[str, int | bool] = {}
    for name, item in dictionary.items():
        if name in _FLAGS:
            # A String is the form with field names.
            if item.kind is Kind.BOOLEAN:
                found[_FLAGS[name]] = bool(item.value)
            elif item.kind is Kind.STRING:
                found[_FLAGS[name]] = True
            else:
                return None
        elif name in _TIMES:
            if item.kind is not Kind.INTEGER:
                return None
            found[_TIMES[name]] = min(max(int(item.value), 0), DELTA_MAX)
    return replace(NO_DIRECTIVES, **found) if dictionary else None  # type: ignore[arg-type]


def response_directives(fields: Fields) -> tuple[Directives, bool]:
    """What a response says to this cache, and whether a targeted field said it; then `Cache-Control` and
    `Expires` have no say at all. Source: RFC 9213 §2.2, §3.1"""
    for name in TARGETS:
        targeted = parse_targeted(fields.get(name))
        if targeted is not None:
            return targeted, True
    return parse_directives(fields.get(b"cache-control")), False


def parse_delta_seconds(value: bytes) -> int | None:
    """Whole seconds, at most DELTA_MAX; None when it isn't digits only. Source: RFC 9111 §1.2.2"""
    if delta_seconds.fullmatch(value) is None:
        return None
    digits = value.lstrip(b"0")
    return min(int(digits or b"0"), DELTA_MAX) if len(digits) <= 10 else DELTA_MAX


def may_transform(fields: Fields) -> bool:
    """Whether content may be sent in another coding than it came in. `no-transform` is for whoever passes
    the message on, so a targeted field doesn't lift it. Source: RFC 9110 §7.7, RFC 9111 §5.2.2.6"""
    if b"cache-control" not in fields and not any(name in fields for name in TARGETS):
        return True
    return not (
        parse_directives(fields.get(b"cache-control")).no_transform
        or response_directives(fields)[0].no_transform
    )


def _parse(value: bytes) -> Directives:
    found: dict[str, int | bool] = {}
    for member in members(value):
        directive = cache_directive.fullmatch(member)
        if directive is None:
            words = set(token.findall(member.lower()))
            found.update((_FLAGS[word], True) for word in words & _FORBIDDING)
            if b"max-age" in words or b"s-maxage" in words:
                found["max_age"] = 0
            continue
        name, plain, quoted = directive.groups()
        name = name.lower()
        if name in _FLAGS:
            found[_FLAGS[name]] = True
        elif name in _TIMES:
            time = _TIMES[name]
            argument = plain if quoted is None else quoted
            if argument is None:
                seconds = DELTA_MAX if time == "max_stale" else 0
            else:
                seconds = parse_delta_seconds(argument) or 0
            stricter = max if time == "min_fresh" else min
            found[time] = stricter(found.get(time, seconds), seconds)
    return replace(NO_DIRECTIVES, **found)  # type: ignore[arg-type]


# The few values that nearly all messages carry are short; long ones, which a client can make up at will,
# are parsed each time. 256 values of 128 bytes bound the memory to some 100 KiB.
_KEPT_LENGTH = 128
_parse_and_keep = lru_cache(256)(_parse)
