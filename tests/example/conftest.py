"""The site that these tests share; each leaves it as useful as it was."""

from collections.abc import Iterator

import pytest

from support.eventseer import Site, Visitor, first_event, running


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("eventseer")) as site:
        yield site


@pytest.fixture
def visitor(site: Site) -> Visitor:
    return Visitor(site)


@pytest.fixture(scope="session")
def event(site: Site) -> str:
    """The page of an event that still takes submissions."""
    return first_event(Visitor(site), "open")
