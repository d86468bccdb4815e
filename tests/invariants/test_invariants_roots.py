"""No byte of a file outside the configured roots is ever sent: by URL, by link, by what the origin names.

Every file outside the roots holds one secret word. Whatever is asked for, it is in no answer; and whatever
was found that way is a file of the roots.
"""

import itertools
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote_from_bytes

import pytest

from support.edge_client import Edge, serve
from support.raw_client import Broken, RawClient
from support.web_origin import Asked, Line, WebOrigin, reply

SECRET = b"the secret that is outside"
PUBLIC = b"what everybody may read"


@pytest.fixture
def trees(tmp_path: Path) -> Path:
    """outside/, and beside it files/ and internal/, which are roots; names that begin alike, and links."""
    home = tmp_path / "home"
    for place in ("files/sub", "internal", "files-private", "outside/deep"):
        (home / place).mkdir(parents=True)
    for secret in ("secret.txt", "outside/secret.txt", "outside/deep/secret.txt", "files-private/secret.txt"):
        (home / secret).write_bytes(SECRET)
    (home / "files" / ".env").write_bytes(SECRET)  # inside, and not to be sent
    (home / "files" / ".git").mkdir()
    (home / "files" / ".git" / "secret.txt").write_bytes(SECRET)
    for public in ("files/public.txt", "files/sub/public.txt", "internal/public.txt"):
        (home / public).write_bytes(PUBLIC)
    (home / "files" / "inside.txt").symlink_to("sub/public.txt")
    (home / "files" / "absolute.txt").symlink_to(home / "outside" / "secret.txt")
    (home / "files" / "relative.txt").symlink_to("../outside/secret.txt")
    (home / "files" / "sibling.txt").symlink_to("../files-private/secret.txt")
    (home / "files" / "directory").symlink_to("../outside")
    (home / "files" / "chain.txt").symlink_to("sub/chain.txt")
    (home / "files" / "sub" / "chain.txt").symlink_to("../relative.txt")
    (home / "files" / "self").symlink_to("self")
    (home / "files" / "process").symlink_to("/proc/self/root" + str(home / "outside"))
    (home / "internal" / "link.txt").symlink_to("../outside/secret.txt")
    os.mkfifo(home / "files" / "pipe")
    return home


@pytest.fixture
def edge(origin: WebOrigin, trees: Path, tmp_path: Path) -> Iterator[Edge]:
    def named(asked: Asked, line: Line) -> None:
        field = asked["x-field"] or "X-Accel-Redirect"
        line.send(reply(b"", f"{field}: {asked['x-name']}", "Cache-Control: max-age=60"))

    origin.at("/named", named)
    with serve(
        tmp_path,
        origin.url,
        *("--static", f"/files/={trees}/files", "--internal-files", f"/protected/={trees}/internal"),
    ) as found:
        yield found


def spellings(path: bytes) -> Iterator[bytes]:
    """What different readers might take for that path."""
    yield path
    yield path.replace(b"..", b"%2e%2e")
    yield path.replace(b"..", b".%2E")
    yield path.replace(b"..", b"%252e%252e")
    yield path.replace(b"/", b"%2f")
    yield path.replace(b"/", b"\\")
    yield path.replace(b"/", b"%5c")
    yield path.replace(b"/", b"//")
    yield path.replace(b"/", b"/./")
    yield path.replace(b"..", b"..;")
    yield path.replace(b"..", b"%c0%ae%c0%ae")
    yield path.replace(b"..", b"%uff0e%uff0e")
    yield path.replace(b"/", b"%c0%af")
    yield path.replace(b"..", b"..%00")
    yield path.replace(b"..", b"%2e%2e%2f")
    yield quote_from_bytes(path, safe="").encode()


def climbing(home: Path) -> Iterator[bytes]:
    """Paths, as they follow the prefix of the roots, that lead out when they are believed."""
    absolute = os.fsencode(home)
    for ups in (b"..", b"../..", b"sub/../..", b"sub/../../files/..", b"./..", b"public.txt/../.."):
        for target in (b"secret.txt", b"outside/secret.txt", b"files-private/secret.txt", b"."):
            yield ups + b"/" + target
    yield absolute + b"/secret.txt"
    yield b"/" + absolute + b"/secret.txt"
    yield b"../" * 30 + absolute[1:] + b"/secret.txt"
    yield b"../files-private/secret.txt"
    yield b"..-private/secret.txt"
    for name in (
        b"absolute.txt",
        b"relative.txt",
        b"sibling.txt",
        b"chain.txt",
        b"self",
        b"process",
        b"pipe",
        b".env",
    ):
        yield name
    for name in (b"directory", b"process", b".git", b"sub/../directory", b"directory/deep"):
        yield name + b"/secret.txt"
        yield name + b"/"
    yield b"directory/deep/../secret.txt"


