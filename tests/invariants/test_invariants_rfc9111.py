"""A stored response that is served satisfies RFC 9111 for the request it answers.

Random requests to a random origin. Each response says which one it is, so that of every answer we know
from which it was made; a small oracle, written from the RFC and from nothing of Uncork's, says whether that
one could be reused then. Where the clocks leave a doubt, Uncork has the benefit of it.
"""

import random
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from email.utils import formatdate, parsedate_to_datetime

import pytest

from support.edge_client import Edge
from support.raw_client import RawClient, Response
from support.soak import soak
from support.web_origin import Asked, Line, WebOrigin

PATHS = 30
CLIENTS = 6
# Seconds by which what we see of a message may differ from when Uncork got or judged it. Ages are whole.
SLACK = 0.5
HEURISTIC_FRACTION, HEURISTIC_MOST = 0.1, 3600


@dataclass(frozen=True)
class Made:
    """A response of the origin, or what a 304 made of it: as it was sent, and when."""

    number: int
    asked: Asked
    status: int
    fields: dict[str, str]
    body: bytes
    began: float  # seconds since the epoch
    ended: float

    def directives(self) -> dict[str, str]:
        return directives(self.fields.get("cache-control", ""))


def directives(value: str) -> dict[str, str]:
    found = {}
    for part in value.split(","):
        name, _, argument = part.strip().partition("=")
        if name:
            found[name.lower()] = argument.strip('"')
    return found


class RandomOrigin:
    """Its pages change now and then; what it says of them is drawn anew for each response."""

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(seed)
        self._lock = threading.Lock()
        self.made: list[list[Made]] = []  # by number; the later ones are validated by a 304
        self._etags: dict[str, tuple[str, int]] = {}  # of a page: its tag, and the number that has its body

    def __call__(self, asked: Asked, line: Line) -> None:
        with self._lock:
            dice = self._dice
            began = time.time()
            fields = self._fields(dice, asked, began)
            known = self._etags.get(asked.path)
            condition = asked["if-none-match"]
            if known is not None and condition == known[0] and dice.random() < 0.7:
                fields["etag"] = known[0]
                status, body, number = 304, b"", known[1]
            else:
                number = len(self.made)
                self.made.append([])
                status = dice.choice((200, 200, 200, 200, 200, 203, 404, 410, 500, 503, 302, 307))
                body = b"body %d" % number
                if dice.random() < 0.6 and status == 200:
                    fields["etag"] = f'"{number}"'
                    self._etags[asked.path] = (fields["etag"], number)
                fields["x-number"] = str(number)
            pause = dice.choice((0.0, 0.0, 0.0, 0.1))
        time.sleep(pause)
        head = f"HTTP/1.1 {status} X\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        if status != 304:
            head += f"Content-Length: {len(body)}\r\n"
        with self._lock:
            before = self.made[number]
            if status == 304:
                last = before[-1]
                kept = {name: value for name, value in last.fields.items() if name not in ("date", "age")}
                # Its cookie is not stored, nor seen by anybody.
                kept |= {name: value for name, value in fields.items() if name != "set-cookie"}
                new = replace(last, asked=asked, fields=kept, began=began, ended=time.time() + SLACK)
            else:
                new = Made(number, asked, status, fields, body, began, time.time() + SLACK)
            before.append(new)
        line.send(head.encode() + b"\r\n" + (b"" if asked.method == "HEAD" else body))

    def _fields(self, dice: random.Random, asked: Asked, now: float) -> dict[str, str]:
        # How a page varies is the page's own: half of them by one field, some by two.
        place = int(asked.path.rpartition("/")[2])
        fields = {"date": formatdate(now - dice.choice((0, 0, 0, 0, 1, 2)), usegmt=True)}
        said = []
        if dice.random() < 0.8:
            said.append(f"max-age={dice.choice((0, 1, 1, 2, 2, 3, 60))}")
        if dice.random() < 0.15:
            said.append(f"s-maxage={dice.choice((0, 1, 2, 60))}")
        for name, chance in (
            ("no-cache", 0.06),
            ("no-store", 0.05),
            ("private", 0.05),
            ("must-revalidate", 0.1),
            ("proxy-revalidate", 0.05),
            ("public", 0.1),
        ):
            if dice.random() < chance:
                said.append(name)
        if dice.random() < 0.2:
            said.append(f"stale-while-revalidate={dice.choice((1, 2, 60))}")
        if dice.random() < 0.2:
            said.append(f"stale-if-error={dice.choice((1, 2, 60))}")
        dice.shuffle(said)
        if said:
            fields["cache-control"] = ", ".join(said)
        if dice.random() < 0.15:
            fields["age"] = str(dice.choice((0, 1, 2)))
        if dice.random() < 0.15:
            fields["expires"] = dice.choice(("0", formatdate(now + dice.choice((-5, 1, 3)), usegmt=True)))
        if dice.random() < 0.2:
            fields["last-modified"] = formatdate(now - dice.choice((1, 10, 30, 1000)), usegmt=True)
        if place % 2:
            fields["vary"] = "X-Colour" if place % 4 == 1 else "x-shape, X-Colour"
        if dice.random() < 0.04:
            fields["set-cookie"] = "a=b"
        return fields


