"""A request that tells what is read of it.

Lives here: META, COOKIES, GET, headers, scope and session of a request, with a count of each read.
Doesn't know: what a read is worth, which is `requestreads`'s.

Each is a subclass of what Django has there, made when it is first asked for, with every method by which
something can be learnt from it. What the project's code puts in itself is its own, and reading it counts for
nothing.
"""

from collections.abc import Callable
from typing import Any

from django.http import QueryDict
from django.http.request import HttpHeaders
from django.utils.functional import cached_property

from uncork.django.requestreads import (
    CSRF_KEYS,
    READS,
    Reads,
    What,
    cookie_input,
    meta_input,
    parameter_input,
    scope_input,
)
from uncork.pages.keys import WHOLE_COOKIE, WHOLE_QUERY
from uncork.pages.record import Unshared


def record(request: Any, reads: Reads) -> None:
    """From now on, count what is read of a request. Raises TypeError where its class can't be extended."""
    kind = type(request)
    found = _kinds.get(kind)
    if found is None:
        found = _kinds[kind] = type(kind.__name__, (RecordedRequest, kind), {"__module__": kind.__module__})
    request.__class__ = found
    own = request.__dict__
    own[READS] = reads
    # A charset of the content, which there is none of, says nothing of the query.
    if own.get("_encoding") is not None:
        del own["_encoding"]
        own.pop("GET", None)
    own.pop("headers", None)
    # Who came before us and made these has read all of them.
    if "GET" in own:
        reads.recording.read_query()
    if "COOKIES" in own:
        reads.recording.read_cookies()
    own["META"] = RecordedMeta(own["META"])
    own["META"].start(reads)
    if "environ" in own:
        own["environ"] = own["META"]
    if "scope" in own:
        own["scope"] = RecordedScope(own["scope"])
        own["scope"].start(reads)


def reads_of(request: Any) -> Reads | None:
    """The reads of a request that is recorded."""
    found: Reads | None = request.__dict__.get(READS)
    return found


_kinds: dict[type, type] = {}


class Recorded:
    """In front of a dictionary's class: `input_of` tells what the read of a key is, `whole` that of all."""

    input_of: Callable[[Any], What]
    whole: What

    def start(self, reads: Reads) -> None:
        self._reads = reads
        self._own: set[Any] = set()

    def _count(self, key: Any) -> None:
        what = type(self).input_of(key)
        if what is not None and key not in self._own:
            self._reads.count(what, 3)

    # Reads of one

    def __getitem__(self, key: Any) -> Any:
        self._count(key)
        return super().__getitem__(key)  # type: ignore[misc]

    def __contains__(self, key: Any) -> bool:
        self._count(key)
        return super().__contains__(key)  # type: ignore[misc,no-any-return]

    def get(self, key: Any, default: Any = None) -> Any:
        self._count(key)
        return super().get(key, default)  # type: ignore[misc]

    # Reads and writes

    def setdefault(self, key: Any, default: Any = None) -> Any:
        self._count(key)
        found = super().setdefault(key, default)  # type: ignore[misc]
        self._own.add(key)
        return found

    def pop(self, key: Any, *default: Any) -> Any:
        self._count(key)
        found = super().pop(key, *default)  # type: ignore[misc]
        self._own.add(key)
        return found

    def __delitem__(self, key: Any) -> None:
        self._count(key)
        super().__delitem__(key)  # type: ignore[misc]
        self._own.add(key)

    # Writes

    def __setitem__(self, key: Any, value: Any) -> None:
        super().__setitem__(key, value)  # type: ignore[misc]
        self._own.add(key)

    def update(self, *arguments: Any, **values: Any) -> None:
        for key, value in dict(*arguments, **values).items():
            self[key] = value

    def __ior__(self, other: Any) -> Any:
        self.update(other)
        return self


