"""The pages as files: they outlast the workers, and a file or disk that is broken is no client's matter."""

import os
import resource
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.edge_client import Client, Edge, eventually, serve
from support.web_origin import WebOrigin, reply

FRESH = "Cache-Control: max-age=600"


def pages(edge: Edge) -> list[Path]:
    return [path for path in (edge.state_dir / "pages").rglob("*") if path.is_file() and len(path.name) == 30]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_keeps_the_pages(tmp_path: Path, origin: WebOrigin, workers: int) -> None:
    small = origin.new(reply(b"small", FRESH, "Vary: Accept-Language"))
    large = origin.new(reply(bytes(300_000), FRESH))
    for turn in range(2):
        with serve(tmp_path, origin.url, workers=workers) as edge:
            for language in ("de", "fr"):
                found = edge.ask(small, f"Accept-Language: {language}")
                assert found.body == b"small" and found.hit is bool(turn)
            assert edge.ask(large).body == bytes(300_000)
            assert edge.ask(f"{small}?query").hit is bool(turn)
    assert origin.count(small) == 3 and origin.count(large) == 1


# The kernel sends a large body: nobody reads it before the client does.
@pytest.mark.parametrize(
    ("size", "damage"),
    [
        *((1000, damage) for damage in ("cut", "empty", "head", "body", "longer")),
        *((300_000, damage) for damage in ("cut", "empty", "head", "longer")),
    ],
)
def test_a_damaged_file_is_a_miss_and_removed(
    tmp_path: Path, origin: WebOrigin, size: int, damage: str
) -> None:
    body = os.urandom(size)
    path = origin.new(reply(body, FRESH))
    with serve(tmp_path, origin.url) as edge:
        with edge.connect() as client:
            for _ in range(3):
                assert client.ask(path).body == body
            (file,) = pages(edge)
            data = bytearray(file.read_bytes())
            if damage == "cut":
                del data[-1:]
            elif damage == "empty":
                data.clear()
            elif damage == "longer":
                data += b"x"
            else:
                data[20 if damage == "head" else -size // 2] ^= 0xFF
            replaced = file.with_name("replaced")
            replaced.write_bytes(data)
            replaced.rename(file)
            # The memo looks at the file again within a second.
            eventually(lambda: origin.count(path) == 1 and client.ask(path) and origin.count(path) == 2)
            assert client.ask(path).body == body
            eventually(lambda: client.ask(path).hit)
            assert client.ask(path).body == body
            assert edge.snapshot()["store"]["corrupt"] >= (damage != "body")
        (file,) = pages(edge)
        assert len(file.read_bytes()) > size


def test_a_file_that_vanishes_is_a_miss(tmp_path: Path, origin: WebOrigin) -> None:
    path = origin.new(reply(b"page", FRESH))
    with serve(tmp_path, origin.url) as edge, edge.connect() as client:
        for _ in range(3):
            client.ask(path)
        for file in pages(edge):
            file.unlink()
        eventually(lambda: client.ask(path) and origin.count(path) == 2)
        assert client.ask(path).hit


def test_a_full_disk_serves_and_stops_storing_with_one_line(tmp_path: Path, origin: WebOrigin) -> None:
    """Small pages, large ones, and those that wait along."""
    stored = origin.new(reply(b"stored before", FRESH))
    body = os.urandom(5_000_000)
    paths = [origin.new(reply(body[:size], FRESH)) for size in (10, 10_000, 5_000_000)]
    with serve(tmp_path, origin.url) as edge:
        edge.ask(stored)
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for _ in range(3):
            for path in paths:
                found = edge.ask(path)
                assert found.status == 200 and found.body == body[: len(found.body)]
                assert found["content-length"] == str(len(found.body))
        assert edge.ask(stored).hit
        assert origin.count(paths[0]) == 3
        snapshot = edge.snapshot()["store"]
        assert snapshot["refused"] >= 9
        assert len(pages(edge)) == 1
    assert sum("takes no more pages" in line for line in edge.lines) == 1


def test_the_disk_becomes_full_in_the_middle_of_a_page(tmp_path: Path, origin: WebOrigin) -> None:
    body = os.urandom(20_000_000)
    path = origin.new(reply(body, FRESH))
    with serve(tmp_path, origin.url) as edge:
        (pid,) = edge.workers()
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (3_000_000, resource.RLIM_INFINITY))
        clients = [edge.connect() for _ in range(4)]
        for client in clients:
            client.request(path)
        with ThreadPoolExecutor(4) as pool:
            assert all(found.body == body for found in pool.map(Client.reply, clients))
        for client in clients:
            client.sock.close()
        assert origin.count(path) == 1 and not pages(edge)