# The oracle


def number(said: dict[str, str], name: str) -> int | None:
    return int(said[name]) if said.get(name, "").isdecimal() else None


def date(value: str | None) -> float | None:
    try:
        return None if value is None else parsedate_to_datetime(value).timestamp()
    except ValueError:
        return None


def lifetime(made: Made) -> float:
    """Source: RFC 9111 §4.2.1, §4.2.2"""
    said = made.directives()
    for name in ("s-maxage", "max-age"):
        if (seconds := number(said, name)) is not None:
            return seconds
    base = date(made.fields["date"])
    assert base is not None
    if "expires" in made.fields:
        expires = date(made.fields["expires"])
        return 0 if expires is None else max(0, expires - base)
    modified = date(made.fields.get("last-modified"))
    if modified is None:
        return 0
    return min((base - modified) * HEURISTIC_FRACTION, HEURISTIC_MOST)


def ages(made: Made, since: float, until: float) -> tuple[float, float]:
    """The least and the greatest age that it may have had between these times, for Uncork got it some time
    between its beginning and its end. Source: RFC 9111 §4.2.3"""
    made_at = date(made.fields["date"])
    assert made_at is not None
    told = int(made.fields.get("age", "0"))
    least = max(int(made.began) - made_at, told) + max(0.0, since - made.ended)
    greatest = max(int(made.ended) - made_at, told) + max(0.0, until - made.began) + (made.ended - made.began)
    return least, greatest


def refusals(
    made: Made, asked: dict[str, str], sent: float, answered: float, origin_failed: bool
) -> list[str]:
    """Why this response must not answer that request from the store; nothing when it may."""
    said = made.directives()
    wanted = directives(asked.get("cache-control", ""))
    found = []
    # Source: RFC 9111 §3
    if made.asked.method != "GET":
        found.append("not a GET")
    for name in ("no-store", "private"):
        if name in said:
            found.append(f"the response says {name}")
    if "no-store" in directives(made.asked["cache-control"] or ""):
        found.append("the request for it said no-store")
    # Source: RFC 9111 §3.5
    if (
        made.asked["authorization"] is not None
        and not {"public", "must-revalidate", "s-maxage"} & said.keys()
    ):
        found.append("it was for somebody authorised")
    # Stricter than the RFC, and promised.
    if "set-cookie" in made.fields:
        found.append("it sets a cookie")
    # Source: RFC 9111 §4.1
    for name in re.split(r",\s*", made.fields.get("vary", "").lower()):
        if name and made.asked[name] != asked.get(name):
            found.append(f"it varies by {name}")
    # Source: RFC 9111 §5.2.2.4, §5.2.1.4
    if "no-cache" in said:
        found.append("no-cache without validation")
    if "no-cache" in wanted and not origin_failed:  # Source: RFC 9111 §4.3.3
        found.append("the request says no-cache")
    # Source: RFC 9111 §4.2, §4.2.4, §5.2.1
    youngest, _ = ages(made, sent, answered)
    fresh_for = lifetime(made)
    staleness = youngest - fresh_for
    if staleness >= SLACK:
        strict = {"must-revalidate", "proxy-revalidate", "s-maxage"} & said.keys()
        allowed = [0.0]
        if not strict:
            allowed.append(number(said, "stale-while-revalidate") or 0)
            if origin_failed:
                allowed.append(
                    number(said, "stale-if-error") or (86400 if "stale-if-error" not in said else 0)
                )
            if "max-stale" in wanted:
                allowed.append(float(wanted["max-stale"] or 1e9))
        if staleness >= max(allowed) + SLACK:
            found.append(f"stale for {staleness:.2f} s, allowed {max(allowed)}")
    if not origin_failed:
        if (most := number(wanted, "max-age")) is not None and youngest > most + SLACK:
            found.append(f"{youngest:.2f} s old, wanted at most {most}")
        if (least := number(wanted, "min-fresh")) is not None and fresh_for - youngest < least - SLACK:
            found.append(f"fresh for {fresh_for - youngest:.2f} s, wanted {least}")
    return found