def _whole(kind: type, name: str) -> Callable[..., Any]:
    of_all = getattr(kind, name)

    def read(self: Any, *arguments: Any) -> Any:
        self._reads.count(self.whole, 2)
        return of_all(self, *arguments)

    read.__name__ = name
    return read


class RecordedDict(Recorded, dict):  # type: ignore[type-arg]
    """All that is left of a dictionary's methods are reads of all of it."""

    __iter__ = _whole(dict, "__iter__")
    __reversed__ = _whole(dict, "__reversed__")
    __len__ = _whole(dict, "__len__")
    __eq__ = _whole(dict, "__eq__")
    __ne__ = _whole(dict, "__ne__")
    __or__ = _whole(dict, "__or__")
    __ror__ = _whole(dict, "__ror__")
    __repr__ = _whole(dict, "__repr__")
    keys = _whole(dict, "keys")
    values = _whole(dict, "values")
    items = _whole(dict, "items")
    copy = _whole(dict, "copy")
    popitem = _whole(dict, "popitem")
    __hash__ = None

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._reads.count(self.whole, 2)
        return dict, (dict(dict.items(self)),)


class RecordedMeta(RecordedDict):
    input_of = staticmethod(meta_input)
    whole = Unshared.WHOLE_REQUEST

    def __bool__(self) -> bool:
        return True

    def __setitem__(self, key: Any, value: Any) -> None:
        if key not in CSRF_KEYS:
            self._own.add(key)
        elif key == "CSRF_COOKIE_NEEDS_UPDATE" and value:
            self._reads.count_token(2)
        dict.__setitem__(self, key, value)

    def raw(self) -> dict[Any, Any]:
        """A plain copy, which counts for nothing."""
        return dict(dict.items(self))  # its own copy() would ask ours

    def count_field(self, name: str) -> None:
        """A read of a request field by its name, by the function that is two frames up."""
        name = name.replace("-", "_").upper()
        key = name if name in HttpHeaders.UNPREFIXED_HEADERS else "HTTP_" + name
        if key not in self._own:
            self._reads.count(meta_input(key), 3)

    def count_fields(self) -> None:
        self._reads.count(Unshared.WHOLE_REQUEST, 3)


class RecordedScope(RecordedDict):
    input_of = staticmethod(scope_input)
    whole = Unshared.WHOLE_REQUEST


class RecordedCookies(RecordedDict):
    input_of = staticmethod(cookie_input)
    whole = WHOLE_COOKIE


class RecordedQuery(Recorded, QueryDict):
    input_of = staticmethod(parameter_input)
    whole = WHOLE_QUERY

    def getlist(self, key: Any, default: Any = None) -> Any:
        self._count(key)
        return super().getlist(key, default)

    __iter__ = _whole(QueryDict, "__iter__")
    __reversed__ = _whole(QueryDict, "__reversed__")
    __len__ = _whole(QueryDict, "__len__")
    __eq__ = _whole(QueryDict, "__eq__")
    __ne__ = _whole(QueryDict, "__ne__")
    __or__ = _whole(QueryDict, "__or__")
    __ror__ = _whole(QueryDict, "__ror__")
    __repr__ = _whole(QueryDict, "__repr__")
    keys = _whole(QueryDict, "keys")
    values = _whole(QueryDict, "values")
    items = _whole(QueryDict, "items")
    lists = _whole(QueryDict, "lists")
    dict = _whole(QueryDict, "dict")
    urlencode = _whole(QueryDict, "urlencode")
    __hash__ = None  # type: ignore[assignment]

    def _copy(self) -> Any:
        """A plain one, which may be changed and counts for nothing any more."""
        self._reads.count(WHOLE_QUERY, 3)
        made = QueryDict(mutable=True, encoding=self.encoding)
        for key, values in _items(self):
            made.setlist(key, list(values))
        return made

    def copy(self) -> Any:
        return self._copy()

    def __copy__(self) -> Any:
        return self._copy()

    def __deepcopy__(self, memo: Any) -> Any:
        return self._copy()

    def __reduce_ex__(self, protocol: Any) -> Any:
        made = self._copy()
        made._mutable = self._mutable
        return QueryDict, ("", True, self.encoding), made.__getstate__()

    # An immutable one has nothing of its own.
    __setitem__ = QueryDict.__setitem__
    __delitem__ = QueryDict.__delitem__
    setdefault = QueryDict.setdefault
    pop = QueryDict.pop
    update = QueryDict.update
    __ior__ = QueryDict.__ior__


