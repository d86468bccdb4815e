"""The memory of ready answers keeps to its budget, and its accounts are right whatever comes and goes."""

import random
from contextlib import closing

import pytest

from uncork.edge.hot import Hot, HotTable, Passed, Variants
from uncork.edge.passing import Absence, Mark, Marks
from uncork.net.loop import Loop
from uncork.wire.known import Head, KnownHeads
from uncork.wire.limits import Limits
from uncork.wire.requests import Target

MARK, ABSENCE = Mark(9e9), Absence(b"", (), 9e9)
COOKIE = (b"field:cookie",)
LANGUAGE = (b"field:accept-language", b"field:cookie")


def head(line: bytes, cookie: bytes, browser: int) -> Head:
    heads = KnownHeads(Limits())
    fields = b"Host: h\r\nAccept-Language: %d\r\nCookie: %b\r\n" % (browser, cookie)
    return heads.read(line + b"\r\n" + fields + b"\r\n")


def ready(size: int) -> Hot:
    hot = Hot(200, "hit", None)
    hot.whole = bytes(size)
    return hot


def memos(table: HotTable, known: Head) -> list[Hot]:
    """All that can still be found."""
    found: list[Hot] = []
    for stands in table.profile(known.block).hot.values():
        if isinstance(stands, Variants):
            assert stands.memos, "nothing is left of the last of them"
            found += stands.memos.values()
        else:
            found.append(stands)
    return found


@pytest.mark.parametrize("seed", range(20))
def test_whatever_comes_and_goes(seed: int) -> None:
    dice = random.Random(seed)
    budget = dice.choice((50_000, 400_000, 10_000_000))
    table = HotTable(budget)
    for _ in range(1500):
        line = b"GET /%d HTTP/1.1" % dice.randrange(3)
        known = head(line, b"%d" % dice.randrange(300) * dice.choice((1, 1, 500)), dice.randrange(2))
        profile = table.profile(known.block)
        hot = ready(dice.choice((10, 1000, 20_000)))
        match dice.randrange(10):
            case 0:
                table.add(profile, line, hot)
            case 1 | 2:
                table.add_variant(profile, line, hot, LANGUAGE, known)
            case 3:
                for one in dice.sample(found := memos(table, known), min(len(found), 3)):
                    table.drop(one)
            case _:
                table.add_variant(profile, line, hot, COOKIE, known)
        found = memos(table, known)
        for one in dice.sample(found, min(len(found), 5)):
            one.hits += 1
        assert len(found) == len(set(found)) == len(table)
        assert table.bytes == sum(one.charged for one in found) <= budget
        assert table.bytes >= sum(len(one.whole) for one in found)
        several = [stands for stands in profile.hot.values() if isinstance(stands, Variants)]
        assert all(len(variants.memos) <= 128 for variants in several)
        for variants in several:  # what a client said counts as well
            for selection, one in variants.memos.items():
                assert one.charged >= len(one.whole) + sum(len(value or b"") for _, value in selection)
    table.clear()
    assert table.bytes == len(table) == 0 and not memos(table, known)


def test_what_is_asked_for_outlives_what_is_not() -> None:
    table = HotTable(10_000_000)
    line = b"GET / HTTP/1.1"
    wanted = ready(10)
    known = head(line, b"wanted", 0)
    profile = table.profile(known.block)
    table.add_variant(profile, line, wanted, COOKIE, known)
    for number in range(1000):
        wanted.hits += 1
        table.add_variant(profile, line, ready(10), COOKIE, head(line, b"%d" % number, 0))
    assert wanted in memos(table, known)
    assert len(table) == 128


def test_who_invents_hosts_and_codings_keeps_nobody_from_memory() -> None:
    table = HotTable(10_000_000)
    line = b"GET / HTTP/1.1"

    def of(host: int) -> Head:
        return KnownHeads(Limits()).read(line + b"\r\nHost: h%d\r\n\r\n" % host)

    early = of(0)
    table.add(table.profile(early.block), line, ready(10))
    for number in range(1, 2000):
        table.profile(of(number).block)
    assert line in table.profile(early.block).hot  # a block that is known keeps what it has
    late = of(2000)
    table.add(table.profile(late.block), line, ready(10))
    assert line in table.profile(late.block).hot
    again = of(2000)
    assert table.profile(again.block) is table.profile(late.block)


def test_what_is_known_of_passed_requests_is_bounded_whoever_has_it() -> None:
    """Also of profiles that only blocks still have."""
    table = HotTable(10_000_000)
    hosts = range(600)
    blocks = [KnownHeads(Limits()).read(b"GET / HTTP/1.1\r\nHost: h%d\r\n\r\n" % n).block for n in hosts]
    profiles = [table.profile(block) for block in blocks]
    target = Target(b"GET", b"http", b"h", b"/", None, b"1.1")
    with closing(Loop()) as loop:
        passed = Passed(target, Marks(loop), MARK, ABSENCE)
    for path in range(30):
        for profile in profiles:
            table.add_passed(profile, b"GET /%d HTTP/1.1" % path, passed)
    assert 0 < sum(len(profile.passed) for profile in profiles) <= 4096
