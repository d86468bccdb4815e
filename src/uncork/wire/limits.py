"""The bounds on what one client may ask of us, each with its unit and the status that answers it.

Lives here: numbers. Doesn't know: who enforces them.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes are bytes, times are seconds; 0 or None never means "unlimited"."""

    head_bytes: int = 32 * 1024  # request line and fields together: 431
    target_bytes: int = 8 * 1024  # 414; what browsers and CDNs let through
    fields: int = 100  # field lines in one request: 431
    body_bytes: int = 1024**3  # one request's content: 413
    idle_seconds: float = 75.0  # between two requests of a connection: closed without a word
    head_seconds: float = 15.0  # from the first byte of a head to its last: 408
    body_seconds: float = 30.0  # between two pieces of a request's content: 408
    send_seconds: float = 60.0  # without the client taking one byte of a response: closed
    connections: int = 20_000  # open at once in one worker; beyond it new ones are closed with 503
