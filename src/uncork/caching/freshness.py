"""How old a stored response is, and how long it stays fresh.

Lives here: the numbers kept with a stored response, their byte layout, and the arithmetic of age.
Doesn't know: fields. Which numbers a response gets is `storable`'s; what follows from them is `reuse`'s.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from math import inf, isfinite

from uncork.caching.directives import DELTA_MAX

CLOCK_STEP = 5.0
"""Seconds by which the clock may be set back before a stored response counts as one from the future, of
which nobody can say how long it has been here. A step of NTP is well below."""


class Source(IntEnum):
    """What gave a response its freshness lifetime. The numbers are part of the page file."""

    NONE = 0
    S_MAXAGE = 1
    MAX_AGE = 2
    EXPIRES = 3
    HEURISTIC = 4
    DEFAULT = 5
    NEGATIVE = 6


@dataclass(frozen=True, slots=True)
class Freshness:
    """The freshness of a stored response. All times are seconds.

    `response_time` is when the response was received, since the epoch; `corrected_initial_age` how old
    it was by then; `lifetime`, `stale_while_revalidate` and `stale_if_error` are whole, in 0..DELTA_MAX.
    `must_revalidate`: never used stale. `no_cache`: never used without validation. `targeted`: a
    a targeted field said so.

        0      8  response_time           IEEE 754 double
        8      8  corrected_initial_age   IEEE 754 double
        16     4  lifetime                unsigned
        20     4  stale_while_revalidate  unsigned
        24     4  stale_if_error          unsigned
        28     1  source                  Source
        29     1  flags                   1 must_revalidate, 2 no_cache, 4 targeted
        30     2  zero
        32                                all little-endian

    Source: RFC 9111 §4.2.3
    """

    response_time: float
    corrected_initial_age: float
    lifetime: int
    stale_while_revalidate: int = 0
    stale_if_error: int = 0
    must_revalidate: bool = False
    no_cache: bool = False
    source: Source = Source.NONE
    targeted: bool = False

    def to_bytes(self) -> bytes:
        """FRESHNESS_SIZE bytes, as drawn above."""
        flags = self.must_revalidate | self.no_cache << 1 | self.targeted << 2
        return _LAYOUT.pack(
            self.response_time,
            self.corrected_initial_age,
            self.lifetime,
            self.stale_while_revalidate,
            self.stale_if_error,
            self.source,
            flags,
            0,
        )

    @classmethod
    def from_bytes(cls, data: bytes | memoryview) -> "Freshness":
        """The inverse of to_bytes. Raises ValueError when these bytes are no Freshness."""
        if len(data) != FRESHNESS_SIZE:
            raise ValueError(f"{len(data)} bytes instead of {FRESHNESS_SIZE}")
        response_time, initial_age, lifetime, revalidate, error, source, flags, zero = _LAYOUT.unpack(data)
        if not isfinite(response_time) or not 0 <= initial_age <= DELTA_MAX:
            raise ValueError("a time out of range")
        if max(lifetime, revalidate, error) > DELTA_MAX or flags > 7 or zero:
            raise ValueError("a number out of range")
        return cls(
            response_time=response_time,
            corrected_initial_age=initial_age,
            lifetime=lifetime,
            stale_while_revalidate=revalidate,
            stale_if_error=error,
            must_revalidate=bool(flags & 1),
            no_cache=bool(flags & 2),
            source=Source(source),
            targeted=bool(flags & 4),
        )


_LAYOUT = struct.Struct("<ddIIIBBH")
FRESHNESS_SIZE = _LAYOUT.size


def initial_age(date: float | None, age: int | None, requested_at: float, received_at: float) -> float:
    """`corrected_initial_age` in seconds, in 0..DELTA_MAX.

    `date` and `age` are the values of the response's fields, None when absent or bad. The apparent age is
    taken in whole seconds, as `Date` is: otherwise a response made now would seem to be up to a second old.
    Source: RFC 9111 §4.2.3
    """
    apparent_age = 0.0 if date is None else max(0.0, received_at // 1 - date)
    response_delay = max(0.0, received_at - requested_at)
    return min(max(apparent_age, (age or 0) + response_delay), float(DELTA_MAX))


def current_age(freshness: Freshness, now: float) -> float:
    """Seconds since the origin made or validated the response, in 0..DELTA_MAX. Source: RFC 9111 §4.2.3"""
    resident_time = now - freshness.response_time
    if resident_time < -CLOCK_STEP:
        return float(DELTA_MAX)
    return min(freshness.corrected_initial_age + max(0.0, resident_time), float(DELTA_MAX))


def age_value(freshness: Freshness, now: float) -> bytes:
    """The `Age` field of a response that is served from the store at `now`. Source: RFC 9111 §5.1"""
    return b"%d" % current_age(freshness, now)


def remaining(freshness: Freshness, now: float) -> int:
    """Whole seconds until it goes stale, negative when it did: the `ttl` of Cache-Status.

    Source: RFC 9211 §2.4
    """
    return int((freshness.lifetime - current_age(freshness, now)) // 1)


def fresh_until(freshness: Freshness) -> float:
    """The time at which it goes stale, in seconds since the epoch; -inf when it always needs validation.

    For a memo: fresh at every now with `response_time - CLOCK_STEP <= now < fresh_until`, as far as the
    request has no directives of its own. Source: RFC 9111 §4.2
    """
    if freshness.no_cache or freshness.lifetime <= freshness.corrected_initial_age:
        return -inf
    return freshness.response_time + (freshness.lifetime - freshness.corrected_initial_age)
