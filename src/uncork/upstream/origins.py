"""Several addresses of one origin.

Lives here: asking the next address when one can't be connected to.
Doesn't know: which requests may be sent twice (nothing was sent yet when a connect fails).
"""

from collections.abc import Callable, Iterable

from uncork.net.loop import current
from uncork.upstream.addresses import Address
from uncork.upstream.exchange import BodySource, Exchange, Interim
from uncork.upstream.pool import Pool, PoolOptions, PoolSnapshot


class Origins:
    """A pool for each address. All requests go to the same one until it can't be connected to; then to
    the next, and so on, until all were tried once."""

    def __init__(self, addresses: Iterable[Address], options: PoolOptions | None = None) -> None:
        self.pools = [Pool(address, options) for address in addresses]
        if not self.pools:
            raise ValueError("an origin needs at least one address")
        self._preferred = 0

    async def send(
        self,
        head: bytes,
        body: bytes | BodySource | None = None,
        *,
        method: bytes,
        retry: bool = False,
        upgrade: bool = False,
        interim: Interim | None = None,
    ) -> Exchange:
        """See `Pool.send`."""
        exchange = self.start(head, body, method=method, retry=retry, upgrade=upgrade, interim=interim)
        await exchange.begun()
        return exchange

    def start(
        self,
        head: bytes,
        body: bytes | BodySource | None = None,
        *,
        method: bytes,
        retry: bool = False,
        upgrade: bool = False,
        interim: Interim | None = None,
        listener: Callable[[Exchange], None] | None = None,
    ) -> Exchange:
        """See `Pool.start`."""
        exchange = Exchange(head, body, method, retry, upgrade, interim)
        first = self._preferred
        if len(self.pools) > 1:
            exchange.elsewhere = self._others(first)
        self.pools[first].submit(exchange)
        if listener is not None:
            exchange.listener = listener
            if exchange.error is not None:
                current().call_soon(listener, exchange)
        return exchange

    def _others(self, first: int) -> Callable[[Exchange], bool]:
        last = first

        def elsewhere(exchange: Exchange) -> bool:
            nonlocal last
            following = (last + 1) % len(self.pools)
            if following == first:
                return False
            if self._preferred == last:
                self._preferred = following
            last = following
            self.pools[following].submit(exchange)
            return True

        return elsewhere

    def snapshot(self) -> list[PoolSnapshot]:
        """One for each address, in their order."""
        return [pool.snapshot() for pool in self.pools]

    def close(self) -> None:
        """See `Pool.close`."""
        for pool in self.pools:
            pool.close()
