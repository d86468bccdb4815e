"""The supervisor's life: it starts, keeps its processes running, answers about them, and stops.

The program is the real one; the workers are `support.tiny_worker`.
"""

import concurrent.futures
import os
import select
import signal
import socket
import sys
from pathlib import Path

import pytest

from support.uncork_process import ORIGIN_SCRIPT, PATIENCE, REAL, Uncork, free_port, run_uncork
from uncork.edge.control import ask_supervisor, total
from uncork.edge.statedir import StateDirError


@pytest.fixture
def origin_cmd(tmp_path: Path) -> str:
    script = tmp_path / "origin_script.py"
    script.write_text(ORIGIN_SCRIPT)
    return f"{sys.executable} -S {script} {{socket}}"


def serve(tmp_path: Path, *more: str, **environment: str) -> Uncork:
    """A supervisor with an origin that nobody asks."""
    return Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "2", "--origin", "http://127.0.0.1:1"),
        *more,
        cwd=tmp_path,
        environment=environment,
    )


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pid: int) -> None:
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([fd], [], [], PATIENCE)[0], f"process {pid} runs on"
    finally:
        os.close(fd)


def test_workers_are_told_all_and_share_one_port(tmp_path: Path) -> None:
    with serve(tmp_path, "--fields", "7", "--static", f"/files={tmp_path}") as uncork:
        status = uncork.status(tmp_path / ".uncork")
        assert status["state"] == "running"
        assert status["addresses"] == [uncork.address]
        assert [worker["index"] for worker in status["workers"]] == [0, 1]
        assert all(worker["state"] == "ready" for worker in status["workers"])
        assert status["workers"][0]["snapshot"]["limits"] == {"fields": 7}
        assert status["workers"][0]["snapshot"]["static"] == [f"/files/={tmp_path}"]
        answered = [uncork.get().split() for _ in range(40)]
        assert {answer[0] for answer in answered} == {"0", "1"}
        assert {answer[3] for answer in answered} == {"http://127.0.0.1:1"}
        assert uncork.status(tmp_path / ".uncork")["totals"]["requests"] == 40
        assert uncork.stop() == 0
        with pytest.raises(ConnectionRefusedError):
            uncork.get()
    assert not (tmp_path / ".uncork" / "control.sock").exists()


