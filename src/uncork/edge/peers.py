"""The other workers of this machine, and which of them is home to a key.

Lives here: one fetch per key for the whole machine. Every primary key has a home, one of the workers;
the others send it the requests that they can't answer from the store, over its internal socket, and
relay what comes back. Doesn't know: what the home does with them.

So the collapsing of requests, the order of writes to one key and the renewal of a stale page need no lock
between processes. A home that is being replaced leaves its socket with the supervisor: requests wait in
its queue for the successor.
"""

from collections.abc import Sequence

from uncork.edge.exchange import OUTCOME_FIELD, Exchange
from uncork.edge.rewriting import PEER_FIELD
from uncork.semantics.fields import Field, Fields
from uncork.semantics.messages import HOP_BY_HOP
from uncork.upstream.addresses import parse_origin
from uncork.upstream.exchange import Exchange as Upstream
from uncork.upstream.failures import OriginError
from uncork.upstream.pool import Pool, PoolOptions
from uncork.wire.writing import request_head

_NOT_RELAYED = HOP_BY_HOP | {b"content-length", OUTCOME_FIELD}
# Seconds that a home may need beyond the origin's: to get a connection, and to say that there is no answer.
# Who gave up before it would ask the origin a second time.
_MORE_SECONDS = 20.0


class Peers:
    """`paths` are the internal sockets of all workers, `index` is which of them is ours. An answer of the
    origin may take `origin_seconds`."""

    def __init__(self, paths: Sequence[str], index: int, origin_seconds: float) -> None:
        self._count = max(len(paths), 1)
        patience = origin_seconds + _MORE_SECONDS
        options = PoolOptions(response_timeout=patience, read_timeout=patience)
        self._pools = [
            None if i == index else Pool(parse_origin(f"http+unix:{path}"), options)
            for i, path in enumerate(paths)
        ]
        self._fetching: set[bytes] = set()
        self.relayed = 0  # answers of other workers

    def home(self, primary: bytes) -> Pool | None:
        """The way to the worker that fetches this key, None when that is this one."""
        if self._count == 1:
            return None
        return self._pools[primary[0] % self._count]

    async def relay(self, exchange: Exchange, peer: Pool) -> bool:
        """Have another worker answer; False when it gave no answer, for it is gone."""
        try:
            upstream = await self._ask(exchange, peer, exchange.request.method)
        except OriginError:
            return False
        self.relayed += 1
        lines = exchange.dated(Fields(item for item in upstream.fields if item[0] not in _NOT_RELAYED))
        exchange.outcome, _, exchange.reason = _outcome(upstream).partition(".")
        try:
            if upstream.complete:
                exchange.respond(upstream.status, lines, upstream.take(), upstream.content_length)
                return True
            exchange.start(upstream.status, lines, upstream.content_length, upstream.take())
            while data := await upstream.read():
                exchange.write(data)
                await exchange.drained()
            exchange.finish()
        except OriginError:
            exchange.abort()
        finally:
            upstream.close()
        return True

    async def have_fetched(self, exchange: Exchange, peer: Pool, method: bytes) -> str | None:
        """Have the home of a page see that it is stale (HEAD), or not there (GET), once at a time. The
        outcome of its answer, of which no more is taken, and behind a dot why it isn't stored; None when
        there is no answer."""
        url = exchange.request.url
        if url in self._fetching:
            return None
        self._fetching.add(url)
        try:
            upstream = await self._ask(exchange, peer, method)
        except OriginError:
            return None  # what is served goes on being served; the next request tries again
        finally:
            self._fetching.discard(url)
        upstream.close()
        return _outcome(upstream)

    async def _ask(self, exchange: Exchange, peer: Pool, method: bytes) -> Upstream:
        request = exchange.request
        fields: list[Field] = [
            item
            for item in request.fields
            if item[0] not in HOP_BY_HOP and item[0] not in (b"host", PEER_FIELD)
        ]
        fields.insert(0, (b"host", request.authority))
        fields.append((PEER_FIELD, exchange.client.address))
        return await peer.send(request_head(method, request.target, fields), method=method, retry=True)


def _outcome(upstream: Upstream) -> str:
    return (upstream.fields.get(OUTCOME_FIELD) or b"").decode()
