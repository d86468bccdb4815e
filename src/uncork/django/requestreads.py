"""What a render reads of its request: which read is which input, and which reads count for nothing.

Lives here: the names of a request's parts, and the reads of Django's own code from which nothing in the
response follows. Doesn't know: the objects that are read, which are `recordedrequest`'s.

The host, the scheme, the path and the method are part of every key, so reading them counts for nothing; nor
do the fields of conditional and range requests, which no shared page is made for.
"""

import os
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from types import CodeType, FrameType
from typing import Any

from django.conf import settings

from uncork.django.recording import Recording
from uncork.pages.keys import WHOLE_COOKIE, WHOLE_QUERY
from uncork.pages.record import Unshared
from uncork.semantics.messages import HOP_BY_HOP

# The name of an input, or why a page that read this can't be shared; None for what counts for nothing.
What = bytes | Unshared | None

_IN_EVERY_KEY = {"host", "x-forwarded-host", "x-forwarded-proto"}
# What an edge sends to no origin, or to none on behalf of many.
_NEVER_THERE = {name.decode() for name in HOP_BY_HOP} | {"expect", "forwarded", "x-real-ip", "content-length"}

_FREE = frozenset(
    {
        "CONTENT_LENGTH", "CONTEXT_DOCUMENT_ROOT", "CONTEXT_PREFIX", "DOCUMENT_ROOT", "GATEWAY_INTERFACE",
        "HTTPS", "PATH_INFO", "PATH_TRANSLATED", "REDIRECT_URL", "REQUEST_METHOD", "REQUEST_SCHEME",
        "SCRIPT_FILENAME", "SCRIPT_NAME", "SCRIPT_URI", "SCRIPT_URL", "SERVER_ADDR", "SERVER_ADMIN",
        "SERVER_NAME", "SERVER_PORT", "SERVER_PORT_SECURE", "SERVER_PROTOCOL", "SERVER_SIGNATURE",
        "SERVER_SOFTWARE",
    }
)  # fmt: skip
# What servers say of themselves.
_OF_SERVERS = ("wsgi.", "gunicorn.", "uwsgi.", "mod_wsgi.", "waitress.", "granian.")
_CLIENT = ("REMOTE_", "SSL_CLIENT_", "AUTH_TYPE", "GEOIP_")
_QUERY = frozenset({"QUERY_STRING", "RAW_URI", "REQUEST_URI", "UNENCODED_URL"})
READS = "_uncork_reads"
"""The attribute of a request that is recorded: its Reads."""

CSRF_KEYS = frozenset({"CSRF_COOKIE", "CSRF_COOKIE_NEEDS_UPDATE"})

