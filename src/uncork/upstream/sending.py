"""How an exchange is begun, whoever carries it.

Lives here: the two ways to send a request, with a task and without. Doesn't know: connections and addresses.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from uncork.net.loop import current
from uncork.upstream.exchange import BodySource, Exchange, Interim


class Sender(ABC):
    """Sends requests to an origin."""

    @abstractmethod
    def submit(self, exchange: Exchange) -> None:
        """Send an exchange that was made elsewhere; it may fail before this returns."""

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
        """Send a request and return when the head of its response is there. Raises OriginError, or what
        the body's source raised.

        `head` ends with the empty line; `body` is bytes, or an iterator of bytes, framed as `head` says.
        `retry`: the method is idempotent. It is sent once more, on a new connection, when a reused one
        turns out to be closed before a byte of a response. `upgrade`: a 101 is welcome. `interim` is
        called with each interim response. Cancelling closes the exchange.
        """
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
        """As `send`, but at once and without a task: `listener` is told of all that happens."""
        exchange = Exchange(head, body, method, retry, upgrade, interim)
        self.submit(exchange)
        if listener is not None:
            exchange.listener = listener
            if exchange.error is not None:
                current().call_soon(listener, exchange)
        return exchange
