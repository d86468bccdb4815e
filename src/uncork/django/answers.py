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
    if isinstance(error, SyntaxError) and error.filename is not None:  # no frame is in what can't be compiled
        where: tuple[str, int | None] = (error.filename, error.lineno)
    else:
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_theirs(frame.filename)]
        if not frames:
            return said
        where = (frames[-1].filename, frames[-1].lineno)
    file, line = where
    return f"{said} ({os.path.relpath(file) if _is_theirs(file) else file}, line {line})"


def _is_theirs(filename: str) -> bool:
    return os.path.abspath(filename).startswith(os.getcwd() + os.sep) and "site-packages" not in filename