def test_the_state_directory_is_for_its_owner_and_for_one_supervisor(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork:
        state_dir = tmp_path / ".uncork"
        assert state_dir.stat().st_mode & 0o777 == 0o700
        assert (state_dir / "control.sock").stat().st_mode & 0o777 == 0o600
        second = run_uncork(
            *("serve", "--bind", "127.0.0.1:0", "--origin", "http://127.0.0.1:1"), cwd=tmp_path
        )
        assert second.returncode == 2
        assert f"in use by another supervisor (process {uncork.process.pid})" in second.stderr
        assert uncork.get()


def test_a_long_state_directory_is_no_obstacle(tmp_path: Path) -> None:
    state_dir = tmp_path / ("long" * 30)
    with serve(tmp_path, "--state-dir", str(state_dir)) as uncork:
        assert uncork.get()
        assert uncork.status(state_dir)["state"] == "running"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_open_requests_finish(tmp_path: Path, number: int) -> None:
    with serve(tmp_path) as uncork, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = [pool.submit(uncork.get, "/slow/0.4") for _ in range(4)]
        for _ in slow:
            uncork.wait_for("slow request is under way")
        status = uncork.status(tmp_path / ".uncork")
        workers = [worker["pid"] for worker in status["workers"]]
        assert uncork.stop(number) == 0
        assert all(future.result() for future in slow)
        assert not any(is_running(pid) for pid in workers)


def test_a_stop_does_not_wait_for_ever(tmp_path: Path) -> None:
    with serve(tmp_path, "--grace", "100ms") as uncork, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(uncork.get, "/slow/30")
        uncork.wait_for("slow request is under way")
        assert uncork.stop() == 0
        assert isinstance(slow.exception(), OSError)


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(uncork.get, "/slow/30")
        uncork.wait_for("slow request is under way")
        pids = [worker["pid"] for worker in uncork.status(tmp_path / ".uncork")["workers"]]
        uncork.send(signal.SIGTERM)
        uncork.wait_for("stopping")
        assert uncork.stop() == 143
        assert isinstance(slow.exception(), OSError)
        for pid in pids:
            wait_until_gone(pid)


def test_a_crashed_worker_is_replaced_and_its_queue_is_kept(tmp_path: Path) -> None:
    with serve(tmp_path, "--workers", "1") as uncork, concurrent.futures.ThreadPoolExecutor(20) as pool:
        (before,) = uncork.status(tmp_path / ".uncork")["workers"]
        with pytest.raises(OSError):
            uncork.get("/crash")
        uncork.wait_for(rf"worker 0 \(process {before['pid']}\) exited with status 3; replacing it now")
        # Some of these wait in the queue of the listening socket until the replacement is there.
        assert all(pool.map(lambda _: uncork.get(), range(20)))
        (after,) = uncork.status(tmp_path / ".uncork")["workers"]
        assert after["restarts"] == 1 and after["pid"] != before["pid"]


def test_workers_drain_when_the_supervisor_is_killed(tmp_path: Path, origin_cmd: str) -> None:
    with Uncork("serve", "--bind", "127.0.0.1:0", "--origin-cmd", origin_cmd, cwd=tmp_path) as uncork:
        status = uncork.status(tmp_path / ".uncork")
        assert uncork.stop(signal.SIGKILL) == -signal.SIGKILL
        for pid in [status["origins"][0]["pid"], *(worker["pid"] for worker in status["workers"])]:
            wait_until_gone(pid)
    # What it left behind is no obstacle to the next.
    with Uncork("serve", "--bind", "127.0.0.1:0", "--origin-cmd", origin_cmd, cwd=tmp_path) as uncork:
        assert uncork.get()


def test_logs_are_opened_anew(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork:
        uncork.send(signal.SIGUSR1)
        said = {uncork.wait_for("opened the logs anew").string for _ in range(2)}
        assert said == {"worker 0: opened the logs anew", "worker 1: opened the logs anew"}


def test_a_log_that_can_not_be_opened_anew_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "access.log"
    log.parent.mkdir()
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--workers", "1", "--origin", "http://127.0.0.1:1"),
        *("--static", f"/files={tmp_path}", "--access-log", str(log)),
        cwd=tmp_path,
        program=REAL,
    ) as uncork:
        log.parent.rename(tmp_path / "moved")
        uncork.send(signal.SIGUSR1)
        uncork.wait_for(
            f"worker 0: can't open the access log {log}, and go on with the old one: No such file"
        )
        (tmp_path / "a.txt").write_text("a")
        assert uncork.get("/files/a.txt") == "a"
        (worker,) = uncork.status(tmp_path / ".uncork")["workers"]
        assert worker["snapshot"]["requests"] == 1
        assert uncork.stop() == 0
    assert "GET /files/a.txt" in (tmp_path / "moved" / "access.log").read_text()


def test_workers_that_do_not_start_end_it(tmp_path: Path) -> None:
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--origin", "http://127.0.0.1:1"),
        cwd=tmp_path,
        environment={"TINY_WORKER_FAILS": str(tmp_path)},
        wait=False,
    ) as uncork:
        uncork.wait_for(r"uncork: worker \d \(process \d+\) exited with status 1")
        assert uncork.process.wait(PATIENCE) == 2


# The origin


