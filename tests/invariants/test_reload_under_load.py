"""Twenty SIGHUPs during 60 s of load over connections that are kept alive: no request fails.

The normal run is 5 in 15 s; UNCORK_SOAK=4 makes it the twenty.
"""

import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from support import rows_app
from support.raw_client import Broken, RawClient, Response
from support.sites import rows_site
from support.soak import soak

CLIENTS = 6
SECONDS_BETWEEN = 3.0


def ask(client: RawClient, target: str, method: str, counts: Counter[str]) -> Response:
    """As a browser does: a request that finds its kept connection closed before a byte of an answer is sent
    once more on a new one, which must not fail. Source: RFC 9112 §9.3.1, RFC 9110 §9.2.2"""
    kept = client.sock is not None and client.used > 0
    try:
        return client.ask(target, method, b"" if method == "POST" else None)
    except Broken as broken:
        assert kept and method == "GET" and "closed before" in str(broken), (target, method, str(broken))
    counts["asked again"] += 1
    return client.ask(target, method)


def test_no_request_fails(tmp_path: Path) -> None:
    reloads = round(soak(5))
    counts: Counter[str] = Counter()
    with rows_site(tmp_path, rows=8, workers=2) as uncork:
        over = time.monotonic() + reloads * SECONDS_BETWEEN

        def load(number: int) -> None:
            dice = random.Random(number)
            with RawClient(uncork.address) as client:
                while time.monotonic() < over:
                    row = dice.randrange(8)
                    chance = dice.random()
                    if chance < 0.05:
                        response = ask(client, f"/fresh/{row}", "POST", counts)
                        assert response.status == 200, response
                        counts["posts"] += 1
                        continue
                    slow = "?slow=0.1" if chance < 0.1 else "?pad=300000" if chance < 0.15 else ""
                    response = ask(
                        client, f"/{'swr' if chance > 0.9 else 'fresh'}/{row}{slow}", "GET", counts
                    )
                    assert response.status == 200, response
                    assert row in rows_app.versions(response.body)
                    counts["gets"] += 1

        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(load, number) for number in range(CLIENTS)]
            started = time.monotonic()
            for number in range(reloads):
                uncork.send(signal.SIGHUP)
                uncork.wait_for("uncork: reloaded")
                counts["reloads"] += 1
                time.sleep(max(0.0, started + (number + 1) * SECONDS_BETWEEN - time.monotonic()))
            over = 0.0
            for client in clients:
                client.result()
    print(dict(counts))
    assert counts["reloads"] == reloads and counts["gets"] > 50 * reloads and counts["posts"] > reloads
