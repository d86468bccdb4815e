"""What systemd and the supervisor say to each other: notifications, the watchdog, inherited sockets.

Source: sd_notify(3), sd_listen_fds(3)
"""

import os
import secrets
import signal
import socket
import sys
from pathlib import Path

import pytest

from support.uncork_process import PATIENCE, TINY, Uncork, run_uncork
from uncork.edge.systemd import Notifier, inherited_sockets

SERVE = ("serve", "--origin", "http://127.0.0.1:1", "--bind", "127.0.0.1:0")


def listening(address: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.settimeout(PATIENCE)
    sock.bind(address)
    return sock


@pytest.mark.parametrize("abstract", [False, True])
def test_it_tells_how_it_goes(tmp_path: Path, abstract: bool) -> None:
    name = f"uncork-test-{secrets.token_hex(8)}" if abstract else str(tmp_path / "notify")
    variable = f"@{name}" if abstract else name
    with (
        listening(f"\0{name}" if abstract else name) as manager,
        Uncork(*SERVE, cwd=tmp_path, environment={"NOTIFY_SOCKET": variable}) as uncork,
    ):
        assert manager.recv(4096).decode() == f"READY=1\nSTATUS=ready: http://{uncork.address}"
        uncork.send(signal.SIGHUP)
        reloading = manager.recv(4096).decode().splitlines()
        assert reloading[0] == "RELOADING=1"
        assert reloading[1].startswith("MONOTONIC_USEC=") and reloading[1][15:].isdigit()
        assert manager.recv(4096).startswith(b"READY=1\nSTATUS=reloaded: ")
        assert uncork.stop() == 0
        assert manager.recv(4096).startswith(b"STOPPING=1\n")


def test_the_watchdog_is_fed(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "100000"}
    with (
        listening(str(tmp_path / "notify")) as manager,
        Uncork(*SERVE, cwd=tmp_path, environment=environment),
    ):
        fed = 0
        while fed < 3:
            fed += manager.recv(4096) == b"WATCHDOG=1"


def test_the_watchdog_is_not_fed_while_no_worker_can_be_had(tmp_path: Path) -> None:
    """As after an upgrade under a running supervisor, whose new workers don't understand it: a start anew
    by the service manager helps."""
    fails = tmp_path / "fails"
    environment = {
        "NOTIFY_SOCKET": str(tmp_path / "notify"),
        "WATCHDOG_USEC": "100000",
        "TINY_WORKER_FAILS": str(fails),
    }
    with (
        listening(str(tmp_path / "notify")) as manager,
        Uncork(*SERVE, "--workers", "1", cwd=tmp_path, environment=environment) as uncork,
    ):
        fails.touch()
        with pytest.raises(OSError):
            uncork.get("/crash")
        uncork.wait_for("replacing it in 0.5 s")
        manager.setblocking(False)
        with pytest.raises(BlockingIOError):
            while manager.recv(4096):
                pass
        uncork.wait_for("replacing it in 1 s")
        with pytest.raises(BlockingIOError):
            manager.recv(4096)
        fails.unlink()
        manager.settimeout(PATIENCE)
        assert manager.recv(4096) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_how_often_the_watchdog_is_fed(environment: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environment).watchdog_seconds == seconds


def test_no_manager_is_no_reason_to_fail(tmp_path: Path) -> None:
    Notifier({}).ready("fine")
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready("fine")


# Becomes `uncork` in the way of systemd: LISTEN_PID is the process itself, and the sockets begin at 3.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_an_inherited_socket_is_shared_by_all_workers(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        program = (sys.executable, "-c", ACTIVATE, str(sock.fileno()), *TINY)
        with Uncork(*SERVE, cwd=tmp_path, program=program, pass_fds=[sock.fileno()]) as uncork:
            assert uncork.address == f"127.0.0.1:{sock.getsockname()[1]}"
            status = uncork.status(tmp_path / ".uncork")
            assert status["addresses"] == [uncork.address]
            assert {uncork.get().split()[0] for _ in range(200)} == {"0", "1"}
            uncork.send(signal.SIGHUP)
            uncork.wait_for("reloaded")
            assert uncork.get().split()[1] == "2"
            assert uncork.stop() == 0
        # The service manager still holds it: what comes now waits for the next start.
        socket.create_connection(sock.getsockname(), timeout=PATIENCE).close()


def test_a_socket_that_does_not_listen_is_refused(tmp_path: Path) -> None:
    with socket.socket() as sock:
        program = (sys.executable, "-c", ACTIVATE, str(sock.fileno()), *TINY)
        with Uncork(*SERVE, cwd=tmp_path, program=program, pass_fds=[sock.fileno()], wait=False) as uncork:
            uncork.wait_for("uncork: the inherited descriptor 3 is not a listening stream socket")
            assert uncork.process.wait(PATIENCE) == 2


def test_sockets_of_another_process_are_not_taken() -> None:
    assert inherited_sockets({"LISTEN_PID": "1", "LISTEN_FDS": "1"}) == []
    assert inherited_sockets({}) == []


def test_children_do_not_speak_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(
        "import os; print('sees', [n for n in os.environ if n.startswith(('NOTIFY_', 'WATCHDOG_'))])"
    )
    found = run_uncork(
        *("serve", "--bind", "127.0.0.1:0", "--origin-cmd", f"{sys.executable} show.py {{socket}}"),
        cwd=tmp_path,
        NOTIFY_SOCKET=str(tmp_path / "notify"),
        WATCHDOG_USEC="1000000",
    )
    assert "origin: sees []" in found.stderr
