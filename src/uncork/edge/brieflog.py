"""What a developer sees on the terminal: what pages cost the application, and that they don't any more.

Lives here: a line for each answer that the application made, and one for the first that came from the cache
after it. Doesn't know: anything of a request but its first line. It stands in the place of the access log.

    MISS 182 ms /events/42/
    MISS 182 ms /events/42/ → HIT 0.2 ms
    PASS 95 ms POST /admin/events/event/42/change/ (pass-method)
"""

import os
import time
from collections.abc import Callable

from uncork.edge.decide import HITS, Why
from uncork.edge.hot import Hot
from uncork.semantics.fields import Field
from uncork.wire.known import Shape

_HITS = frozenset(why.value for why in HITS)
_PAGES = frozenset(why.value for why in Why)
_MISSES = {Why.MISS.value, Why.VARIANT_MISS.value, Why.PURGED.value, Why.EXPIRED.value, Why.VALIDATED.value}

# Pages that are remembered between the miss and the first hit.
_MOST_MISSED = 1000

_STANDARD_OUTPUT = 1


class BriefLog:
    """`now` says when the loop woke up last, in monotonic seconds: a request came then, not earlier."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._missed: dict[bytes, str] = {}
        self.lost = 0

    def hot(
        self, peer: bytes, line: bytes, hot: Hot, not_modified: bool, shape: Shape, values: list[bytes]
    ) -> None:
        """A request that the fast path answered."""
        if self._missed and (missed := self._missed.pop(line, None)) is not None:
            self._say(f"{missed} → HIT {_milliseconds(time.monotonic() - self._now())}")

    def add(
        self,
        peer: bytes,
        line: bytes,
        status: int,
        size: int,
        items: tuple[Field, ...],
        volatile: tuple[Field, ...],
        outcome: str,
        seconds: float,
        reason: str = "",
    ) -> None:
        """Any other request; `seconds` is how long it took, `reason` why its response isn't stored."""
        if outcome not in _PAGES:
            return
        if outcome in _HITS:
            if (missed := self._missed.pop(line, None)) is not None:
                self._say(f"{missed} → HIT {_milliseconds(seconds)}")
            return
        shared = outcome in _MISSES
        method, _, rest = line.decode("latin-1").partition(" ")
        target = rest.rpartition(" ")[0]
        text = f"{'MISS' if shared else 'PASS'} {_milliseconds(seconds)} " + (
            target if method == "GET" else f"{method} {target}"
        )
        if status != 200:
            text += f" {status}"
        if shared:
            if len(self._missed) >= _MOST_MISSED:
                self._missed.clear()
            self._missed[line] = text
            self._say(text)
        else:
            self._say(f"{text} ({reason or outcome})")

    def _say(self, text: str) -> None:
        line = "".join([letter if letter.isprintable() else "?" for letter in text]).encode() + b"\n"
        try:
            os.write(_STANDARD_OUTPUT, line)
        except OSError:
            self.lost += 1

    def tick(self, wall: float) -> None:
        """A second has begun."""

    def flush(self) -> None:
        """Nothing waits here."""

    def reopen(self) -> None:
        """It is no file."""


def _milliseconds(seconds: float) -> str:
    value = seconds * 1000
    return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms" if value >= 0.1 else "< 0.1 ms"
