"""One edge of each kind for all tests of this room that only ask; each test asks for paths of its own."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.edge_client import Edge, serve
from support.web_origin import WebOrigin


@pytest.fixture(scope="session")
def origin() -> Iterator[WebOrigin]:
    found = WebOrigin()
    yield found
    found.stop()


@pytest.fixture(scope="session")
def edge(origin: WebOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One worker in front of the origin, with short limits of time, and files."""
    cwd = tmp_path_factory.mktemp("edge")
    files = cwd / "files"
    files.mkdir()
    (files / "small.txt").write_bytes(b"small file\n" * 20)
    os.utime(files / "small.txt", (1e9, 1e9))  # settled, so that it may be kept in memory
    (files / "large.bin").write_bytes(bytes(range(256)) * 4096 * 8)  # 8 MiB
    with serve(
        cwd,
        origin.url,
        *("--static", f"/files/={files}", "--purge-token", "let-me-purge"),
        *("--body-bytes", "64MiB", "--head-timeout", "2s", "--body-timeout", "2s"),
        *("--internal-files", f"/protected/={files}"),
    ) as found:
        yield found


@pytest.fixture(scope="session")
def streaming(origin: WebOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """One worker that forwards content as it comes."""
    with serve(tmp_path_factory.mktemp("streaming"), origin.url, "--request-buffering", "off") as found:
        yield found


@pytest.fixture(scope="session")
def edge3(origin: WebOrigin, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """Three workers in front of the origin."""
    cwd: Path = tmp_path_factory.mktemp("edge3")
    with serve(cwd, origin.url, workers=3) as found:
        yield found
