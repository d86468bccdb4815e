"""What is for one client reaches no other: sessions, Authorization, private responses and cookies."""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from support.edge_client import Edge
from support.raw_client import RawClient
from support.recorded import cookie as cookie_of
from support.recorded import recorded
from support.soak import soak
from support.web_origin import Asked, Line, WebOrigin, reply
from uncork.pages.record import Unshared

CLIENTS = 8
# URLs that were never asked for, each second: of these nobody knows yet what selects among their pages.
NEW_PLACES = 5

# What the origin says, by the kind of page: None of it may be shared, or only among equal cookies.
PERSONAL = {
    "private": ("Cache-Control: private, max-age=60",),
    "private-shouted": ("CACHE-CONTROL: Max-Age=60, PRIVATE",),
    "no-store": ("Cache-Control: no-store",),
    "no-store-later": ("Cache-Control: max-age=60", "Cache-Control: no-store"),
    "cookie-set": ("Cache-Control: public, max-age=60", "Set-Cookie: session={nonce}"),
    "cookies-set": ("Cache-Control: s-maxage=60", "Set-Cookie: a=1", "Set-Cookie: session={nonce}"),
    "vary-all": ("Cache-Control: max-age=60", "Vary: *"),
    "authorised": ("Cache-Control: max-age=60",),
    "authorised-public": ("Cache-Control: public, max-age=60",),
    "posted": ("Cache-Control: max-age=60",),
    "cdn-private": ("Cache-Control: max-age=60", "CDN-Cache-Control: private"),
}
BY_COOKIE = {
    "session": ("Cache-Control: max-age=60", "Vary: Cookie"),
    "session-among-others": ("Cache-Control: max-age=60", "Vary: Accept-Encoding, cookie"),
    "session-revalidated": ("Cache-Control: max-age=0", 'ETag: "{cookie}"', "Vary: Cookie"),
}
# May be shared; the cookie that comes with a 304 is still for whom it was meant.
SHARED = {"validated": ("Cache-Control: max-age=0", 'ETag: "shared"')}


# What renders say that they read: a session of which nobody may see the page; a cookie by which pages differ;
# and one that only some renders look at.
RECORDED = ("recorded-private", "recorded-by-cookie", "recorded-now-and-then")


def answer_recorded(asked: Asked, line: Line, kind: str) -> None:
    """A page that tells whose cookie it shows, if it has read that."""
    who = cookie_of(asked, "session")
    reads = kind != "recorded-now-and-then" or random.random() < 0.5
    unshared = Unshared.SESSION if kind == "recorded-private" and who is not None else None
    body = f"{asked['x-nonce'] or ''}|{(who or '') if reads else 'not read'}|"
    line.send(recorded(asked, body, inputs=["cookie:session"] if reads else [], unshared=unshared))


def answer(asked: Asked, line: Line) -> None:
    """A page that tells for whom it was made."""
    kind = asked.path.rpartition("/")[2]
    nonce = asked["x-nonce"] or ""
    cookie = asked["cookie"] or ""
    if kind in RECORDED:
        time.sleep(random.choice((0.0, 0.0, 0.03)))
        answer_recorded(asked, line, kind)
        return
    given = {**PERSONAL, **BY_COOKIE, **SHARED}[kind]
    fields = [field.format(nonce=nonce, cookie=cookie.replace("=", "-")) for field in given]
    time.sleep(random.choice((0.0, 0.0, 0.03)))
    etag = next((field.partition(": ")[2] for field in fields if field.startswith("ETag")), None)
    if etag is not None and asked["if-none-match"] == etag:
        if kind == "validated":
            fields.append(f"Set-Cookie: session={nonce}")
        line.send(reply(b"", *fields, status="304 Not Modified"))
        return
    line.send(reply(f"{nonce}|{cookie}|{asked['authorization'] or ''}".encode(), *fields))


def test_nobody_gets_what_is_for_another(edge3: Edge, origin: WebOrigin) -> None:
    kinds = [*PERSONAL, *BY_COOKIE, *SHARED, *RECORDED, *RECORDED]
    seconds = soak(5)
    for place in range(int(seconds * NEW_PLACES) + 1):
        for kind in kinds:
            origin.at(f"/{place}/{kind}", answer)
    counts: Counter[str] = Counter()
    lock = threading.Lock()
    start = time.monotonic()
    over = start + seconds

    def visit(number: int) -> None:
        dice = random.Random(number)
        with RawClient(edge3.address) as client:
            while (now := time.monotonic()) < over:
                place = int((now - start) * NEW_PLACES)
                kind = dice.choice(kinds)
                nonce = f"{dice.getrandbits(64):016x}"
                fields = {"x_nonce": nonce}
                if kind in (*BY_COOKIE, *RECORDED) and dice.random() < 0.7:
                    # As a browser that repeats itself: such requests are answered from memory.
                    fields = {}
                    place = 0
                cookie = dice.choice(("", "session=1", "session=2", "session=1; other=2"))
                if cookie:
                    fields["cookie"] = cookie
                authorization = ""
                if kind.startswith("authorised") and dice.random() < 0.7:
                    authorization = fields["authorization"] = f"Bearer {nonce}"
                if dice.random() < 0.1:
                    fields["cache_control"] = dice.choice(("no-cache", "max-stale=100", "no-store"))
                method = "POST" if kind == "posted" else "GET"
                response = client.ask(f"/{place}/{kind}", method, b"" if method == "POST" else None, **fields)
                assert response.status == 200, response
                made_for, made_with, made_by = response.body.decode().split("|")
                mine = made_for == nonce
                said = (kind, fields, response)
                if kind in BY_COOKIE:
                    assert made_with == cookie, said
                elif kind in RECORDED:
                    who = cookie[8:9]
                    assert made_with == who or (made_with == "not read" and kind == RECORDED[2]), said
                    assert mine or "x_nonce" not in fields or kind != RECORDED[0] or not who, said
                elif kind in PERSONAL and not kind.startswith("authorised"):
                    assert mine, said
                # A response to a request with Authorization is for nobody else.
                assert made_by == "" or made_by == f"Bearer {nonce}", said
                assert not authorization or mine, said
                for name, value in response.lines:
                    if name == "set-cookie" and value.startswith("session="):
                        assert value == f"session={nonce}", said
                with lock:
                    counts[kind if mine else f"{kind} of another"] += 1

    with ThreadPoolExecutor(CLIENTS) as pool:
        for one in [pool.submit(visit, number) for number in range(CLIENTS)]:
            one.result()
    # What may be shared was, so the store was at work.
    assert counts["session of another"] and counts["validated of another"], counts
    assert all(counts[f"{kind} of another"] for kind in RECORDED), counts
    assert all(counts[kind] for kind in PERSONAL), counts
    workers = edge3.status(edge3.state_dir)["workers"]
    assert sum(worker["snapshot"]["hot"]["hits"] for worker in workers), "nothing came from memory"
