"""The real Uncork in front of the applications of these tests."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from support import rows_app
from support.uncork_process import REAL, Uncork

SUPPORT = Path(__file__).parent


@contextmanager
def rows_site(directory: Path, *, rows: int, workers: int) -> Iterator[Uncork]:
    """`support.rows_app` with so many rows, behind so many workers; state in `directory`/state."""
    rows_app.create(directory / "rows.sqlite", rows)
    with running_site(directory, workers=workers) as uncork:
        yield uncork


@contextmanager
def running_site(directory: Path, *, workers: int) -> Iterator[Uncork]:
    """The same, with the rows and the state that are there already."""
    arguments = (
        *("serve", "support.rows_app:application", "--bind", "127.0.0.1:0"),
        *("--state-dir", str(state_of(directory)), "--workers", str(workers), "--origin-workers", "2"),
    )
    path = os.pathsep.join([str(SUPPORT.parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {"PYTHONPATH": path, "ROWS_DB": str(directory / "rows.sqlite")}
    with Uncork(*arguments, cwd=directory, program=REAL, environment=environment) as uncork:
        yield uncork


def state_of(directory: Path) -> Path:
    return directory / "state"


def worker_pids(uncork: Uncork, directory: Path) -> list[int]:
    """The processes of the newest generation's workers that run."""
    status = uncork.status(state_of(directory))
    newest = status["generation"]
    return [
        worker["pid"]
        for worker in status["workers"]
        if worker["pid"] is not None and worker["generation"] == newest
    ]


def origin_pid(uncork: Uncork, directory: Path) -> int | None:
    """The process of the origin that was started last."""
    origins: list[dict[str, Any]] = uncork.status(state_of(directory))["origins"]
    pid = origins[0]["pid"]
    return int(pid) if pid is not None else None


def kill(pid: int | None) -> None:
    """SIGKILL, if it is still there."""
    if pid is not None:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
