"""The program `uncork`, but for its workers."""

import sys
from pathlib import Path

from uncork.cli.main import main

if __name__ == "__main__":
    main(worker_command=(sys.executable, str(Path(__file__).with_name("tiny_worker.py"))))
