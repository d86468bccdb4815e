"""Whether an origin answers.

Lives here: one request of our own, and waiting for its success.
Doesn't know: what is done with an origin that doesn't answer.
"""

import asyncio

from uncork.upstream.addresses import Address
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.pool import Pool, PoolOptions

# Seconds between two tries: an origin takes a few hundred milliseconds to start.
_PAUSE = 0.05


async def probe(address: Address, path: str = "/", *, host: bytes | None = None, seconds: float = 5.0) -> int:
    """The status of a GET for `path` (its query may follow). Raises OriginError.

    `seconds` bounds connect and response each. `host` is for origins that refuse unknown ones.
    """
    pool = Pool(address, PoolOptions(connect_timeout=seconds, response_timeout=seconds, read_timeout=seconds))
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: uncork-health\r\nConnection: close\r\n\r\n"
    try:
        exchange = await pool.send(head % (path.encode("ascii"), host or address.authority), method=b"GET")
        return exchange.status
    finally:
        pool.close()


async def wait_healthy(
    address: Address,
    path: str = "/",
    seconds: float = 30.0,
    *,
    host: bytes | None = None,
    server_errors: bool = True,
) -> int:
    """Try until the origin answers, and return the status. Raises OriginError with the last failure when
    it didn't within so many seconds.

    Any response is a sign of life (an unknown host is 400, a login is 302); with `server_errors` False, a
    5xx is not.
    """
    last = OriginError(OriginFailure.RESPONSE_TIMEOUT, "never answered")
    try:
        async with asyncio.timeout(seconds):
            while True:
                try:
                    status = await probe(address, path, host=host, seconds=seconds)
                except OriginError as error:
                    last = error
                else:
                    if server_errors or status < 500:
                        return status
                    last = OriginError(OriginFailure.MALFORMED, f"status {status}")
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        raise OriginError(last.failure, f"{last.detail} (gave up after {seconds:g} s)") from None
