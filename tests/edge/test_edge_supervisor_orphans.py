"""An origin of several processes: what becomes of the others when the first one dies.

The program is the real one; the workers are `support.tiny_worker`.
"""

import os
import select
import signal
import sys
from pathlib import Path

from support.uncork_process import ORIGIN_SCRIPT, PATIENCE, Uncork

# Its child holds the socket and the output, and hears of no signal but SIGKILL: like a worker of gunicorn's
# that finishes what it does before it believes that its master is gone.
WITH_A_CHILD = ORIGIN_SCRIPT.replace(
    'print("origin script listens"',
    """if (child := os.fork()) == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
print(f"child {child}", flush=True)
print("origin script listens\"""",
)


def serve(tmp_path: Path) -> Uncork:
    script = tmp_path / "origin_script.py"
    script.write_text(WITH_A_CHILD)
    command = f"{sys.executable} -S {script} {{socket}}"
    return Uncork("serve", "--bind", "127.0.0.1:0", "--origin-cmd", command, "--grace", "5s", cwd=tmp_path)


def wait_until_gone(fd: int) -> None:
    assert select.select([fd], [], [], PATIENCE)[0]
    os.close(fd)


def child_of(uncork: Uncork) -> int:
    (said,) = (line for line in reversed(uncork.lines) if line.startswith("origin: child "))
    return os.pidfd_open(int(said.split()[-1]))


def test_a_killed_origin_takes_its_children_along(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork:
        child = child_of(uncork)
        (origin,) = uncork.status(tmp_path / ".uncork")["origins"]
        os.kill(origin["pid"], signal.SIGKILL)
        uncork.wait_for("was killed by SIGKILL; starting it again now")
        uncork.wait_for("the origin answers again")
        wait_until_gone(child)


def test_nothing_is_left_of_an_origin_that_stopped(tmp_path: Path) -> None:
    with serve(tmp_path) as uncork:
        child = child_of(uncork)
        assert uncork.stop() == 0
        wait_until_gone(child)
