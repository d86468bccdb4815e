"""Signs of life; and gunicorn as a real peer."""

import asyncio
import sys
from contextlib import asynccontextmanager

import pytest

from support.loops import on_loop, until
from support.origins import origin
from uncork.upstream.addresses import Address
from uncork.upstream.failures import OriginError, OriginFailure
from uncork.upstream.health import probe, wait_healthy
from uncork.upstream.pool import Pool, PoolOptions


def answers(*statuses):
    """One status for each connection, the last one from then on."""

    async def script(peer):
        heads.append(await peer.head())
        status = statuses[min(peer.number, len(statuses) - 1)]
        await peer.send(b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % status)

    heads = []
    script.heads = heads
    return script


@on_loop
async def test_any_response_is_a_sign_of_life():
    script = answers(500)
    async with origin(script) as address:
        assert await wait_healthy(address, "/up?x=1", host=b"example.org") == 500
    assert script.heads[0].startswith(b"GET /up?x=1 HTTP/1.1\r\nHost: example.org\r\n")


@on_loop
async def test_server_errors_may_count_as_illness():
    script = answers(502, 503, 404)
    async with origin(script) as address:
        assert await wait_healthy(address, server_errors=False) == 404
    assert len(script.heads) == 3


@on_loop
async def test_an_origin_that_comes_late_is_waited_for(tmp_path):
    address = Address(path=str(tmp_path / "o.sock"))
    waiting = asyncio.create_task(wait_healthy(address, seconds=20))
    await asyncio.sleep(0)
    async with origin(answers(200)) as late:
        (tmp_path / "o.sock").symlink_to(late.path)
        assert await waiting == 200


@on_loop
async def test_waiting_ends_with_the_last_failure(tmp_path):
    with pytest.raises(OriginError, match=r"No such file.*gave up after 0.2 s") as error:
        await wait_healthy(Address(path=str(tmp_path / "missing")), seconds=0.2)
    assert error.value.failure is OriginFailure.CONNECT_REFUSED
    async with origin(answers(503)) as address:
        with pytest.raises(OriginError, match="status 503"):
            await wait_healthy(address, seconds=0.2, server_errors=False)

    async def silent(peer):
        await peer.closed()

    async with origin(silent) as address:
        with pytest.raises(OriginError) as error:
            await probe(address, seconds=0.1)
        assert error.value.failure is OriginFailure.RESPONSE_TIMEOUT


APPLICATION = """
def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (b"%d," % number for number in range(1000))
    if path == "/echo":
        body = environ["wsgi.input"].read()
        start_response("201 Created", [("Content-Length", str(len(body)))])
        return [body]
    if path == "/early":
        start_response("413 Content Too Large", [("Content-Length", "4")])
        return [b"much"]
    if path == "/none":
        start_response("204 No Content", [])
        return [b""]
    start_response("200 OK", [("Content-Length", "5"), ("X-Method", environ["REQUEST_METHOD"])])
    return [b"hello"]
"""


@asynccontextmanager
async def gunicorn(directory, *options):
    (directory / "peer_site.py").write_text(APPLICATION)
    address = Address(path=str(directory / "g.sock"))
    command = ["-m", "gunicorn", "-k", "gthread", "--threads", "4", "--bind", f"unix:{address.path}"]
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, *command, *options, "peer_site:application"],
        cwd=directory,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await wait_healthy(address, seconds=20)
        yield address
    finally:
        process.terminate()
        await process.wait()


@on_loop
async def test_gunicorn(tmp_path):
    async with gunicorn(tmp_path, "--keep-alive", "1") as address:
        pool = Pool(address, PoolOptions(idle_limit=30))

        async def ask(method, path, body=None, more=b""):
            head = method + b" " + path + b" HTTP/1.1\r\nHost: h\r\n" + more + b"\r\n"
            exchange = await pool.send(head, body, method=method, retry=method in (b"GET", b"HEAD"))
            found = b""
            while data := await exchange.read():
                found += data
            assert exchange.complete
            return exchange, found

        chunked = b"Transfer-Encoding: chunked\r\n"

        async def source():
            for _ in range(50):
                yield b"3e8\r\n" + b"x" * 1000 + b"\r\n"
            yield b"0\r\n\r\n"

        for _ in range(3):
            exchange, found = await ask(b"GET", b"/")
            assert (exchange.status, found, exchange.fields.get(b"x-method")) == (200, b"hello", b"GET")
            exchange, found = await ask(b"HEAD", b"/")
            assert (exchange.status, found, exchange.content_length) == (200, b"", 5)
            exchange, found = await ask(b"GET", b"/stream")
            assert found == b"".join(b"%d," % number for number in range(1000))
            exchange, found = await ask(b"POST", b"/echo", b"abc", b"Content-Length: 3\r\n")
            assert (exchange.status, found) == (201, b"abc")
            exchange, found = await ask(b"POST", b"/echo", source(), chunked)
            assert found == b"x" * 50_000
            exchange, found = await ask(b"GET", b"/none")
            assert (exchange.status, found) == (204, b"")
        exchange, found = await ask(b"POST", b"/early", source(), chunked)
        assert (exchange.status, found) == (413, b"much")
        await asyncio.gather(*[ask(b"GET", b"/") for _ in range(50)])
        assert pool.snapshot().reused > 15 and not pool.snapshot().errors
        # gunicorn closes idle connections after a second: we see it.
        await until(lambda: pool.snapshot().open == 0)
        await ask(b"GET", b"/")
        assert pool.snapshot().retries == 0
        pool.close()
