"""Age, freshness, and when a stored response may be used."""

import math
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.caching.directives import DELTA_MAX, NO_DIRECTIVES, Directives, parse_directives
from uncork.caching.freshness import (
    CLOCK_STEP,
    FRESHNESS_SIZE,
    Freshness,
    Source,
    age_value,
    current_age,
    fresh_until,
    initial_age,
    remaining,
)
from uncork.caching.reuse import ERROR_STATUSES, Reuse, judge, stale_if_error_allowed

NOW = 1_700_000_000.0
STORED = Freshness(
    response_time=NOW,
    corrected_initial_age=10.0,
    lifetime=60,
    stale_while_revalidate=20,
    stale_if_error=100,
    source=Source.MAX_AGE,
)
FRESH, SWR, VALIDATE = Reuse.FRESH, Reuse.STALE_WHILE_REVALIDATE, Reuse.REVALIDATE


@pytest.mark.parametrize(
    ("source", "request_", "changes", "seconds", "expected"),
    [
        ("RFC 9111 §4.2", b"", {}, 0, FRESH),
        ("RFC 9111 §4.2", b"", {}, 49.9, FRESH),
        ("RFC 9111 §4.2", b"", {"stale_while_revalidate": 0}, 50, VALIDATE),
        ("RFC 5861 §3", b"", {}, 50, SWR),
        ("RFC 5861 §3", b"", {}, 69.9, SWR),
        ("RFC 5861 §3", b"", {}, 70, VALIDATE),
        ("RFC 9111 §5.2.2.2", b"", {"must_revalidate": True}, 49, FRESH),
        ("RFC 9111 §5.2.2.2", b"", {"must_revalidate": True}, 50, VALIDATE),
        ("RFC 9111 §5.2.2.2", b"max-stale", {"must_revalidate": True}, 50, VALIDATE),
        ("RFC 9111 §5.2.2.4", b"", {"no_cache": True}, 0, VALIDATE),
        ("RFC 9111 §5.2.2.4", b"max-stale", {"no_cache": True}, 0, VALIDATE),
        ("RFC 9111 §5.2.1.1", b"max-age=0", {}, 0, VALIDATE),
        ("RFC 9111 §5.2.1.1", b"max-age=10", {}, 0, FRESH),
        ("RFC 9111 §5.2.1.1", b"max-age=10", {}, 0.5, VALIDATE),
        ("RFC 9111 §5.2.1.1", b"max-age=1000", {}, 50, VALIDATE),
        ("RFC 9111 §5.2.1.1", b"max-age=1000, max-stale=5", {}, 50, SWR),
        ("RFC 9111 §5.2.1.1", b"max-age=55, max-stale", {}, 50, VALIDATE),
        ("RFC 9111 §5.2.1.2", b"max-stale=30", {}, 80, SWR),
        ("RFC 9111 §5.2.1.2", b"max-stale=30", {}, 80.5, VALIDATE),
        ("RFC 9111 §5.2.1.2", b"max-stale", {}, 10**6, SWR),
        ("RFC 9111 §5.2.1.3", b"min-fresh=50", {}, 0, FRESH),
        ("RFC 9111 §5.2.1.3", b"min-fresh=51", {}, 0, VALIDATE),
        ("RFC 9111 §5.2.1.3", b"min-fresh=1", {}, 50, VALIDATE),
        ("RFC 9111 §5.2.1.4", b"no-cache", {}, 0, VALIDATE),
        ("RFC 9111 §5.2.1.7", b"only-if-cached", {}, 0, FRESH),
        ("RFC 8246 §2", b"", {"lifetime": 0, "stale_while_revalidate": 0}, 0, VALIDATE),
        # A clock that was set back: a little is no matter, and much makes everything stale.
        ("RFC 9111 §4.2.3", b"", {}, -CLOCK_STEP, FRESH),
        ("RFC 9111 §4.2.3", b"", {}, -CLOCK_STEP - 1, VALIDATE),
        ("RFC 9111 §1.2.2", b"", {"lifetime": DELTA_MAX, "stale_while_revalidate": 0}, 2.0**40, VALIDATE),
    ],
)
def test_reuse(
    source: str, request_: bytes, changes: dict[str, object], seconds: float, expected: Reuse
) -> None:
    freshness = replace(STORED, **changes)  # type: ignore[arg-type]
    assert judge(parse_directives(request_), freshness, NOW + seconds) is expected


