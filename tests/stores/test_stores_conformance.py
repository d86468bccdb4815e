"""Every kind of store keeps the contract."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from uncork.stores.conformance import CHECKS, Check, Opener
from uncork.stores.contract import Store
from uncork.stores.disk import DiskStore


@pytest.fixture
def opener(tmp_path: Path) -> Iterator[Opener]:
    opened: list[DiskStore] = []

    def open_store() -> Store:
        opened.append(DiskStore(tmp_path / "pages"))
        return opened[-1]

    yield open_store
    for store in opened:
        store.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_disk_store_conforms(check: Check, opener: Opener) -> None:
    check(opener)
