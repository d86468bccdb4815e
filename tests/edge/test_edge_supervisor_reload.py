"""SIGHUP: one generation of workers and origin follows another, and no request is lost.

The program is the real one; the workers are `support.tiny_worker`.
"""

import concurrent.futures
import os
import select
import signal
import sys
import threading
from pathlib import Path

import pytest

from support.uncork_process import ORIGIN_SCRIPT, PATIENCE, Uncork, free_port, run_uncork


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "origin_script.py").write_text(ORIGIN_SCRIPT)
    path = tmp_path / "uncork.toml"
    write(path)
    return path


def write(
    path: Path,
    *,
    workers: int = 2,
    bind: str = "127.0.0.1:0",
    script: str = "origin_script.py",
    log: str = "off",
) -> None:
    path.write_text(
        f'[server]\nworkers = {workers}\nbind = ["{bind}"]\n'
        f"[origin]\ncommand = \"{sys.executable} -S {path.parent / script} {{socket}}\"\nstart = '5s'\n"
        f"[log]\naccess = '{log}'\n"
    )


def test_no_request_is_lost(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        over = threading.Event()
        generations: set[str] = set()

        def load() -> int:
            sent = 0
            while not over.is_set():
                generations.add(uncork.get("/slow/0.01" if sent % 5 == 0 else "/").split()[1])
                sent += 1
            return sent

        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            clients = [pool.submit(load) for _ in range(8)]
            for _ in range(4):
                uncork.send(signal.SIGHUP)
                uncork.wait_for("uncork: reloaded")
            over.set()
            assert all(client.result() > 0 for client in clients)
        assert generations >= {"2", "3", "4"}
        assert uncork.get().split()[1] == "5"


def test_a_new_origin_takes_over_and_the_old_one_stops(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        before = uncork.get().split()
        (old,) = uncork.status(tmp_path / ".uncork")["origins"]
        gone = os.pidfd_open(old["pid"])
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded")
        after = uncork.get().split()
        assert after[1:3] != before[1:3]
        assert after[3] != before[3]
        assert select.select([gone], [], [], PATIENCE)[0]
        os.close(gone)
        new = uncork.status(tmp_path / ".uncork")["origins"][0]
        assert new["address"] == after[3] and new["pid"] != old["pid"]


def test_an_open_request_is_finished_by_the_old_worker(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(uncork.get, "/slow/1")
        uncork.wait_for("slow request is under way")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded")
        status = uncork.status(tmp_path / ".uncork")
        if not slow.done():  # the old generation is there as long as it has something to do
            assert {worker["generation"] for worker in status["workers"]} == {1, 2}
            assert len(status["origins"]) == 2
        assert uncork.get().split()[1] == "2"
        assert slow.result().split()[1] == "1"


def test_a_stop_waits_for_old_generations_too(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork, concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(uncork.get, "/slow/1.5")
        uncork.wait_for("slow request is under way")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded")
        assert uncork.stop() == 0
        assert slow.result().split()[1] == "1"


@pytest.mark.parametrize("workers", [1, 4])
def test_more_and_fewer_workers(tmp_path: Path, config: Path, workers: int) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        address = uncork.address
        write(config, workers=workers)
        uncork.send(signal.SIGHUP)
        assert uncork.wait_for(r"uncork: reloaded: http://(\S+)")[1] == address
        # Every socket of the port has a worker that accepts.
        assert {uncork.get().split()[0] for _ in range(60)} == {str(index) for index in range(workers)}


def test_another_address(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        old = uncork.address
        new = f"127.0.0.1:{free_port()}"
        write(config, bind=new)
        uncork.send(signal.SIGHUP)
        assert uncork.wait_for(r"uncork: reloaded: http://(\S+)")[1] == new
        uncork.address = new
        assert uncork.get()
        # The old workers let go of it, and nobody listens there any more.
        uncork.address = old
        with pytest.raises(OSError):
            for _ in range(1000):
                uncork.get(timeout=0.5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"script": "missing.py"}, "the origin exited with status 2 before it answered"),
        ({"workers": 0}, r"uncork.toml, line 2: server.workers: 0 is not a whole number from 1 up"),
        ({"bind": "192.0.2.1:80"}, "this machine has no such address"),
        ({"log": "/nowhere/a.log"}, "can't write the access log /nowhere/a.log: No such file or directory"),
    ],
    ids=["origin", "configuration", "address", "log"],
)
def test_what_is_bad_leaves_the_old_ones_running(
    tmp_path: Path, config: Path, change: dict[str, object], said: str
) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        before = uncork.get().split()
        write(config, **change)  # type: ignore[arg-type]
        uncork.send(signal.SIGHUP)
        uncork.wait_for(said)
        uncork.wait_for("not reloaded: what ran before goes on running")
        uncork.wait_for("uncork: running as before")
        assert uncork.get().split()[1] == before[1] == "1"
        status = uncork.status(tmp_path / ".uncork")
        assert status["state"] == "running" and len(status["origins"]) == 1

        write(config)
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded")
        assert uncork.get().split()[1] != "1"


def test_an_origin_that_fails_does_not_follow_one_that_does_not(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        (tmp_path / "answers").write_text("503")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("the new origin is up, but / answers 503, and the old one's answer was no 5xx")
        uncork.wait_for("not reloaded: what ran before goes on running")
        assert uncork.wait_for("uncork: running as before")[0] == "uncork: running as before"
        assert uncork.get().split()[1] == "1"
        (origin,) = uncork.status(tmp_path / ".uncork")["origins"]
        assert origin["state"] == "healthy" and origin["probe"] == {"path": "/", "status": 200}

        (tmp_path / "answers").write_text("404")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded: ")


def test_the_health_check_may_ask_for_another_path(tmp_path: Path, config: Path) -> None:
    (tmp_path / "answers").write_text("404")
    config.write_text(config.read_text().replace("[origin]", "[origin]\nprobe = '/up?x=1'"))
    with Uncork("serve", cwd=tmp_path, wait=False) as uncork:
        uncork.wait_for(
            r"uncork: the health check, GET /up\?x=1, was answered 404: a sign of life and no fault"
        )
        uncork.wait_for("uncork: ready: ")
        (origin,) = uncork.status(tmp_path / ".uncork")["origins"]
        assert origin["state"] == "healthy" and origin["probe"] == {"path": "/up?x=1", "status": 404}
        assert (tmp_path / "asked").read_bytes().startswith(b"GET /up?x=1 HTTP/1.1\r\n")
        (tmp_path / "answers").write_text("500")
        uncork.send(signal.SIGHUP)
        uncork.wait_for(r"the new origin is up, but /up\?x=1 answers 500")


def test_an_origin_that_fails_may_follow_one_that_does(tmp_path: Path, config: Path) -> None:
    (tmp_path / "answers").write_text("500")
    with Uncork("serve", cwd=tmp_path, wait=False) as uncork:
        uncork.wait_for("uncork: ready, but / answers 500: http://127.0.0.1:")
        (origin,) = uncork.status(tmp_path / ".uncork")["origins"]
        assert origin["state"] == "failing" and origin["probe"]["status"] == 500
        assert "failing (/ answered 500 when it started)" in run_uncork("status", cwd=tmp_path).stdout
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded, but / answers 500: http://127.0.0.1:")
        (tmp_path / "answers").write_text("200")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("uncork: reloaded: http://127.0.0.1:")


def test_workers_that_do_not_start_leave_the_old_ones_running(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        config.write_text(config.read_text() + "[limits]\nfields = 13\n")  # tiny_worker's bad luck
        uncork.send(signal.SIGHUP)
        uncork.wait_for(r"worker \d \(process \d+\) exited with status 1")
        uncork.wait_for("uncork: running as before")
        assert uncork.get().split()[1] == "1"
        status = uncork.status(tmp_path / ".uncork")
        assert {worker["generation"] for worker in status["workers"]} == {1}
        assert len(status["origins"]) == 1


def test_a_stop_while_it_reloads(tmp_path: Path, config: Path) -> None:
    (tmp_path / "mute.py").write_text("print('mute', flush=True)\nimport time\ntime.sleep(60)\n")
    with Uncork("serve", cwd=tmp_path) as uncork:
        write(config, script="mute.py")
        uncork.send(signal.SIGHUP)
        uncork.wait_for("origin: mute")
        assert uncork.get().split()[1] == "1"
        assert uncork.stop() == 0


def test_the_state_directory_stays(tmp_path: Path, config: Path) -> None:
    with Uncork("serve", cwd=tmp_path) as uncork:
        config.write_text(config.read_text().replace("[server]", '[server]\nstate-dir = "other"'))
        uncork.send(signal.SIGHUP)
        uncork.wait_for("the state directory stays .*/.uncork until a restart")
        uncork.wait_for("uncork: running as before")
        assert not (tmp_path / "other").exists()