@pytest.mark.parametrize(
    ("request_", "changes", "seconds", "expected"),
    [
        (b"", {}, 0, SWR),
        # must-revalidate speaks of stale responses, and this one is fresh.
        (b"", {"must_revalidate": True}, 0, SWR),
        (b"", {}, 60, SWR),
        (b"", {}, 75, VALIDATE),
        (b"", {"must_revalidate": True}, 60, VALIDATE),
        (b"", {"no_cache": True}, 0, VALIDATE),
        (b"no-cache", {}, 0, VALIDATE),
    ],
)
def test_reuse_after_a_soft_purge(
    request_: bytes, changes: dict[str, bool], seconds: float, expected: Reuse
) -> None:
    freshness = replace(STORED, **changes)  # type: ignore[arg-type]
    assert judge(parse_directives(request_), freshness, NOW + seconds, purged_softly=True) is expected


@pytest.mark.parametrize(
    ("source", "request_", "changes", "seconds", "expected"),
    [
        ("RFC 5861 §4", b"", {}, 0, True),
        ("RFC 5861 §4", b"", {}, 149, True),
        ("RFC 5861 §4", b"", {}, 150, False),
        ("RFC 5861 §4", b"stale-if-error=200", {}, 249, True),
        ("RFC 5861 §4", b"stale-if-error=1", {}, 149, True),
        ("RFC 9111 §4.2.4", b"stale-if-error=200", {"must_revalidate": True}, 50, False),
        ("RFC 9111 §5.2.2.2", b"", {"must_revalidate": True}, 49, True),
        ("RFC 9111 §5.2.2.4", b"", {"no_cache": True}, 0, False),
        ("RFC 9111 §4.2.3", b"", {}, -100, False),
    ],
)
def test_stale_if_error(
    source: str, request_: bytes, changes: dict[str, bool], seconds: float, expected: bool
) -> None:
    freshness = replace(STORED, **changes)  # type: ignore[arg-type]
    assert stale_if_error_allowed(freshness, NOW + seconds, parse_directives(request_)) is expected


def test_what_counts_as_an_error() -> None:
    """Source: RFC 5861 §4"""
    assert {500, 502, 503, 504} == ERROR_STATUSES


def test_age_and_remaining_time() -> None:
    """Source: RFC 9111 §5.1, RFC 9211 §2.4"""
    assert age_value(STORED, NOW + 2.9) == b"12"
    assert age_value(STORED, NOW + 2.0**50) == b"2147483648"
    assert remaining(STORED, NOW + 0.5) == 49
    assert remaining(STORED, NOW + 50.5) == -1
    assert fresh_until(STORED) == NOW + 50
    assert fresh_until(replace(STORED, no_cache=True)) == -math.inf
    assert fresh_until(replace(STORED, lifetime=10)) == -math.inf


def test_layout() -> None:
    """Drawn in Freshness."""
    freshness = replace(STORED, must_revalidate=True, targeted=True)
    drawn = struct.pack("<d", NOW) + struct.pack("<d", 10.0)
    drawn += bytes.fromhex("3c000000 14000000 64000000 02 05 0000")
    assert freshness.to_bytes() == drawn
    assert len(drawn) == FRESHNESS_SIZE == 32
    assert Freshness.from_bytes(memoryview(drawn)) == freshness


seconds = st.integers(0, DELTA_MAX)
clock = st.floats(0, 2.0**33)
freshnesses = st.builds(
    Freshness,
    response_time=clock,
    corrected_initial_age=st.floats(0, DELTA_MAX),
    lifetime=seconds,
    stale_while_revalidate=seconds,
    stale_if_error=seconds,
    must_revalidate=st.booleans(),
    no_cache=st.booleans(),
    source=st.sampled_from(Source),
    targeted=st.booleans(),
)
requests = st.builds(
    Directives,
    max_age=st.none() | seconds,
    min_fresh=st.none() | seconds,
    max_stale=st.none() | seconds,
    no_cache=st.booleans(),
)


