"""A PostgreSQL server of the tests' own: on a Unix socket in a directory of its own, gone when they end.

Needs Debian's `postgresql` (or any initdb and postgres that can be found). Who is root runs it as somebody
else, for PostgreSQL refuses to run as root.
"""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

USER = "uncork"
"""Its superuser, who needs no password on the socket."""

DATABASE = "postgres"

_MAKE = ("-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-instructions")


class Postgres:
    """A server that isn't started yet. `socket_dir` is what a client takes for its host."""

    def __init__(self) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="uncork-pg-"))
        self.socket_dir = str(self._root)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the cluster, and wait until it takes connections."""
        if self._process is not None:
            return
        runner = _runner()
        if runner is not None:
            os.chown(self._root, runner.pw_uid, runner.pw_gid)
        user = None if runner is None else runner.pw_name
        data = self._root / "data"
        made = subprocess.run(
            [_binary("initdb"), "-D", data, "-U", USER, "--no-sync", *_MAKE],
            user=user,
            cwd="/",
            capture_output=True,
        )
        if made.returncode:
            raise RuntimeError(f"initdb: {made.stderr.decode()}")
        options = {
            "listen_addresses": "",
            "unix_socket_directories": self.socket_dir,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "50",
            "shared_buffers": "16MB",
            "autovacuum": "off",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        self._process = subprocess.Popen(
            [_binary("postgres"), "-D", data, *arguments],
            user=user,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert self._process.stderr is not None
        said = []
        for line in self._process.stderr:
            said.append(line)
            if b"ready to accept connections" in line:
                break
        else:
            raise RuntimeError("postgres: " + b"".join(said).decode())
        # It goes on to tell of every statement that fails, and waits where nobody reads that.
        self._reader = threading.Thread(target=self._process.stderr.read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End it, whoever is connected still, and remove what it has."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()
            self._process = None
        shutil.rmtree(self._root, ignore_errors=True)


def _binary(name: str) -> str:
    found = shutil.which(name) or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)), None
    )
    if found is None:
        raise RuntimeError(f"These tests need PostgreSQL's {name}: apt install postgresql")
    return found


def _runner() -> pwd.struct_passwd | None:
    """Who is to run it: None for whoever runs the tests."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    return known.get("postgres") or known["nobody"]
