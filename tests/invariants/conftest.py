"""An origin in threads of the test, and the real Uncork with three workers in front of it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.edge_client import Edge, serve
from support.web_origin import WebOrigin


@pytest.fixture
def origin() -> Iterator[WebOrigin]:
    found = WebOrigin()
    yield found
    found.stop()


@pytest.fixture
def edge3(origin: WebOrigin, tmp_path: Path) -> Iterator[Edge]:
    with serve(tmp_path, origin.url, workers=3) as found:
        yield found
