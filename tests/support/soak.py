"""How long the tests of the invariants run: some seconds each, or as many times that as is wished.

UNCORK_SOAK=20 runs them twenty times as long.
"""

import os

FACTOR = float(os.environ.get("UNCORK_SOAK", "1"))


def soak(normal: float) -> float:
    """Seconds (or a count) for this run, where the normal run takes `normal`."""
    return normal * FACTOR
