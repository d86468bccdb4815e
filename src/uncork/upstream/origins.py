"""Several addresses of one origin.

Lives here: asking the next address when one can't be connected to.
Doesn't know: which requests may be sent twice (nothing was sent yet when a connect fails).
"""

from collections.abc import Callable, Iterable

from uncork.upstream.addresses import Address
from uncork.upstream.exchange import Exchange
from uncork.upstream.pool import Pool, PoolOptions, PoolSnapshot
from uncork.upstream.sending import Sender


class Origins(Sender):
    """A pool for each address. All requests go to the same one until it can't be connected to; then to
    the next, and so on, until all were tried once."""

    def __init__(self, addresses: Iterable[Address], options: PoolOptions | None = None) -> None:
        self.pools = [Pool(address, options) for address in addresses]
        if not self.pools:
            raise ValueError("an origin needs at least one address")
        self._preferred = 0

    def submit(self, exchange: Exchange) -> None:
        first = self._preferred
        if len(self.pools) > 1:
            exchange.elsewhere = self._others(first)
        self.pools[first].submit(exchange)

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
