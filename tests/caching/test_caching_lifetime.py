"""How long a response is fresh, how old it comes, and how long it may be served stale."""

import pytest

from support.storing import BARE, DATE, ETAG, FAR, FRESH, NOW, at, cc, cdn, plan, stored
from uncork.caching.directives import DELTA_MAX, parse_directives
from uncork.caching.freshness import Source
from uncork.caching.reuse import Reuse, judge, stale_if_error_allowed
from uncork.caching.storable import CacheOptions, NotStorable
from uncork.semantics.fields import Field


@pytest.mark.parametrize(
    ("source", "fields", "lifetime", "origin"),
    [
        ("RFC 9111 §4.2.1", [cc(b"max-age=1, s-maxage=3600")], 3600, Source.S_MAXAGE),
        ("RFC 9111 §4.2.1", [cc(b"max-age=3600"), cc(b"s-maxage=1")], 1, Source.S_MAXAGE),
        ("RFC 9111 §4.2.1", [cc(b"s-maxage=9, max-age=0"), (b"expires", at(-10)), DATE], 9, Source.S_MAXAGE),
        ("RFC 9111 §5.3", [cc(b"max-age=60"), (b"expires", at(-7200)), DATE], 60, Source.MAX_AGE),
        ("RFC 9111 §5.3", [cc(b"max-age=60"), (b"expires", b"0"), DATE], 60, Source.MAX_AGE),
        ("RFC 9111 §5.3", [cc(b"max-age=0"), (b"expires", at(60)), DATE], 0, Source.MAX_AGE),
        ("RFC 9111 §4.2.1", [(b"expires", at(60)), DATE], 60, Source.EXPIRES),
        ("RFC 9111 §4.2.1", [(b"expires", at(60)), (b"date", at(-40))], 100, Source.EXPIRES),
        ("RFC 9111 §4.2.1", [(b"expires", at(300)), (b"date", at(400))], 0, Source.EXPIRES),
        ("RFC 9110 §6.6.1", [(b"expires", at(60))], 60, Source.EXPIRES),
        ("RFC 9110 §6.6.1", [(b"expires", at(60)), (b"date", b"foo")], 60, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", at(0)), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", b"0"), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", b"-1"), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", b""), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", at(60)), (b"expires", at(61)), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §5.3", [(b"expires", b"Thu, 18 Aug 2050 02:01:18 UTC"), DATE], 0, Source.EXPIRES),
        ("RFC 9111 §1.2.2", [(b"expires", FAR), DATE], DELTA_MAX, Source.EXPIRES),
        ("RFC 9111 §1.2.2", [cc(b"max-age=99999999999")], DELTA_MAX, Source.MAX_AGE),
        # Source: RFC 9213 §2.2
        ("RFC 9213 §2.2", [cdn(b"max-age=60"), cc(b"max-age=1")], 60, Source.MAX_AGE),
        ("RFC 9213 §2.2", [cdn(b"max-age=1"), cc(b"max-age=60, s-maxage=70")], 1, Source.MAX_AGE),
        ("RFC 9213 §2.2", [cdn(b"max-age=60"), cc(b"no-store, private")], 60, Source.MAX_AGE),
        ("RFC 9213 §2.2", [cdn(b"max-age=60,"), cc(b"max-age=1")], 1, Source.MAX_AGE),
        ("RFC 9213 §2.2", [cdn(b"foo"), (b"expires", at(60)), DATE], 0, Source.NONE),
        # Surrogate-Control has no say.
        ("RFC 9111 §5.2", [(b"surrogate-control", b"max-age=60"), cc(b"max-age=2")], 2, Source.MAX_AGE),
        ("RFC 9111 §5.4", [FRESH, (b"pragma", b"no-cache")], 60, Source.MAX_AGE),
    ],
)  # fmt: skip
def test_lifetime(source: str, fields: list[Field], lifetime: int, origin: Source) -> None:
    freshness = stored(*fields, ETAG)
    assert (freshness.lifetime, freshness.source) == (lifetime, origin)
    assert freshness.targeted is (fields[0][0] == b"cdn-cache-control" and fields[0][1] != b"max-age=60,")


HEURISTIC = CacheOptions(heuristic_fraction=0.1, heuristic_max=3600, stale_if_error=0)


@pytest.mark.parametrize(
    ("source", "status", "fields", "options", "lifetime", "origin"),
    [
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600)), DATE], HEURISTIC, 60, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 308, [(b"last-modified", at(-600)), DATE], HEURISTIC, 60, Source.HEURISTIC),
        ("RFC 7725 §3", 451, [(b"last-modified", at(-600)), DATE], HEURISTIC, 60, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600))], HEURISTIC, 60, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-10**8)), DATE], HEURISTIC, 3600, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(600)), DATE], HEURISTIC, 0, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 599, [(b"last-modified", at(-600)), cc(b"public")], HEURISTIC, 60,
         Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600)), DATE], BARE, 0, Source.NONE),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", b"yesterday"), ETAG], HEURISTIC, 0, Source.NONE),
        ("RFC 9111 §4.2.2", 200, [], CacheOptions(default_ttl=5), 5, Source.DEFAULT),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600))],
         CacheOptions(default_ttl=5, heuristic_fraction=0.1), 60, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600))], CacheOptions(), 0, Source.NONE),
        ("RFC 9111 §4.2.2", 404, [], CacheOptions(negative_ttl=7), 7, Source.NEGATIVE),
        ("RFC 9111 §4.2.2", 410, [(b"last-modified", at(-600))], CacheOptions(negative_ttl=7), 7,
         Source.NEGATIVE),
        ("RFC 9111 §4.2.2", 200, [(b"last-modified", at(-600))],
         CacheOptions(negative_ttl=7, heuristic_fraction=0.1), 60, Source.HEURISTIC),
        ("RFC 9111 §4.2.2", 404, [(b"last-modified", at(-600))], HEURISTIC, 60, Source.HEURISTIC),
        # Bounded by what the origin says, not the other way round.
        ("RFC 9111 §4.2.2", 404, [FRESH], CacheOptions(negative_ttl=7), 60, Source.MAX_AGE),
        ("RFC 9111 §4.2.2", 404, [cc(b"max-age=0"), ETAG], CacheOptions(negative_ttl=7), 0, Source.MAX_AGE),
    ],
)  # fmt: skip
def test_lifetime_that_the_origin_left_open(
    source: str, status: int, fields: list[Field], options: CacheOptions, lifetime: int, origin: Source
) -> None:
    freshness = stored(*fields, status=status, options=options)
    assert (freshness.lifetime, freshness.source) == (lifetime, origin)


