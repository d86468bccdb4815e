"""Random reads and writes of a recorded site, and whether anybody saw a page that was stale or another's.

Two checks. While somebody writes: no page shows a row in a version older than what was acknowledged before
the request began, nor anybody's secret but the visitor's own. And at rest, after each burst of writes: every
page through the edge is byte for byte what the origin makes of the same request at that moment.
"""

import fcntl
import json
import random
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from support.raw_client import Broken, RawClient, Response
from support.recorded_project import Site, UnixClient, Writer, visitors
from support.recorded_reads import PATIENCE, Ask, Leaked, Seen, Stale, is_hit, parameters, settle
from support.sites import kill, worker_pids

READERS = 2
CHECKERS = 3

OUTAGE = {502, 503, 504}
"""What is answered while something that was killed is away."""

row_shown = re.compile(r"@(\w+ [^ ]+) v(\d+)")


class Soak:
    """One site, and all that is known of it."""

    def __init__(self, site: Site, seed: int, kills: bool = True) -> None:
        self.site = site
        self.seed = seed
        self.kills = kills
        self.dice = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.visitors = visitors(site)
        self.pages: dict[str, bool] = {}
        """All that were ever known: whether they can be asked for while somebody writes."""
        self.recent: list[str] = []
        self.known: dict[str, int | None] = {}
        """The acknowledged version of each row; None: it is gone."""
        self.last: deque[str] = deque(maxlen=25)
        self.writer = Writer(site)
        self._killed = False
        self._lock = threading.Lock()
        self._number = seed * 1000

    def run(self, reads: int) -> None:
        """Burst after burst, until so many reads are checked."""
        try:
            self._discover()
            self._check(burst=False)
            while self.counts["reads"] < reads:
                self._burst()
                with self._at_rest():
                    self._discover()
                    self._check()
        finally:
            self.writer.end()

    def summary(self) -> str:
        c = self.counts
        return (
            f"{c['reads']} reads checked, {c['hits']} of them hits, {c['survivors']} of pages that outlived a"
            f" burst of writes, {len(self.pages)} pages, {c['writes']} writes, {c['kills']} kills:"
            f" {c['stale']} stale, {c['leaked']} leaked"
        )

    # Requests

    def random_ask(self, target: str, dice: random.Random) -> Ask:
        visitor = dice.choice(self.visitors)
        fields = dict(visitor.fields)
        query = list(parameters(target, dice))
        if visitor.noise:
            query.append(f"utm_source={dice.choice('abc')}{dice.randrange(5)}")
            noise = f"_ga=GA1.{dice.randrange(10**6)}"
            fields["cookie"] = f"{noise}; {fields['cookie']}" if "cookie" in fields else noise
        dice.shuffle(query)
        if query:
            target += ("&" if "?" in target else "?") + "&".join(query)
        return Ask(target, visitor, tuple(fields.items()))

    def _insist(self, ask: Ask, client: RawClient, **more: str) -> Response:
        """Ask until it is answered by who was meant."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                response = ask.by(client, **more)
                if response.status not in OUTAGE:
                    return response
                said = f"{response.status}"
            except (Broken, OSError) as error:
                said = str(error)
            assert time.monotonic() < until, f"{ask}: {said}"
            self.counts["asked again"] += 1
            time.sleep(0.05)

    def _discover(self) -> None:
        """What pages there are now. Those of rows that are gone stay known."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                with self.site.origin() as origin:
                    response = origin.ask("/pages")
                break
            except (Broken, OSError):
                assert time.monotonic() < until, "the origin doesn't come back"
                time.sleep(0.05)
        assert response.status == 200, response
        self.pages.update(json.loads(response.body))

    # While somebody writes

    def _burst(self) -> None:
        while self._tell("forget") is None:
            pass
        over = threading.Event()
        dice = random.Random(self.dice.random())
        many = dice.choice((1, 1, 2, 4, 8))
        kills = self.kills and dice.random() < 0.35
        readers = [partial(self._read, dice.random(), over) for _ in range(READERS)]
        work = [partial(self._write_through, many), partial(self._write_beside, many)]
        if kills:
            work.append(partial(self._kill, dice.random()))
        with ThreadPoolExecutor(READERS + len(work)) as pool:
            reading = [pool.submit(reader) for reader in readers]
            working = [pool.submit(one) for one in work]
            try:
                for future in working:
                    future.result()
            finally:
                over.set()
        for future in reading:
            future.result()
        self.counts["bursts"] += 1

    def _read(self, seed: float, over: threading.Event) -> None:
        dice = random.Random(seed)
        targets = [target for target, concurrent in self.pages.items() if concurrent]
        hot = dice.sample(self.recent, min(12, len(self.recent))) or targets
        hot = [target for target in hot if self.pages[target]]
        slow = [target for target in targets if "/slowly/" in target]
        with self.site.edge() as client:
            while not over.is_set():
                some = dice.choices((hot or targets, targets, slow), (7, 2, 1))[0]
                ask = self.random_ask(dice.choice(some), dice)
                known = self._snapshot()
                try:
                    response = ask.by(client)
                except Broken:
                    self.counts["broken"] += 1
                    time.sleep(0.01)
                    continue
                if response.status in OUTAGE:
                    self.counts["outages"] += 1
                    time.sleep(0.02)
                    continue
                assert response.status < 500, f"{ask}: {response}"
                self._check_rows(ask, response, known)
                self._check_secrets(ask, response)
                self._count(response)
                if dice.random() < 0.05:
                    client.close()

    def _check_rows(self, ask: Ask, response: Response, known: dict[str, int | None]) -> None:
        for row, shown in row_shown.findall(response.body.decode()):
            least = known.get(row, 0)
            if least is None or int(shown) < least:
                self.counts["stale"] += 1
                now = "gone" if least is None else f"of version {least} or later"
                raise Stale(self._report(ask, response, f"{row} is {now}, and shown in version {shown}"))

    def _check_secrets(self, ask: Ask, response: Response) -> None:
        for visitor in self.visitors:
            for secret in visitor.secrets - ask.visitor.secrets:
                if secret.encode() in response.body:
                    self.counts["leaked"] += 1
                    raise Leaked(self._report(ask, response, f"it holds what only {visitor.name} may see"))

    def _snapshot(self) -> dict[str, int | None]:
        with self._lock:
            return self.known.copy()

    def _next_write(self) -> int:
        with self._lock:
            self._number += 1
            return self._number

    def _acknowledge(self, seed: int, done: dict[str, Any]) -> None:
        with self._lock:
            self.last.append(f"{seed}: {done.get('what')} {done['rows']}")
            for row, version in done["rows"].items():
                before = self.known.get(row, 0)
                gone = version is None or before is None
                self.known[row] = None if gone else max(before or 0, version)
        self.counts["writes"] += 1
        if "Error" in done["what"]:
            self.counts["writes refused"] += 1

    def _write_through(self, many: int) -> None:
        with self.site.edge() as client:
            for _ in range(many):
                seed = self._next_write()
                try:
                    response = client.ask(f"/write?seed={seed}", "POST", b"")
                except Broken:
                    continue
                if response.status in OUTAGE:
                    time.sleep(0.02)
                    continue
                assert response.status == 200, response
                self._acknowledge(seed, json.loads(response.body))
                time.sleep(self.dice.expovariate(60))

    def _write_beside(self, many: int) -> None:
        for _ in range(many):
            seed = self._next_write()
            if (done := self._tell(str(seed))) is not None:
                self._acknowledge(seed, done)
            time.sleep(self.dice.expovariate(60))

    def _tell(self, line: str) -> dict[str, Any] | None:
        """Have the process beside do something. None: it had been killed, or was meanwhile."""
        answer = self.writer.ask(line)
        if answer is None:
            self.writer.end()
            self.writer = Writer(self.site)
        return answer

    def _kill(self, seed: float) -> None:
        """Without a word, at a random instant."""
        dice = random.Random(seed)
        time.sleep(dice.expovariate(20))
        match dice.choice(("edge", "origin", "writer")):
            case "edge":
                kill(dice.choice(worker_pids(self.site.uncork, self.site.directory) or [None]))
            case "writer":
                self.writer.process.kill()
            case "origin":
                try:
                    with self.site.origin() as origin:
                        kill(int(origin.ask("/").body))
                except (Broken, OSError):
                    return
        self._killed = True
        self.counts["kills"] += 1

    # At rest

    @contextmanager
    def _at_rest(self) -> Iterator[None]:
        """Whatever was begun is done, and nothing else is begun."""
        with open(self.site.directory / "rest", "ab") as rest:
            fcntl.flock(rest, fcntl.LOCK_EX)
            settle(self.site)
            if (
                self._killed
            ):  # it may have been between a file's change and its purge, which nothing holds together
                self._killed = False
                while self._tell("files") is None:
                    pass
            yield

    def _check(self, burst: bool = True) -> None:
        """Random pages, many of them asked for before, for random visitors."""
        others = self.dice.sample(sorted(self.pages), min(50, len(self.pages)))
        chosen = list(dict.fromkeys([*self.recent, *others]))
        self.recent = self.dice.sample(chosen, min(110, len(chosen)))
        asks = [
            self.random_ask(target, self.dice)
            for target in chosen
            for _ in range(self.dice.choice((1, 1, 2)))
        ]
        self.dice.shuffle(asks)
        with ThreadPoolExecutor(CHECKERS) as pool:
            parts = [asks[number::CHECKERS] for number in range(CHECKERS)]
            work = [pool.submit(self._check_all, part, self.dice.random(), burst) for part in parts]
        for future in work:
            future.result()

    def _check_all(self, asks: list[Ask], seed: float, burst: bool) -> None:
        dice = random.Random(seed)
        clients = [self.site.edge() for _ in range(3)]
        origin = self.site.origin()
        try:
            for ask in asks:
                dice.shuffle(clients)
                self._check_one(ask, clients, origin, dice, burst)
                if dice.random() < 0.1:
                    clients[0].close()
        finally:
            for client in (*clients, origin):
                client.close()

    def _check_one(
        self, ask: Ask, clients: list[RawClient], origin: UnixClient, dice: random.Random, burst: bool
    ) -> None:
        first = self._insist(ask, clients[0])
        wanted = Seen.of(self._insist(ask, origin))
        assert wanted.status < 500, f"{ask}: {wanted}"
        self._compare(ask, first, wanted, origin)
        if burst and is_hit(first):
            self.counts["survivors"] += 1
        for client in clients[1:]:
            etag = first["etag"]
            if etag is not None and dice.random() < 0.2:
                again = self._insist(ask, client, if_none_match=etag)
                if again.status == 304:  # what the client has is good
                    self._count(again)
                    continue
            else:
                again = self._insist(ask, client)
            self._compare(ask, again, wanted, origin)

    def _compare(self, ask: Ask, response: Response, wanted: Seen, origin: UnixClient) -> None:
        self._count(response)
        if (found := Seen.of(response)) == wanted:
            return
        again = Seen.of(self._insist(ask, origin))
        assert again == wanted, (
            f"the page itself is not always the same: {ask}\n{wanted}\n-- and then\n{again}"
        )
        for visitor in self.visitors:
            theirs = Ask(ask.target, visitor, tuple(visitor.fields.items()))
            if visitor is not ask.visitor and Seen.of(self._insist(theirs, origin)) == found:
                self.counts["leaked"] += 1
                raise Leaked(self._report(ask, response, f"it is what {visitor.name} gets, not\n{wanted}"))
        self.counts["stale"] += 1
        raise Stale(self._report(ask, response, f"it should be\n{wanted}"))

    def _count(self, response: Response) -> None:
        self.counts["reads"] += 1
        if is_hit(response):
            self.counts["hits"] += 1
            assert response["set-cookie"] is None, f"a cookie from the store: {response}"

    def _report(self, ask: Ask, response: Response, why: str) -> str:
        with self._lock:
            last = "\n  ".join(self.last)
        return (
            f"seed {self.seed}, after {self.counts['reads']} reads: {ask}\n{why}\n"
            f"-- it is\n{Seen.of(response)}\n"
            f"-- Cache-Status: {response['cache-status']}; {response.lines}\n-- last writes:\n  {last}"
        )