# The run


def random_request(dice: random.Random) -> tuple[str, str, dict[str, str]]:
    """Method, target, fields."""
    fields = {}
    if dice.random() < 0.7:
        fields["x-colour"] = dice.choice(("red", "blue"))
    if dice.random() < 0.5:
        fields["x-shape"] = dice.choice(("round", "square"))
    if dice.random() < 0.25:
        fields["cache-control"] = dice.choice(
            (
                "no-cache",
                "no-store",
                "max-age=0",
                "max-age=1",
                "max-age=2",
                "min-fresh=1",
                "min-fresh=50",
                "max-stale",
                "max-stale=1",
                "only-if-cached",
                "max-age=1, max-stale=10",
            )
        )
    if dice.random() < 0.05:
        fields["authorization"] = "Basic YTpi"
    method = "HEAD" if dice.random() < 0.05 else "GET"
    return method, f"/r/{dice.randrange(PATHS)}", fields


@pytest.fixture
def random_origin(origin: WebOrigin) -> RandomOrigin:
    made = RandomOrigin(random.randrange(2**32))
    for path in range(PATHS):
        origin.at(f"/r/{path}", made)
    return made


def test_what_is_served_may_be(edge3: Edge, random_origin: RandomOrigin) -> None:
    seed = random.randrange(2**32)
    counts: Counter[str] = Counter()
    over = time.monotonic() + soak(12)

    def judge(method: str, target: str, fields: dict[str, str], sent: float, response: Response) -> str:
        answered = time.time()
        wanted = directives(fields.get("cache-control", ""))
        if response.status == 504 and "only-if-cached" in wanted and "x-number" not in response.fields:
            return "only-if-cached"
        assert "x-number" in response.fields, response
        made = random_origin.made[int(response.fields["x-number"])]
        assert made[0].asked.path == target, "another page"
        assert response.status == made[0].status
        if method == "GET":
            assert response.body == made[0].body
        if any(sent - 0.01 <= one.began for one in made if one.ended - SLACK <= answered):
            # Of who is authorised nothing is ever answered from the store, asked for or not.
            hit = "; hit" in (response["cache-status"] or "")
            assert hit or "only-if-cached" not in wanted or "authorization" in fields, "the origin was asked"
            return "asked"  # made or validated for this request, or for one that it waited with
        failed = "stale-if-error" in (response["cache-status"] or "")
        reasons = [refusals(one, fields, sent, answered, failed) for one in made]
        assert [] in reasons, (target, fields, reasons, response.lines)
        assert response["age"] is not None, response.lines
        told = int(response.fields["age"])
        likely = [ages(one, sent, answered) for one in made]
        assert any(low - 1 < told < high + 1 for low, high in likely), (told, likely)
        assert "date" in response.fields and len([n for n, _ in response.lines if n == "date"]) == 1
        return "stale" if "stale" in (response["cache-status"] or "") else "stored"

    def visit(number: int) -> None:
        dice = random.Random(seed + number)
        with RawClient(edge3.address) as client:
            while time.monotonic() < over:
                method, target, fields = random_request(dice)
                sent = time.time()
                response = client.ask(target, method, **{k.replace("-", "_"): v for k, v in fields.items()})
                try:
                    counts[judge(method, target, fields, sent, response)] += 1
                except AssertionError as error:
                    error.add_note(f"seed {seed}: {method} {target} {fields} {response}")
                    raise
                if dice.random() < 0.3:
                    time.sleep(dice.uniform(0, 0.05))

    with ThreadPoolExecutor(CLIENTS) as pool:
        for one in [pool.submit(visit, number) for number in range(CLIENTS)]:
            one.result()
    print(dict(counts))
    assert counts["stored"] > 200 and counts["stale"] > 20 and counts["asked"] > 200, counts
