"""What a process had still to purge when it was killed: the supervisor does it."""

import os
import signal
import subprocess
import sys

from support.edge_client import Edge, eventually
from uncork.pages.clock import Verdict
from uncork.purging.pending import is_pending
from uncork.purging.table import ClockTable

KILLED = """
import os, signal, sys
from pathlib import Path
from uncork.purging.pending import Journal
from uncork.purging.table import ClockTable

state_dir = Path(sys.argv[1])
table = ClockTable(state_dir)
note = Journal(state_dir).begin(table, [table.slot(b"a")])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_had_to_purge_is_purged(edge: Edge) -> None:
    table = ClockTable(edge.state_dir)
    stamp = table.clock.stamp()
    killed = subprocess.run([sys.executable, "-c", KILLED, edge.state_dir], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    eventually(lambda: table.clock.verdict(stamp, [table.slot(b"a")]) is Verdict.PURGED)
    assert table.clock.verdict(stamp, [table.slot(b"b")]) is Verdict.VALID
    assert is_pending(edge.state_dir)  # whatever it did may still be on its way
    os.unlink(next((edge.state_dir / "pending").iterdir()))
    table.close(clean=False)