def ask(edge: Edge, line: bytes, *fields: bytes) -> bytes:
    """All that comes for a request of these bytes, its answer read strictly where there is one."""
    with RawClient(edge.address) as client:
        client.send(b"\r\n".join([line, b"Host: h", *fields, b"", b""]))
        try:
            response = client.response()
        except Broken:
            return b""
        return response.body + repr(response.lines).encode()


def test_there_is_something_to_find(edge: Edge) -> None:
    assert edge.ask("/files/public.txt").body == PUBLIC
    assert edge.ask("/files/sub/public.txt").body == PUBLIC
    assert edge.ask("/files/inside.txt").body == PUBLIC
    assert edge.ask("/named", "X-Name: /protected/public.txt").body == PUBLIC


def test_urls(edge: Edge, trees: Path) -> None:
    for path in climbing(trees):
        for spelled in spellings(path):
            for prefix in (
                b"/files/",
                b"/files",
                b"http://h/files/",
                b"/x/../files/",
                b"/files/%2e/",
                b"/protected/",
            ):
                assert SECRET not in ask(edge, b"GET " + prefix + spelled + b" HTTP/1.1"), (prefix, spelled)


def test_ranges_and_codings_of_what_is_outside(edge: Edge) -> None:
    for name, field in itertools.product(
        (b"relative.txt", b"directory/secret.txt", b".env", b"../secret.txt"),
        (b"Range: bytes=0-100", b"Accept-Encoding: gzip, br, zstd", b"If-None-Match: *", b"If-Range: x"),
    ):
        assert SECRET[:8] not in ask(edge, b"GET /files/" + name + b" HTTP/1.1", field)


def test_what_the_origin_names(edge: Edge, trees: Path) -> None:
    """The origin's names may be made of what a client sent."""
    home = os.fsencode(trees)
    for path in [*climbing(trees), b"link.txt", b"../internal-private/secret.txt"]:
        for spelled in spellings(path):
            if b"\0" in spelled:
                continue
            for field, prefix in (
                (b"X-Accel-Redirect", b"/protected/"),
                (b"X-Accel-Redirect", b""),
                (b"X-Accel-Redirect", b"/files/"),
                (b"X-Sendfile", home + b"/internal/"),
                (b"X-Sendfile", b""),
                (b"X-Sendfile", b"/protected/"),
            ):
                found = ask(
                    edge, b"GET /named HTTP/1.1", b"X-Field: " + field, b"X-Name: " + prefix + spelled
                )
                assert SECRET not in found, (field, prefix, spelled)


def test_random_bytes_in_paths(edge: Edge, trees: Path) -> None:
    dice = random.Random(random.randrange(2**32))
    pieces = (
        b".. . / %2e %2f secret.txt outside directory sub \\ %00 files // % ; ~ ? # %5c \xc0\xae .git".split()
    )
    pieces.append(os.fsencode(trees))
    for _ in range(1500):
        path = b"/files/" + b"".join(dice.choices(pieces, k=dice.randrange(1, 9)))
        assert SECRET not in ask(edge, b"GET " + path + b" HTTP/1.1"), path


def test_roots_that_change_while_they_are_read(edge: Edge, trees: Path) -> None:
    """A directory becomes a link to the outside and back, as fast as it can."""
    place, link = trees / "files" / "swapped", trees / "files" / "other"
    place.mkdir()
    (place / "secret.txt").write_bytes(PUBLIC)
    link.symlink_to("../outside")
    over = threading.Event()

    def swap() -> None:
        third = trees / "files" / "third"
        while not over.is_set():
            os.rename(place, third)
            os.rename(link, place)
            os.rename(third, link)

    def look() -> set[tuple[int, bool]]:
        seen = set()
        with RawClient(edge.address) as client:
            for _ in range(1500):
                response = client.ask("/files/swapped/secret.txt")
                assert SECRET not in response.body
                seen.add((response.status, response.body == PUBLIC))
        return seen

    with ThreadPoolExecutor(4) as pool:
        swapping = pool.submit(swap)
        try:
            seen = set().union(*(one.result() for one in [pool.submit(look) for _ in range(3)]))
        finally:
            over.set()
        swapping.result()
    assert (200, True) in seen and len(seen) > 1, seen
