"""A WSGI application whose pages read rows of a SQLite file and say which; for the purge's tests.

    GET  /KIND/1,4          what rows 1 and 4 hold, a line each: "ROW VERSION", and padding that tells its row
         ?slow=SECONDS      … which it waits after it has read them
         ?pad=BYTES         of padding in all
    POST /KIND/4            a new version of row 4: committed, then purged, then answered with its number
    GET  /pid               the process

`ROWS_DB` names the file, `UNCORK_STATE_DIR` where the purge clock is.
"""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from uncork.purging.table import ClockTable

KINDS = {
    "fresh": "max-age=3600",
    "vary": "max-age=3600",  # … and says that it depends on the language
    "etag": "max-age=1, must-revalidate",  # is validated with a strong validator of its own
    "dated": "max-age=1, must-revalidate",  # … with a date whose precision is a second
    "swr": "max-age=1, stale-while-revalidate=3600",
    "sie": "max-age=1, stale-if-error=3600",
}

_local = threading.local()
_table: ClockTable | None = None
_opening = threading.Lock()


def connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30, isolation_level=None)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def create(path: Path, rows: int) -> None:
    """Make the file, with so many rows of version 1."""
    connection = connect(str(path))
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, version INTEGER, changed REAL)")
    for row in range(rows):
        connection.execute("INSERT INTO rows VALUES (?, 1, ?)", (row, time.time()))
    connection.close()


def write(connection: sqlite3.Connection, table: ClockTable, row: int) -> int:
    """The life of a write: commit, purge; the new version."""
    (version,) = connection.execute(
        "UPDATE rows SET version = version + 1, changed = ? WHERE id = ? RETURNING version",
        (time.time(), row),
    ).fetchone()
    table.purge([b"row-%d" % row])
    assert isinstance(version, int)
    return version


def versions(body: bytes) -> dict[int, int]:
    """The versions that a page shows, and that all of its padding is of this page."""
    lines = body.split(b"\n")
    shown = {int(row): int(version) for row, version in (line.split() for line in lines[:-1])}
    assert set(lines[-1]) <= {ord("a") + min(shown) % 26}, lines[-1][:100]
    return shown


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    connection, table = _opened()
    kind, _, wanted = environ["PATH_INFO"][1:].partition("/")
    if kind not in KINDS:
        start_response("200 OK", [("Content-Type", "text/plain"), ("Cache-Control", "no-store")])
        return [b"%d\n" % os.getpid()]
    rows = [int(row) for row in wanted.split(",")]
    if environ["REQUEST_METHOD"] == "POST":
        version = write(connection, table, rows[0])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % version]
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    marks = ",".join("?" * len(rows))
    found = connection.execute(
        f"SELECT id, version, changed FROM rows WHERE id IN ({marks}) ORDER BY id", rows
    ).fetchall()
    time.sleep(float(query.get("slow", "0")))
    fields = [
        ("Content-Type", "text/plain"),
        ("Cache-Control", KINDS[kind]),
        ("Cache-Tag", ", ".join(f"row-{row}" for row in rows)),
    ]
    if kind == "vary":
        fields.append(("Vary", "Accept-Language"))
    etag = '"' + "-".join(f"{row}.{version}" for row, version, _ in found) + '"'
    modified = formatdate(max(changed for *_, changed in found), usegmt=True)
    if kind == "etag":
        fields.append(("ETag", etag))
    elif kind == "dated":
        fields.append(("Last-Modified", modified))
    if environ.get("HTTP_IF_NONE_MATCH") == etag or environ.get("HTTP_IF_MODIFIED_SINCE") == modified:
        start_response("304 Not Modified", fields)
        return []
    text = "".join(f"{row} {version}\n" for row, version, _ in found).encode()
    text += bytes([ord("a") + min(rows) % 26]) * (int(query.get("pad", "0")) - len(text))
    start_response("200 OK", [*fields, ("Content-Length", str(len(text)))])
    return [text]


def _opened() -> tuple[sqlite3.Connection, ClockTable]:
    global _table
    with _opening:
        if _table is None:
            _table = ClockTable(Path(os.environ["UNCORK_STATE_DIR"]))
    connection = getattr(_local, "connection", None)
    if connection is None:
        connection = _local.connection = connect(os.environ["ROWS_DB"])
    return connection, _table
