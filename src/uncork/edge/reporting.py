"""What a worker has to say to the operator, in bearable numbers.

Lives here: the limit on lines. Doesn't know: where they go, and what they are about.
"""

from collections.abc import Callable

# In one second. An origin that is down fails hundreds of requests in a second, all for the same reason.
MOST_LINES = 20


class Reporter:
    """Passes lines on to `say`, MOST_LINES between two ticks at most; `tick` tells how many were left out."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._said = 0

    def __call__(self, line: str) -> None:
        self._said += 1
        if self._said <= MOST_LINES:
            self._say(line)

    def tick(self) -> None:
        """A second has begun."""
        if self._said > MOST_LINES:
            self._say(f"… and {self._said - MOST_LINES} more lines within a second")
        self._said = 0
