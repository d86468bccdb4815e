"""The real `uncork` in a process of its own, for tests that look at it from outside."""

import http.client
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from uncork.edge.control import ask_supervisor

TINY = (sys.executable, str(Path(__file__).with_name("uncork_with_tiny_workers.py")))
REAL = (sys.executable, "-m", "uncork")

# Far more than anything takes on a busy machine; a test that fails waits so long.
PATIENCE = 30.0

# An origin for --origin-cmd that starts fast: it answers "origin PID" to anything, with the status that is in
# the file `answers` of its directory, or 200. What it was asked last is in `asked`.
ORIGIN_SCRIPT = """
import os, signal, socket, sys
sock = socket.socket(socket.AF_UNIX)
sock.bind(sys.argv[1])
sock.listen(64)
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print("origin script listens", flush=True)
while True:
    connection, _ = sock.accept()
    open("asked", "wb").write(connection.recv(65536))
    body = b"origin %d" % os.getpid()
    status = int(open("answers").read()) if os.path.exists("answers") else 200
    head = b"HTTP/1.1 %d X\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n"
    connection.sendall(head % (status, len(body)) + body)
    connection.close()
"""


def clean_environment(**more: str) -> dict[str, str]:
    """Ours, without what would be an option of a supervisor."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("UNCORK_", "LISTEN_", "DJANGO_")) and name != "NOTIFY_SOCKET"
    }
    return {**kept, "PYTHONWARNINGS": "", **more}


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def run_uncork(
    *arguments: str, cwd: Path, program: Sequence[str] = REAL, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*program, *arguments],
        cwd=cwd,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )


class Uncork:
    """A running `uncork`; its standard error is read line by line as it comes.

    with Uncork("serve", "--bind", "127.0.0.1:0", cwd=tmp_path) as uncork:
        uncork.get("/")
    """

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        program: Sequence[str] = TINY,
        environment: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
        wait: bool = True,
    ) -> None:
        self.lines: list[str] = []
        self._queue: queue.Queue[str | None] = queue.Queue()
        self.process = subprocess.Popen(
            [*program, *arguments],
            cwd=cwd,
            env=clean_environment(**(environment or {})),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.address = ""
        if wait:
            try:
                self.address = self.wait_for(r"uncork: ready: (?:http://)?([^ ,]+)")[1]
            except BaseException:
                self.end()
                raise

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._queue.put(line.rstrip("\n"))
        self._queue.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line, from the first not yet looked at, in which the pattern is found."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"never said {pattern!r}:\n" + "\n".join(self.lines)) from None
            if line is None:
                raise AssertionError(f"ended without {pattern!r}:\n" + "\n".join(self.lines))
            self.lines.append(line)
            if (found := re.search(pattern, line)) is not None:
                return found

    def get(self, path: str = "/", timeout: float = PATIENCE) -> str:
        """The body of a response, over a connection of its own."""
        host, _, port = self.address.rpartition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=timeout)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read().decode()
            assert response.status == 200, (response.status, body)
            return body
        finally:
            connection.close()

    def status(self, state_dir: Path) -> dict[str, Any]:
        """What `uncork status --json` would print."""
        status = ask_supervisor(state_dir, "status")["status"]
        assert isinstance(status, dict)
        return status

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Have it stop; its exit status."""
        self.send(number)
        code = self.process.wait(PATIENCE)
        self._finish()
        return code

    def end(self) -> None:
        """Leave nothing running, whatever happened."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._finish()

    def _finish(self) -> None:
        self._reader.join(PATIENCE)
        assert self.process.stderr is not None
        self.process.stderr.close()
        while True:
            try:
                line = self._queue.get_nowait()
            except queue.Empty:
                return
            if line is not None:
                self.lines.append(line)

    def __enter__(self) -> "Uncork":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end()
        if error is not None:
            error.add_note("\n".join(self.lines))
