"""No byte of a file outside the roots is ever sent, and nothing that isn't a file (invariant 7)."""

import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.file_site import FileSite
from uncork.edge.resolve import Symlinks, Tree
from uncork.edge.static import StaticOptions, check

SECRET = b"SECRET"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FileSite]:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_bytes(SECRET)
    with FileSite(tmp_path / "static") as site:
        site.write("a.txt")
        site.write("d/b.txt", b"b")
        yield site


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Whoever would wait for ever is interrupted."""

    def interrupt(*_: object) -> None:
        raise TimeoutError

    former = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, former)


# Names


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("with space.txt", "/static/with%20space.txt"),
        ("naïve/日本.txt", "/static/na%C3%AFve/%E6%97%A5%E6%9C%AC.txt"),
        ("100%.txt", "/static/100%25.txt"),
        ("a%20b.txt", "/static/a%2520b.txt"),
        ("a+b.txt", "/static/a+b.txt"),
        ("q?.txt", "/static/q%3F.txt"),
        ("h#.txt", "/static/h%23.txt"),
        ("new\nline.txt", "/static/new%0Aline.txt"),
        ("back\\slash.txt", "/static/back%5Cslash.txt"),
        ("a.txt", "/static/%61%2Etxt"),
        ("~tilde;a=b.txt", "/static/~tilde;a=b.txt"),
        ("...", "/static/%2e%2e%2e"),
    ],
)
def test_unusual_names(tmp_path: Path, name: str, url: str) -> None:
    with FileSite(tmp_path / "s", dot_files=True) as site:
        site.write(name, name.encode())
        assert site.get(url).body == name.encode()


def test_utf_8_sent_raw(site: FileSite) -> None:
    site.write("naïve.txt", b"n")
    assert site.get("/static/naïve.txt".encode()).body == b"n"


@pytest.mark.parametrize(
    "path",
    [
        b"/static/../secret/s.txt",
        b"/static/%2e%2e/secret/s.txt",
        b"/static/..%2fsecret/s.txt",
        b"/static/d/../../secret/s.txt",
        b"/static/..\\secret\\s.txt",
        b"/static//../secret/s.txt",
        b"/static/./../secret/s.txt",
        b"/static/%252e%252e/secret/s.txt",
        b"/static/\xc0\xae\xc0\xae/secret/s.txt",
        b"/static/a.txt%00.png",
        b"/static/a.txt%00",
        b"/static/a.txt%",
        b"/static/a.txt%zz",
        b"/static/d%2fb.txt",
        b"/static/%ff",
        b"/static/a.txt/",
        b"/static/a.txt/b",
        b"/static/a.txt/..",
        b"/static/absent/../a.txt",
        b"/static/" + b"x" * 300,
        b"/static/" + b"d/" * 5000,
        b"/static/*",
    ],
)
def test_what_names_no_file(site: FileSite, path: bytes) -> None:
    assert site.find(path) is None


_ESCAPES = ("", ".", "..", "//", "%2e", "%2e%2e", "%2f", "/", "\\", "%5c", "%00", "%", "%25", "~")
_NAMES = (
    "a.txt",
    "d",
    "b.txt",
    "secret",
    "s.txt",
    "static",
    ".env",
    "out",
    "d/out",
    "abs",
    "up",
    "loop",
    "proc",
)
_pieces = st.sampled_from((*_ESCAPES, *_NAMES, "self", "root"))


@given(st.lists(_pieces, max_size=12), st.sampled_from(["/", ""]))
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, pieces: list[str], joint: str) -> None:
    base = tmp_path_factory.getbasetemp() / "paths"
    if not base.exists():
        (base / "secret").mkdir(parents=True)
        (base / "secret" / "s.txt").write_bytes(SECRET)
        site = FileSite(base / "static")
        site.write("a.txt")
        site.write("d/b.txt")
        site.write(".env", SECRET)
        (base / "static" / "out").symlink_to("../secret")
        (base / "static" / "d" / "out").symlink_to("../../secret")
        (base / "static" / "abs").symlink_to(base / "secret" / "s.txt")
        (base / "static" / "up").symlink_to("..")
        (base / "static" / "proc").symlink_to("/proc")
        (base / "static" / "loop").symlink_to("loop")
    with FileSite(base / "static") as site:
        got = site.find("/static/" + joint.join(pieces))
        assert got is None or got.body == b"content"


@pytest.mark.parametrize("name", [b"", b".", b"..", b"a/b", b"/etc/passwd", b"a\0b"])
def test_the_walk_itself_takes_single_names_only(site: FileSite, name: bytes) -> None:
    tree = Tree(os.fsencode(site.root))
    with pytest.raises(OSError, match="not the name of a file"):
        tree.enter([name])
    with tree.enter([]) as directory, pytest.raises(OSError, match="not the name of a file"):
        directory.open(name)


# Dot files


@pytest.mark.parametrize("name", [".env", ".git/config", "d/.htpasswd", "d/.hidden/a.txt", "..a"])
def test_dot_files_are_not_there(site: FileSite, name: str) -> None:
    site.write(name)
    assert site.find(f"/static/{name}") is None
    assert site.find(f"/static/{name.replace('.', '%2e')}") is None


def test_well_known_is_there_at_the_root_of_the_site(tmp_path: Path) -> None:
    """RFC 8615 §3"""
    with FileSite(tmp_path / "s", prefixes=((b"/", str(tmp_path / "s")),)) as site:
        for name in (".well-known/security.txt", ".well-known/.secret", "d/.well-known/x", ".env"):
            site.write(name)
        assert site.get("/.well-known/security.txt").status == 200
        assert site.find("/.well-known/.secret") is None
        assert site.find("/d/.well-known/x") is None
        assert site.find("/.env") is None


def test_a_prefix_may_be_well_known_and_dot_files_may_be_wanted(tmp_path: Path) -> None:
    root = tmp_path / "s"
    with FileSite(root, prefixes=((b"/.well-known/acme-challenge/", str(root)),)) as site:
        site.write("token", b"t")
        assert site.get("/.well-known/acme-challenge/token").body == b"t"
    with FileSite(root, dot_files=True) as site:
        site.write(".env", b"e")
        assert site.get("/static/.env").body == b"e"


# Symbolic links


def links(site: FileSite, outside: Path) -> None:
    site.write("real/a.txt", b"in")
    rows = {
        "file": "real/a.txt",
        "directory": "real",
        "absolute": site.root / "real" / "a.txt",
        "chain": "file",
        "self": ".",
        "out-file": outside / "s.txt",
        "out-directory": outside,
        "out-chain": "out-file",
        "out-relative": "../secret/s.txt",
        "up": "..",
        "loop": "loop",
        "loop-a": "loop-b",
        "loop-b": "loop-a",
        "dangling": "absent",
        "zero": "/dev/zero",
        "etc": "/etc",
    }
    for name, target in rows.items():
        (site.root / name).symlink_to(target)
    # Names that begin alike are not inside.
    (site.root.parent / "static-2").mkdir()
    (site.root.parent / "static-2" / "s.txt").write_bytes(SECRET)
    (site.root / "sibling").symlink_to("../static-2/s.txt")


INSIDE = {
    "file": "",
    "directory": "/a.txt",
    "absolute": "",
    "chain": "",
    "self": "/real/a.txt",
    "self/self": "/file",
}
OUTSIDE = {
    "out-file": "",
    "out-directory": "/s.txt",
    "out-chain": "",
    "out-relative": "",
    "up": "/secret/s.txt",
    "sibling": "",
}
BROKEN = {
    "loop": "",
    "loop-a": "/x",
    "loop-b": "",
    "dangling": "",
    "zero": "",
    "file/x": "",
    "dangling/x": "",
}


@pytest.mark.parametrize("policy", Symlinks)
def test_symlinks_by_policy(tmp_path: Path, site: FileSite, policy: Symlinks) -> None:
    links(site, tmp_path / "secret")
    with FileSite(site.root, symlinks=policy) as linked, within(10):
        for name, rest in INSIDE.items():
            got = linked.find(f"/static/{name}{rest}")
            assert (got is not None and got.body == b"in") == (policy is not Symlinks.NEVER), name
        for name, rest in OUTSIDE.items():
            got = linked.find(f"/static/{name}{rest}")
            assert (got is not None and got.body == SECRET) == (policy is Symlinks.ALWAYS), name
        for name, rest in BROKEN.items():
            assert linked.find(f"/static/{name}{rest}") is None, name
        assert linked.get("/static/real/a.txt").body == b"in"


def test_the_chain_of_a_thousand_links(site: FileSite) -> None:
    for number in range(1000):
        (site.root / f"link{number}").symlink_to(f"link{number + 1}")
    site.write("link1000")
    assert site.find("/static/link0") is None  # the kernel follows 40
    assert site.get("/static/link990").status == 200


def test_a_link_may_end_in_another_root(tmp_path: Path) -> None:
    prefixes = ((b"/static/", str(tmp_path / "s")), (b"/media/", str(tmp_path / "m")))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.txt").write_text("media")
    with FileSite(tmp_path / "s", prefixes=prefixes) as site:
        (site.root / "a.txt").symlink_to("../m/a.txt")
        (site.root / "m").symlink_to("../m")
        assert site.get("/static/a.txt").body == b"media"
        assert site.get("/static/m/a.txt").body == b"media"


def test_a_root_may_be_a_link_that_is_switched(tmp_path: Path) -> None:
    for release in ("1", "2"):
        (tmp_path / "releases" / release / "static").mkdir(parents=True)
        (tmp_path / "releases" / release / "static" / "a.txt").write_text(release)
    current = tmp_path / "current"
    current.symlink_to("releases/1")
    with FileSite(tmp_path / "x", prefixes=((b"/static/", str(current / "static")),)) as site:
        (tmp_path / "releases" / "1" / "static" / "link").symlink_to("a.txt")
        first = site.get("/static/a.txt")
        assert (first.body, site.get("/static/link").body) == (b"1", b"1")
        (tmp_path / "new").symlink_to("releases/2")
        (tmp_path / "new").rename(current)
        assert site.get("/static/a.txt").body == b"2"


def test_the_layout_of_a_mounted_config_map(site: FileSite) -> None:
    """Names that are links into a hidden directory: Kubernetes. Dot files are a matter of the URL."""
    site.write("..2026_11_24/app.js", b"1")
    (site.root / "..data").symlink_to("..2026_11_24")
    (site.root / "app.js").symlink_to("..data/app.js")
    assert site.get("/static/app.js").body == b"1"
    assert site.find("/static/..data/app.js") is None


SWAPPER = """
import os, sys
root, secret = sys.argv[1:]
os.chdir(root)
os.symlink(secret, "to-secret"); os.symlink("real", "to-real")
print("ready", flush=True)
while os.getppid() == int(os.environ["PARENT"]):
    os.rename("to-secret", "swapped"); os.symlink(secret, "to-secret")
    os.rename("to-real", "swapped"); os.symlink("real", "to-real")
    os.unlink("swapped"); os.rename("real", "swapped"); os.rename("swapped", "real")
