"""What people read while a command works: lines on standard error, each after the name of who says it.

Lives here: printing. Doesn't know: what is said.
"""

import sys


def say(text: str, source: str = "uncork") -> None:
    """Print each line of the text after `source: `. A terminal that is gone is no reason to stop."""
    try:
        sys.stderr.write("".join(f"{source}: {line}\n" for line in text.splitlines()))
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