_FREE_OF_SCOPE = frozenset(
    {"type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "root_path", "server"}
    | {"app", "extensions", "state"}
)


def field_input(name: str) -> What:
    """`name`: the field's, lower-case."""
    if name in _IN_EVERY_KEY or name in _NEVER_THERE or name == "range" or name.startswith("if-"):
        return None
    if name == "x-forwarded-for":
        return Unshared.CLIENT_ADDRESS
    return b"field:" + name.encode("latin-1", "replace")


@lru_cache(1024)
def meta_input(key: Any) -> What:
    """What a read of `request.META[key]` is."""
    if not isinstance(key, str):
        return None
    if key.startswith("HTTP_"):
        return field_input(key[5:].replace("_", "-").lower())
    if key == "CONTENT_TYPE":
        return b"field:content-type"
    if key in _QUERY:
        return WHOLE_QUERY
    if key in CSRF_KEYS:
        return Unshared.CSRF
    if key.startswith(_CLIENT):
        return Unshared.CLIENT_ADDRESS
    # Some servers hand the environment of the process on.
    if key in _FREE or key.startswith(_OF_SERVERS) or key in os.environ:
        return None
    return Unshared.WHOLE_REQUEST


def scope_input(key: Any) -> What:
    """What a read of `request.scope[key]` is."""
    if key in _FREE_OF_SCOPE:
        return None
    if key == "query_string":
        return WHOLE_QUERY
    return Unshared.CLIENT_ADDRESS if key == "client" else Unshared.WHOLE_REQUEST


@lru_cache(1024)
def cookie_input(name: Any) -> What:
    return b"cookie:" + name.encode("utf-8", "surrogatepass") if isinstance(name, str) else None


@lru_cache(1024)
def parameter_input(name: Any) -> What:
    return b"query:" + name.encode("utf-8", "surrogatepass") if isinstance(name, str) else None


class Reads:
    """The reads of one request, on their way into its recording. `places` tells where every input was first
    read: the file and line of the project's own code, or of a package that isn't Django."""

    __slots__ = ("places", "recording", "session")

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.places: dict[bytes, str] = {}
        self.session = False
        """Whether somebody made use of the session."""

    def count(self, what: What, depth: int) -> None:
        """A read by the function that is so many frames up."""
        if what is None:
            return
        recording = self.recording
        if isinstance(what, bytes):
            if what in self.places or (what[:6] == b"query:" and WHOLE_QUERY in self.places):
                return
        elif what in recording.unshared:
            return
        frame = sys._getframe(depth)
        if is_unused(frame, what):
            return
        if not isinstance(what, bytes):
            recording.refuse(what, where(frame))
            return
        self.places[what] = where(frame)
        # Whatever is read of a request after it is known that its page is for it alone, doesn't change that.
        if not recording.unshared:
            recording.read_input(what)

    def count_session(self, depth: int) -> None:
        """A use of the session, by the function that is so many frames up."""
        if not self.session and not is_unused(sys._getframe(depth), Unshared.SESSION):
            self.session = True
            self.places[session_input()] = where(sys._getframe(depth))

    def count_token(self, depth: int) -> None:
        """A CSRF token was asked for, by who called the function that is so many frames up."""
        frame = sys._getframe(depth)
        while frame.f_back is not None and frame.f_code.co_name in ("update", "_add_new_csrf_cookie"):
            frame = frame.f_back
        # This replaces a cookie that can't be right, and nobody asked for a token.
        if frame.f_code.co_name != "process_request":
            self.recording.refuse(Unshared.CSRF, where(frame))


def session_input() -> bytes:
    """The input that a session is found by."""
    return b"cookie:" + settings.SESSION_COOKIE_NAME.encode()  # type: ignore[no-any-return]


# Django's own reads


def is_unused(frame: FrameType, what: bytes | Unshared) -> bool:
    """Whether what this frame reads changes nothing in the response, or is counted where it does."""
    code = frame.f_code
    known = _rules.get(id(code))
    if known is None or known[0] is not code:
        module = frame.f_globals.get("__name__")
        known = (code, _UNUSED.get((module, code.co_name)) or _UNUSED.get((module, None)))
        if len(_rules) < _MOST_RULES:
            _rules[id(code)] = known
    rule = known[1]
    if rule is None or not rule(what):
        return False
    return rule not in _OF_RECORDED or _is_recorded(frame)


def _is_recorded(frame: FrameType) -> bool:
    """Whether this is code of a request that is recorded. One that somebody made of its META is not: what
    that makes of it counts nothing by itself."""
    found: FrameType | None = frame
    while found is not None and found.f_globals is frame.f_globals:
        if (request := found.f_locals.get("self")) is not None:
            return READS in getattr(request, "__dict__", ())
        found = found.f_back
    return False


Rule = Callable[[bytes | Unshared], bool]

# By the id of the code, which is cheap to hash, and kept so that no other gets it.
_rules: dict[int, tuple[CodeType, Rule | None]] = {}
_MOST_RULES = 10_000


def _always(what: bytes | Unshared) -> bool:
    return True


def _session(what: bytes | Unshared) -> bool:
    return what is Unshared.SESSION


def _session_cookie(what: bytes | Unshared) -> bool:
    # Who has a session gets its cookie renewed with every response, then.
    return not settings.SESSION_SAVE_EVERY_REQUEST


def _user_agent(what: bytes | Unshared) -> bool:
    return what == b"field:user-agent" and not settings.DISALLOWED_USER_AGENTS


def _authorization(what: bytes | Unshared) -> bool:
    return what == b"field:authorization"


def _internal(what: bytes | Unshared) -> bool:
    return what is Unshared.CLIENT_ADDRESS and not settings.INTERNAL_IPS


def _query(what: bytes | Unshared) -> bool:
    return what == WHOLE_QUERY


def _made(what: bytes | Unshared) -> bool:
    return True


_OF_RECORDED = frozenset({_made, _query})


# By module and function, None for all of a module.
_UNUSED: dict[tuple[Any, str | None], Rule] = {
    # GET and COOKIES are made here; what is read of them counts.
    ("django.core.handlers.wsgi", None): _made,
    ("django.core.handlers.asgi", None): _made,
    # Counted for who calls get_full_path.
    ("django.http.request", "_get_full_path"): _query,
    # A session is counted when it is used, wherever that is.
    ("django.contrib.sessions.middleware", "process_request"): _session_cookie,
    ("django.contrib.sessions.middleware", "process_response"): _always,
    # These only look whether there is one.
    ("django.contrib.auth.middleware", "process_request"): _session,
    ("django.contrib.messages.storage.session", "__init__"): _session,
    # The token is counted when it is asked for: `get_token` says so in META.
    ("django.middleware.csrf", None): _always,
    ("django.middleware.common", "process_request"): _user_agent,
    # What goes into a mail about a broken link.
    ("django.middleware.common", "process_response"): _always,
    # Whether to add it to Vary.
    ("django.middleware.cache", "process_response"): _authorization,
    ("django.template.context_processors", "debug"): _internal,
    ("django.contrib.admindocs.middleware", "process_view"): _internal,
}

_NOT_THEIRS = frozenset({"django", "uncork", "asgiref", "_collections_abc", "functools", "contextlib"})


# Beyond these is who called the view or the middleware, which read nothing.
_HANDLERS = frozenset({"django.core.handlers.base", "django.core.handlers.exception"})


def where(frame: FrameType) -> str:
    """`file:line` of the nearest code that is neither Django's nor ours; of Django's, if there is none."""
    found: FrameType | None = frame
    while found is not None:
        module = found.f_globals.get("__name__", "")
        if module in _HANDLERS:
            break
        if module.partition(".")[0] not in _NOT_THEIRS:
            return f"{found.f_code.co_filename}:{found.f_lineno}"
        found = found.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def summary(inputs: Iterable[bytes]) -> tuple[bool, list[str]]:
    """Whether cookies are among these inputs, and the names of the request fields."""
    fields = [name[6:].decode("latin-1") for name in inputs if name.startswith(b"field:")]
    cookies = WHOLE_COOKIE in inputs or any(name.startswith(b"cookie:") for name in inputs)
    return cookies, fields