def test_the_origin_is_shown_and_healthy_before_anything_is_ready(tmp_path: Path, origin_cmd: str) -> None:
    with Uncork("serve", "--bind", "127.0.0.1:0", "--origin-cmd", origin_cmd, cwd=tmp_path) as uncork:
        assert "origin: origin script listens" in uncork.lines
        (origin,) = uncork.status(tmp_path / ".uncork")["origins"]
        assert origin["state"] == "healthy"
        assert origin["address"] == uncork.get().split()[3]
        assert uncork.stop() == 0
        wait_until_gone(origin["pid"])
        assert not os.path.exists(origin["address"].removeprefix("http+unix:"))


def test_a_crashed_origin_is_started_again_at_the_same_address(tmp_path: Path, origin_cmd: str) -> None:
    with Uncork("serve", "--bind", "127.0.0.1:0", "--origin-cmd", origin_cmd, cwd=tmp_path) as uncork:
        (before,) = uncork.status(tmp_path / ".uncork")["origins"]
        os.kill(before["pid"], signal.SIGKILL)
        uncork.wait_for(
            rf"the origin \(process {before['pid']}\) was killed by SIGKILL; starting it again now"
        )
        uncork.wait_for("the origin answers again")
        (after,) = uncork.status(tmp_path / ".uncork")["origins"]
        assert after["address"] == before["address"]
        assert after["state"] == "healthy" and after["restarts"] == 1
        assert uncork.get()
        (tmp_path / "answers").write_text("500")
        os.kill(after["pid"], signal.SIGKILL)
        uncork.wait_for("the origin answers again, but / answers 500$")
        assert uncork.status(tmp_path / ".uncork")["origins"][0]["state"] == "failing"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("sh -c 'echo no luck; exit 7' {socket}", "the origin exited with status 7 before it answered"),
        ("sh -c 'sleep 60' {socket}", "the origin runs and doesn't answer"),
    ],
)
def test_an_origin_that_does_not_come_up(tmp_path: Path, command: str, said: str) -> None:
    found = run_uncork(
        *("serve", "--bind", "127.0.0.1:0", "--origin-cmd", command, "--origin-start", "400ms"), cwd=tmp_path
    )
    assert found.returncode == 2
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_a_signal_while_it_starts_stops_it(tmp_path: Path) -> None:
    with Uncork(
        *("serve", "--bind", "127.0.0.1:0", "--origin-cmd", "sh -c 'echo begun; exec sleep 60' {socket}"),
        cwd=tmp_path,
        wait=False,
    ) as uncork:
        uncork.wait_for("origin: begun")
        assert uncork.stop() == 0


# Addresses


def test_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "u.sock"
    with serve(tmp_path, "--bind", f"unix:{path}", "--bind", f"127.0.0.1:{free_port()}") as uncork:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(PATIENCE)
            client.connect(str(path))
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert client.recv(65536).startswith(b"HTTP/1.1 200")
        assert uncork.stop() == 0
    assert not path.exists()


def test_a_port_in_use(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork:
        found = run_uncork(
            *("serve", "--origin", "http://127.0.0.1:1", "--bind", uncork.address, "--state-dir", "other"),
            cwd=tmp_path,
        )
        assert found.returncode == 2
        assert found.stderr == (
            f"uncork: can't listen on {uncork.address}: another process listens there already\n"
        )


def test_the_control_socket_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    place = tmp_path / ".uncork"
    with serve(tmp_path):
        with pytest.raises(StateDirError, match="say one of marks, status"):
            ask_supervisor(place, "dance")
        for keys in (7, None, "ab", ["ab", "", None, 3, "Z" * 32, "a" * 32 + "\n"]):
            assert not any(ask_supervisor(place, "marks", keys=keys)["marks"])
        assert ask_supervisor(place, "status")["status"]["workers"]


def test_totals_add_what_is_a_number() -> None:
    first = {"a": 1, "b": {"c": 0.5}, "d": "text", "e": True}
    assert total([first, None, {"a": 2, "b": {"c": 1, "f": 3}}]) == {"a": 3, "b": {"c": 1.5, "f": 3}}
