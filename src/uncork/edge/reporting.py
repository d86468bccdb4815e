"""What a worker has to say to the operator, in bearable numbers.

Lives here: the limit on lines. Doesn't know: where they go, and what they are about.

An origin that is down fails hundreds of requests in a second, all for the same reason.
"""

from collections.abc import Callable

# Lines in one go, and how many more each second allows.
BURST = 100
PER_SECOND = 10


class Reporter:
    """Passes lines on to `say`, BURST at most and then PER_SECOND; `tick` tells how many were left out."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._left = BURST
        self._left_out = 0

    def __call__(self, line: str) -> None:
        if self._left:
            self._left -= 1
            self._say(line)
        else:
            self._left_out += 1

    def tick(self) -> None:
        """A second has begun."""
        self._left = min(self._left + PER_SECOND, BURST)
        if self._left_out:
            self._say(f"… and {self._left_out} more lines in the last second")
            self._left_out = 0