_items: Callable[[Any], Any] = dict.items


class RecordedHeaders(HttpHeaders):
    """What is missing here is made of these by `Mapping`."""

    def __init__(self, meta: RecordedMeta) -> None:
        super().__init__(meta.raw())
        self._meta = meta

    def __getitem__(self, key: Any) -> Any:
        self._meta.count_field(key)
        return super().__getitem__(key)

    def __contains__(self, key: Any) -> bool:
        self._meta.count_field(key)
        return key.replace("_", "-").lower() in self._store

    def get(self, key: Any, default: Any = None) -> Any:
        self._meta.count_field(key)
        found = self._store.get(key.replace("_", "-").lower())
        return default if found is None else found[1]

    def __iter__(self) -> Any:
        self._meta.count_fields()
        return super().__iter__()

    def __len__(self) -> int:
        self._meta.count_fields()
        return super().__len__()  # type: ignore[no-any-return]

    def __bool__(self) -> bool:
        return True  # every request has a Host

    def __repr__(self) -> str:
        self._meta.count_fields()
        return super().__repr__()  # type: ignore[no-any-return]

    def copy(self) -> Any:
        return self


class RecordedRequest:
    """In front of the class of a request. One of it that somebody made of the META of another is not recorded
    itself: what it reads there is."""

    @cached_property
    def GET(self) -> Any:
        found = super().GET  # type: ignore[misc]
        reads = reads_of(self)
        if reads is None:
            return found
        if type(found) is not QueryDict:
            reads.recording.read_query()
            return found
        found.__class__ = RecordedQuery
        found.start(reads)
        return found

    @cached_property
    def COOKIES(self) -> Any:
        made = super().COOKIES  # type: ignore[misc]
        reads = reads_of(self)
        if reads is None:
            return made
        found = RecordedCookies(made)
        found.start(reads)
        return found

    @cached_property
    def headers(self) -> Any:
        meta = self.__dict__["META"]
        # Somebody's own META has been read when it was made.
        return RecordedHeaders(meta) if isinstance(meta, RecordedMeta) else HttpHeaders(meta)

    def _get_full_path(self, path: Any, force_append_slash: Any) -> Any:
        if (reads := reads_of(self)) is not None:
            reads.count(WHOLE_QUERY, 3)
        return super()._get_full_path(path, force_append_slash)  # type: ignore[misc]

    @property
    def content_type(self) -> Any:
        if (reads := reads_of(self)) is not None:
            reads.count(meta_input("CONTENT_TYPE"), 2)
        return self.__dict__["content_type"]

    @content_type.setter
    def content_type(self, value: Any) -> None:
        self.__dict__["content_type"] = value

    @property
    def content_params(self) -> Any:
        if (reads := reads_of(self)) is not None:
            reads.count(meta_input("CONTENT_TYPE"), 2)
        return self.__dict__["content_params"]

    @content_params.setter
    def content_params(self, value: Any) -> None:
        self.__dict__["content_params"] = value

    # The key of a session can be read without it knowing.

    @property
    def session(self) -> Any:
        try:
            found = self.__dict__["session"]
        except KeyError:
            raise AttributeError("session") from None
        if (reads := reads_of(self)) is not None:
            reads.count_session(2)
        return found

    @session.setter
    def session(self, value: Any) -> None:
        self.__dict__["session"] = value

    @session.deleter
    def session(self) -> None:
        del self.__dict__["session"]
