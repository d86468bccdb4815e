"""Why the origin gave no answer.

Lives here: the named reasons, and the exception that carries one.
Doesn't know: what a client is told about it (502, 503, 504 or a stale page).
"""

import copy
from enum import Enum


class OriginFailure(Enum):
    """Every way in which asking the origin can fail; used in logs, counters and docs."""

    CONNECT_REFUSED = "connect-refused"  # nobody listens, no such socket, no such host, no permission
    CONNECT_TIMEOUT = "connect-timeout"
    SEND_FAILED = "send-failed"  # the origin stopped reading the request
    RESPONSE_TIMEOUT = "response-timeout"  # no byte of a response in time
    READ_TIMEOUT = "read-timeout"  # the response stopped midway
    MALFORMED = "malformed"  # not HTTP/1.1, or framed ambiguously
    TRUNCATED = "truncated"  # closed in the middle of a response
    CLOSED = "closed"  # closed before the first byte of a response
    HEAD_TOO_LARGE = "head-too-large"
    POOL_EXHAUSTED = "pool-exhausted"  # no connection became free in time
    ABORTED = "aborted"  # our own side gave up: the client went away


class OriginError(Exception):
    """The exchange failed. `failure` names the reason, `detail` tells a reader of the log more."""

    def __init__(self, failure: OriginFailure, detail: str = "") -> None:
        super().__init__(failure, detail)
        self.failure = failure
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.failure.value}: {self.detail}" if self.detail else self.failure.value


def retold(error: BaseException) -> BaseException:
    """The error to raise for one that is kept: without its traceback, whose frames hold who keeps it.

    Raised as it is, it would close a cycle, and all that those frames hold (buffers of a client that sent
    much and left) would wait for a full garbage collection, which is rare.
    """
    try:
        return copy.copy(error)
    except TypeError:  # not made of its arguments alone
        return error
