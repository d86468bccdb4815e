"""X-Accel-Redirect and X-Sendfile through a whole edge: what the client gets, and what is said of it."""

import pytest

from support.edge_client import Edge
from support.web_origin import WebOrigin, reply

FRESH = "Cache-Control: max-age=60"


def test_files_that_the_origin_names(edge: Edge, origin: WebOrigin) -> None:
    """The origin is asked each time, and what is sent is the file."""
    path = origin.new(reply(b"", FRESH, "X-Accel-Redirect: /protected/small.txt", "X-Own: 1"))
    for _ in range(3):
        found = edge.ask(path)
        assert found.body == b"small file\n" * 20 and found["x-own"] == "1"
        assert found["x-accel-redirect"] is None
    assert edge.ask(path, "Range: bytes=0-4").body == b"small"
    assert edge.ask(path, f"If-None-Match: {found['etag']}").status == 304
    assert len(edge.ask(path, method="HEAD").body) == 0
    assert origin.count(path) == 6
    large = origin.new(reply(b"", "X-Accel-Redirect: /protected/large.bin"))
    assert len(edge.ask(large).body) == 8 << 20
    assert edge.ask("/protected/small.txt").status == 404


def test_what_is_told_of_files_that_the_origin_names(edge: Edge, origin: WebOrigin) -> None:
    named = ("X-Accel-Redirect: /protected/small.txt", "Surrogate-Key: a", "Uncork-Own: 1")
    path = origin.new(reply(b"", FRESH, *named))
    for why, forward in (("pass-unshared", "miss"), ("pass-known", "bypass")):
        found = edge.ask(path)
        assert found["cache-status"] == f"Uncork; fwd={forward}; fwd-status=200; detail={why}"
        assert found["via"] == "1.1 uncork"
        assert found["surrogate-key"] is None and found["uncork-own"] is None
    assert edge.ask(path, method="HEAD")["content-length"] == "220"
    later = edge.ask(path, f"If-None-Match: {found['etag']}")
    assert later.status == 304 and later["cache-status"] == found["cache-status"]


@pytest.mark.parametrize("name", ["X-Accel-Redirect", "X-Sendfile"])
def test_files_that_the_origin_names_and_that_can_not_be_sent(
    edge: Edge, origin: WebOrigin, name: str
) -> None:
    path = origin.new(reply(b"see there", FRESH, f"{name}: /protected/../secret", "X-Own: 1"))
    for method in ("GET", "POST", "HEAD"):
        found = edge.ask(path, method=method)
        assert found.status == 404 and found["cache-control"] == "no-store"
        assert "fwd-status=200" in (found["cache-status"] or "")
        assert b"secret" not in found.body + repr(found.lines).encode()
        edge.wait_for(
            rf"http://h{path}: can't send '/protected/../secret', which the origin names by {name}: [a-z -]+$"
        )


@pytest.mark.parametrize("name", ["X-Accel-Redirect", "X-Sendfile"])
def test_no_client_learns_which_file_the_origin_names(edge3: Edge, origin: WebOrigin, name: str) -> None:
    """Where there are no internal files either."""
    path = origin.new(reply(b"see there", FRESH, f"{name}: /srv/secret", "X-Accel-Buffering: no"))
    for method in ("GET", "GET", "GET", "POST", "HEAD"):
        found = edge3.ask(path, method=method)
        assert found.status == 200 and found[name.lower()] is None
        assert found["x-accel-buffering"] == "no"  # to a proxy between us and the client, maybe
    edge3.wait_for(rf"worker \d: the origin names a file by {name}, and there are no internal-files")
