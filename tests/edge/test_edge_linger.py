"""The end of a connection whose client is still sending. Source: RFC 9112 §9.6"""

import asyncio
import socket
import time

import pytest

from support.edge_client import Edge, head
from uncork.net import connection
from uncork.net.connection import Connection
from uncork.net.loop import current, run


def test_a_client_that_goes_on_sending_gets_its_answer(edge: Edge) -> None:
    """A connection that is closed with bytes unread is reset, and an answer on its way is lost."""
    with edge.connect() as client:
        client.send(head("Host: h", f"Content-Length: {1 << 30}", path="/t", method="PUT"))
        for _ in range(7):
            client.send(bytes(1000))
            time.sleep(0.5)  # a slow client: longer in all than a pause may be
        assert client.reply().status == 413
        assert client.ended()


@pytest.mark.parametrize(("pause", "sent_for"), [(0.05, 1.0), (10.0, 0.0)], ids=["sends on", "pauses"])
def test_it_is_closed_after_a_pause_or_after_all(
    monkeypatch: pytest.MonkeyPatch, pause: float, sent_for: float
) -> None:
    monkeypatch.setattr(connection, "_LINGER_PAUSE", 0.3)
    monkeypatch.setattr(connection, "_LINGER", 1.0)
    closed = asyncio.Event()

    class Lingering(Connection):
        def on_closed(self, unsent: int) -> None:
            closed.set()

    async def measure() -> float:
        loop = current()
        ours, theirs = socket.socketpair()
        for sock in (ours, theirs):
            sock.setblocking(False)
        with theirs:
            lingering = Lingering(loop, ours)
            began = loop.time()
            lingering.linger()
            lingering.begin()

            async def drip() -> None:
                while True:
                    await asyncio.sleep(pause)
                    theirs.send(b"x")

            dripping = loop.create_task(drip())
            await asyncio.wait_for(closed.wait(), 10)
            dripping.cancel()
            return loop.time() - began

    took = run(measure())
    assert max(sent_for, 0.3) <= took < max(sent_for, 0.3) + 0.5