@given(freshnesses)
def test_bytes_and_back(freshness: Freshness) -> None:
    assert Freshness.from_bytes(freshness.to_bytes()) == freshness


@given(st.binary(min_size=FRESHNESS_SIZE, max_size=FRESHNESS_SIZE))
def test_other_bytes_are_refused_or_exactly_a_freshness(data: bytes) -> None:
    try:
        freshness = Freshness.from_bytes(data)
    except ValueError:
        return
    assert freshness.to_bytes() == data


@pytest.mark.parametrize(
    "data",
    [
        b"",
        STORED.to_bytes()[:-1],
        STORED.to_bytes() + b"\0",
        struct.pack("<d", math.nan) + STORED.to_bytes()[8:],
        struct.pack("<d", math.inf) + STORED.to_bytes()[8:],
        STORED.to_bytes()[:8] + struct.pack("<d", math.nan) + STORED.to_bytes()[16:],
        STORED.to_bytes()[:8] + struct.pack("<d", -1.0) + STORED.to_bytes()[16:],
        STORED.to_bytes()[:16] + b"\xff" * 4 + STORED.to_bytes()[20:],
        STORED.to_bytes()[:28] + b"\x07\0\0\0",
        STORED.to_bytes()[:28] + b"\0\x08\0\0",
        STORED.to_bytes()[:28] + b"\0\0\0\x01",
    ],
)
def test_damaged_bytes(data: bytes) -> None:
    with pytest.raises(ValueError):
        Freshness.from_bytes(data)


@given(requests, freshnesses, clock, st.booleans())
def test_what_is_served_is_allowed(
    request_: Directives, freshness: Freshness, now: float, soft: bool
) -> None:
    """Source: RFC 9111 §4, §4.2.4"""
    verdict = judge(request_, freshness, now, soft)
    age = current_age(freshness, now)
    if verdict is Reuse.FRESH:
        assert age < freshness.lifetime and not soft
    if verdict is not Reuse.REVALIDATE:
        assert not freshness.no_cache and not request_.no_cache
        assert request_.max_age is None or age <= request_.max_age
        assert request_.min_fresh is None or freshness.lifetime - age >= request_.min_fresh
        if age >= freshness.lifetime:
            assert not freshness.must_revalidate
            allowed = max(freshness.stale_while_revalidate, request_.max_stale or 0)
            assert age - freshness.lifetime <= allowed


@given(requests, freshnesses, clock, st.floats(0, 10**6))
def test_time_makes_nothing_fresher(
    request_: Directives, freshness: Freshness, now: float, passed: float
) -> None:
    order = [Reuse.FRESH, Reuse.STALE_WHILE_REVALIDATE, Reuse.REVALIDATE]
    if now >= freshness.response_time:
        later = judge(request_, freshness, now + passed)
        assert order.index(judge(request_, freshness, now)) <= order.index(later)
        assert current_age(freshness, now) <= current_age(freshness, now + passed)


@given(freshnesses, clock)
def test_the_memo_of_freshness_agrees_with_the_judge(freshness: Freshness, now: float) -> None:
    limit = fresh_until(freshness)
    # As near as this to the limit, the two differ in how they round.
    if now >= freshness.response_time - CLOCK_STEP and abs(now - limit) > 1e-5:
        assert (judge(NO_DIRECTIVES, freshness, now) is Reuse.FRESH) is (now < limit)


@given(st.none() | clock, st.none() | seconds, clock, st.floats(-100, 10**6))
def test_the_initial_age_is_at_least_what_the_response_says(
    date: float | None, age: int | None, requested_at: float, delay: float
) -> None:
    """Source: RFC 9111 §4.2.3"""
    received_at = requested_at + delay
    found = initial_age(date, age, requested_at, received_at)
    assert 0 <= found <= DELTA_MAX
    assert found >= min(age or 0, DELTA_MAX)
    if date is not None:
        assert found >= min(math.floor(received_at) - date, DELTA_MAX)
