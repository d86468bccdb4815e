"""The rest of a response, from the origin to a client that may be slower.

Lives here: when bytes go straight through, and when they wait in a spool so that the origin need not.
Doesn't know: HTTP; what was sent of the response before.
"""

import asyncio

from uncork.edge.exchange import Exchange
from uncork.edge.spool import Shortage, Spool
from uncork.upstream.exchange import Exchange as Upstream


class Streamer:
    """`most_bytes` may wait for one client, to within what is read at once; beyond that the origin waits,
    too. `directory` is where they wait."""

    def __init__(self, directory: str, most_bytes: int, shortage: Shortage) -> None:
        self._directory = directory
        self._most_bytes = most_bytes
        self._shortage = shortage

    async def stream(self, exchange: Exchange, upstream: Upstream) -> None:
        """Send all that comes as it comes. Raises OriginError, once all before it is sent, and ClientGone."""
        while data := await upstream.read():
            exchange.write(data)
            if exchange.client.sending:
                await self._fall_behind(exchange, upstream)
            await exchange.drained()

    async def _fall_behind(self, exchange: Exchange, upstream: Upstream) -> None:
        """The client's socket is full: read on for it, until it has taken all that waits."""
        spool = Spool(self._directory)
        room = self._most_bytes > 0

        def put_more(upstream: Upstream) -> None:
            nonlocal room
            if room and upstream.buffered:
                try:
                    spool.put(upstream.take())
                    room = spool.extent < self._most_bytes
                except OSError as error:
                    room = False
                    self._shortage.tell(exchange.request.url, "what a slow client is to get", error)

        upstream.listener = put_more
        try:
            put_more(upstream)
            await exchange.drained()
            while data := spool.take():
                exchange.write(data)
                await asyncio.sleep(0)  # a client that reads fast by now leaves turns for the others
                await exchange.drained()
        finally:
            upstream.listener = None
            spool.close()