"""


@pytest.mark.parametrize("policy", [Symlinks.INSIDE, Symlinks.NEVER])
def test_a_link_that_is_swapped_all_the_time(tmp_path: Path, site: FileSite, policy: Symlinks) -> None:
    """Between every two system calls of ours `swapped` may become a directory, a link inward, a link out."""
    site.write("real/s.txt", b"in")
    seen: set[bytes | None] = set()
    command = [sys.executable, "-c", SWAPPER, str(site.root), str(tmp_path / "secret")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, env={**os.environ, "PARENT": str(os.getpid())}
    ) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            with FileSite(site.root, symlinks=policy) as linked:
                # On a busy machine the two of us may take turns rarely.
                for turn in range(200_000):
                    if turn >= 5000 and len(seen) == 2:
                        break
                    got = linked.find("/static/swapped/s.txt")
                    seen.add(None if got is None else got.body)
        finally:
            swapper.kill()
    assert seen == {b"in", None}


# What isn't a file


def test_nothing_but_regular_files(site: FileSite) -> None:
    os.mkfifo(site.root / "fifo")
    listener = socket.socket(socket.AF_UNIX)
    with listener, within(5):
        here = os.getcwd()
        os.chdir(site.root)  # the path of a socket is short
        listener.bind("socket")
        os.chdir(here)
        (site.root / "to-fifo").symlink_to("fifo")
        if os.geteuid() == 0:
            os.mknod(site.root / "null", 0o644 | 0o020000, os.makedev(1, 3))
        for name in ("fifo", "socket", "to-fifo", "null", "fifo/x", "d"):
            assert site.find(f"/static/{name}") is None, name
        site.write("f.css")
        os.mkfifo(site.root / "f.css.br")
        assert site.get("/static/f.css", accept_encoding="br").body == b"content"


# What can't be read


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A directory that anybody may enter, and not being root, whom no mode stops."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        root = os.geteuid() == 0
        try:
            yield Path(name)
        finally:
            if root:
                os.seteuid(0)


def drop() -> None:
    if os.geteuid() == 0:
        os.seteuid(65534)


def test_files_that_may_not_be_read() -> None:
    with unprivileged() as base, FileSite(base / "static") as site:
        site.root.chmod(0o755)
        for name in ("private.txt", "locked/a.txt", "blind/a.txt", "a.css", "a.css.br"):
            site.write(name)
            (site.root / name).parent.chmod(0o755)
        (site.root / "private.txt").chmod(0)
        (site.root / "a.css.br").chmod(0)
        (site.root / "locked").chmod(0)
        (site.root / "blind").chmod(0o711)  # may be entered, not listed
        drop()
        for path in ("/static/private.txt", "/static/locked/a.txt"):
            got = site.get(path)
            assert (got.status, got.reason, got.body) == (403, "file-forbidden", b"")
        assert site.get("/static/blind/a.txt").status == 200
        assert site.get("/static/a.css", accept_encoding="br").body == b"content"
        locked = str(site.root / "locked")
        assert check(StaticOptions(((b"/s/", locked),))) == [f"--static /s/={locked}: Permission denied"]


def test_no_descriptors_left(site: FileSite) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    try:
        for spare in range(3):
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + spare, hard))
            got = site.get("/static/d/b.txt")
            assert (got.status, got.reason) in {(503, "file-unreadable"), (200, "whole")}
            assert spare > 0 or (got.status, got["cache-control"]) == (503, "no-store")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert site.get("/static/d/b.txt").status == 200