@pytest.mark.parametrize("status", [201, 202, 302, 303, 307, 403, 500, 502, 503, 504, 599])
def test_no_heuristics_for_other_statuses(status: int) -> None:
    """Source: RFC 9110 §15.1"""
    options = CacheOptions(default_ttl=9, negative_ttl=9)
    found = plan((b"last-modified", at(-86400)), DATE, status=status, options=options)
    assert found is NotStorable.STATUS


@pytest.mark.parametrize(
    ("source", "fields", "delay", "age"),
    [
        ("RFC 9111 §4.2.3", [DATE], 0, 0),
        ("RFC 9111 §4.2.3", [], 0, 0),
        ("RFC 9111 §4.2.3", [(b"date", b"now")], 0, 0),
        ("RFC 9111 §4.2.3", [(b"date", at(-7))], 0, 7),
        ("RFC 9111 §4.2.3", [(b"date", at(500))], 0, 0),
        ("RFC 9111 §4.2.3", [DATE], 2.5, 2.5),
        ("RFC 9111 §4.2.3", [DATE, (b"age", b"5")], 2.5, 7.5),
        ("RFC 9111 §4.2.3", [(b"date", at(-9)), (b"age", b"5")], 2.5, 9),
        ("RFC 9111 §5.1", [(b"age", b"abc")], 0, 0),
        ("RFC 9111 §5.1", [(b"age", b"-7200")], 0, 0),
        ("RFC 9111 §5.1", [(b"age", b"7200.0")], 0, 0),
        ("RFC 9111 §5.1", [(b"age", b"7, 0")], 0, 7),
        ("RFC 9111 §5.1", [(b"age", b"0, 7")], 0, 0),
        ("RFC 9111 §5.1", [(b"age", b"7"), (b"age", b"0")], 0, 7),
        ("RFC 9111 §1.2.2", [(b"age", b"2147483647")], 0, 2147483647),
        ("RFC 9111 §1.2.2", [(b"age", b"2147483649")], 0, DELTA_MAX),
        ("RFC 9111 §1.2.2", [(b"age", b"9" * 5000)], 5, DELTA_MAX),
    ],
)
def test_initial_age(source: str, fields: list[Field], delay: float, age: float) -> None:
    assert stored(FRESH, ETAG, *fields, delay=delay).corrected_initial_age == age


def test_a_clock_set_back_during_the_request_makes_nothing_younger() -> None:
    assert stored(FRESH, (b"age", b"5"), delay=-100).corrected_initial_age == 5


@pytest.mark.parametrize(
    ("source", "value", "revalidate", "error"),
    [
        ("RFC 5861 §3", b"max-age=9, stale-while-revalidate=5", 5, 8),
        ("RFC 5861 §4", b"max-age=9, stale-if-error=5", 7, 5),
        ("RFC 5861 §3", b"max-age=9, stale-while-revalidate=0, stale-if-error=0", 0, 0),
        ("RFC 9111 §4.2.4", b"max-age=9", 7, 8),
        ("RFC 9111 §4.2.4", b"max-age=0", 0, 0),
        ("RFC 5861 §3", b"max-age=0, stale-while-revalidate=5", 5, 0),
        ("RFC 9111 §5.2.2.2", b"max-age=9, must-revalidate, stale-while-revalidate=5", 0, 0),
        ("RFC 9111 §5.2.2.8", b"max-age=9, proxy-revalidate, stale-if-error=5", 0, 0),
        ("RFC 9111 §5.2.2.10", b"s-maxage=9, stale-if-error=5, stale-while-revalidate=5", 0, 0),
        ("RFC 9111 §5.2.2.4", b"max-age=9, no-cache, stale-if-error=5", 0, 0),
        ("RFC 9111 §4.2.4", b"public, stale-while-revalidate=5", 0, 0),
    ],
)
def test_grace(source: str, value: bytes, revalidate: int, error: int) -> None:
    options = CacheOptions(stale_while_revalidate=7, stale_if_error=8)
    freshness = stored(cc(value), ETAG, options=options)
    assert (freshness.stale_while_revalidate, freshness.stale_if_error) == (revalidate, error)


def test_stored_stale_when_it_may_be_served_stale() -> None:
    """Source: RFC 5861 §3, §4"""
    assert stored(cc(b"max-age=0, stale-while-revalidate=60")).stale_while_revalidate == 60
    assert stored(cc(b"max-age=0, stale-if-error=60")).stale_if_error == 60


def test_without_a_lifetime_only_the_origin_can_let_it_be_used() -> None:
    freshness = stored(ETAG, DATE, options=CacheOptions(stale_while_revalidate=60))
    assert judge(parse_directives(b"max-stale"), freshness, NOW) is Reuse.REVALIDATE
    assert not stale_if_error_allowed(freshness, NOW, parse_directives(b"stale-if-error=60"))
