"""How a question to the project is answered from a process of its own.

Lives here: the way of an answer to who asked, and an import error in plain words.
Doesn't know: what is asked.
"""

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

# The descriptor to write the answer to: standard output belongs to the project's own code.
ANSWER_FD = "UNCORK_ANSWER_FD"


class Refused(Exception):
    """The question can't be answered; the message is for people."""


def answer(ask: Callable[[list[str]], Mapping[str, Any]]) -> None:
    """Run `ask` with the arguments of this process, in the project's directory, and write what it returns."""
    fd = int(os.environ.pop(ANSWER_FD))
    sys.path.insert(0, os.getcwd())
    try:
        reply = dict(ask(sys.argv[1:]))
    except Refused as refusal:
        reply = {"error": str(refusal)}
    with open(fd, "w") as file:
        json.dump(reply, file, default=str)


def in_words(error: BaseException) -> str:
    """What went wrong and where, in one line: `KeyError: 'SECRET' (mysite/settings.py, line 3)`."""
    words = "".join(traceback.format_exception_only(error)).strip().splitlines()
    said = words[-1] if words else type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)]
    if not frames or isinstance(error, SyntaxError):
        return said
    return f"{said} ({os.path.relpath(frames[-1].filename)}, line {frames[-1].lineno})"


def _is_theirs(filename: str) -> bool:
    return os.path.abspath(filename).startswith(os.getcwd() + os.sep) and "site-packages" not in filename
