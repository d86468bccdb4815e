"""The smallest WSGI application, plain and behind WhiteNoise: what gunicorn and granian are started with."""

import importlib
import os
from collections.abc import Callable, Iterable
from typing import Any


def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Nothing but 404: the files are answered before it is asked."""
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


def files() -> Any:
    """WhiteNoise over the directory that `BENCH_STATIC` names, found once and then kept in memory."""
    whitenoise: Any = importlib.import_module("whitenoise")
    return whitenoise.WhiteNoise(plain, root=os.environ["BENCH_STATIC"], prefix="static/", max_age=3600)
