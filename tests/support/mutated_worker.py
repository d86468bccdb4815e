"""`uncork` with its real workers, but for one rule that is broken: see `support.recorder_mutants`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from support.recorder_mutants import MUTANTS
from uncork.cli.main import main
from uncork.edge import worker

if __name__ == "__main__":
    _, word, name, *arguments = sys.argv
    if word == "--with":
        main(arguments, worker_command=(sys.executable, __file__, "--worker", name))
    else:
        MUTANTS[name].apply()
        sys.argv[1:] = arguments
        worker.main()
