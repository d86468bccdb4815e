"""Answers that are ready: the memo of what was decided for requests that come again and again.

Lives here: what a memo is keyed by, how long it holds, and the budget of memory and descriptors. A memo is
either the bytes of an answer, or that the origin is to be asked.
Doesn't know: how an answer is decided or made. It never decides: what is not in here, or can't be
renewed, goes the long way, and the long way may leave a memo.

A request is *plain* when nothing in its head but the request line, the host, the content codings it
accepts, the persistence of the connection, and the fields that the answer itself names can change the
answer. The memo is keyed by exactly these; all plain requests alike in them get the same bytes.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from uncork.edge.answers import FilePart
from uncork.edge.passing import Absence, Mark
from uncork.semantics.fields import Fields
from uncork.semantics.negotiation import normalised_codings
from uncork.wire.known import Block
from uncork.wire.requests import Target

# Fields that ask for something out of the ordinary: a head with one of them is never plain.
# The conditional ones are here for unusual spellings: the fast path sees to the two volatile ones itself.
NOT_PLAIN = frozenset(
    {
        b"authorization",
        b"cache-control",
        b"content-length",
        b"expect",
        b"if-match",
        b"if-modified-since",
        b"if-none-match",
        b"if-range",
        b"if-unmodified-since",
        b"pragma",
        b"range",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)

# Different (host, codings, connection) triples that are told apart; a site has a handful.
_MOST_PROFILES = 256
# Descriptors that memos may hold open.
_MOST_FILES = 512
# Passed requests that are known, and the bytes of their request lines: some 4 MiB in all.
_MOST_PASSED = 4096
_LONGEST_LINE = 512
# What a memo costs besides its bytes.
_OVERHEAD = 1024


class Hot:
    """One ready answer.

    It may be sent while `until` (monotonic seconds) lies ahead and the purge clock still reads `epoch`;
    after that `renew` makes it good for another while (a new Date, a new Age, one stat), or says False.
    """

    __slots__ = (
        "charged",
        "dated",
        "epoch",
        "etag",
        "hits",
        "length",
        "logged",
        "logged_not_modified",
        "not_modified",
        "not_modified_text",
        "part",
        "reason",
        "renew",
        "seen_hits",
        "status",
        "text",
        "until",
        "whole",
    )

    def __init__(self, status: int, reason: str, etag: bytes | None) -> None:
        self.status = status
        self.reason = reason
        self.etag = etag
        self.renew: Callable[[Hot], bool] = _never
        self.whole = b""  # head and body; or the head alone when the body is `part`
        self.part: FilePart | None = None
        self.not_modified = b""
        # What they are made from anew each second: the lines that don't change.
        self.text = b""
        self.not_modified_text = b""
        self.length = 0  # of the content
        self.dated = False  # a stored page keeps the Date that its origin gave it
        self.logged = b""  # what the access log made of it
        self.logged_not_modified = b""
        self.until = 0.0
        self.epoch = -1
        self.hits = 0
        self.seen_hits = 0
        self.charged = 0  # what it counts for in the budget

    def cost(self) -> int:
        return len(self.whole) + _OVERHEAD


@dataclass(frozen=True, slots=True)
class Passed:
    """A plain request that is passed to the origin, which needn't be decided again while it is marked so and
    there is nothing stored of its URL. `target` is what its request line and host say, and the scheme that a
    proxy told."""

    target: Target
    mark: Mark
    absence: Absence

    def holds(self, now: float) -> bool:
        return self.mark.until > now and self.absence.until > now


class Profile:
    """What all plain heads of a kind share, and the memos for them by request line.

    `codings` are those that are accepted, or the field's value where that gives weights; empty when the
    field is absent, and when it names none that is known. `told`: the heads say a scheme, as proxies do; its
    memos are of who is believed, and for no other.
    """

    __slots__ = ("codings", "hot", "keep_alive", "passed", "told")

    def __init__(self, keep_alive: bool, codings: bytes | tuple[bytes, ...], told: bool) -> None:
        self.hot: dict[bytes, Hot] = {}
        self.passed: dict[bytes, Passed] = {}
        self.keep_alive = keep_alive
        self.codings = codings
        self.told = told


# For heads that are not plain: its table stays empty.
NO_PROFILE = Profile(True, (), False)


class HotTable:
    """All memos of a worker, within a budget of bytes and descriptors.

    Evicts by second chance: a memo that was used since it was last looked at goes to the end of the
    queue (Corbató's clock), so that a hit costs no more than its counter.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._profiles: dict[tuple[bytes, bytes, bytes | tuple[bytes, ...], bool], Profile] = {}
        self._order: OrderedDict[tuple[Profile, bytes], Hot] = OrderedDict()
        self.bytes = 0
        self.files = 0
        self._passed = 0
        self._retired_hits: Counter[str] = Counter()

    def profile(self, block: Block) -> Profile:
        """The profile of a block of field lines, worked out once for a known block."""
        found = block.note
        if found is None:
            found = block.note = self._profile(block)
        assert isinstance(found, Profile)
        return found

    def _profile(self, block: Block) -> Profile:
        host = None
        connection = b""
        for name, value in block.items:
            if name in NOT_PLAIN:
                return NO_PROFILE
            if name == b"host":
                if host is not None:
                    return NO_PROFILE
                host = value
            elif name == b"connection":
                if connection:
                    return NO_PROFILE
                connection = value.lower()
        if host is None or connection not in (b"", b"keep-alive", b"close"):
            return NO_PROFILE
        fields = Fields(block.items)
        accepted = fields.get(b"accept-encoding")
        # Where weights are given, they may prefer one coding to another: no two such values are alike.
        codings = accepted if accepted and b";" in accepted else normalised_codings(accepted)
        proto = fields.get(b"x-forwarded-proto") or b""
        key = (host, proto, codings, connection != b"close")
        profile = self._profiles.get(key)
        if profile is None:
            if len(self._profiles) >= _MOST_PROFILES:
                return NO_PROFILE
            profile = self._profiles[key] = Profile(connection != b"close", codings, proto != b"")
        return profile

    def add(self, profile: Profile, line: bytes, hot: Hot) -> None:
        """Keep a memo; an older one for the same request line gives way."""
        if profile is NO_PROFILE or hot.cost() > self._budget // 8:
            return
        self.drop(profile, line)
        profile.hot[line] = self._order[profile, line] = hot
        hot.charged = hot.cost()
        self.bytes += hot.charged
        if hot.part is not None:
            hot.part.file.acquire()
            self.files += 1
        while self.bytes > self._budget or self.files > _MOST_FILES:
            self._evict()

    def drop(self, profile: Profile, line: bytes) -> None:
        """Forget a memo."""
        hot = profile.hot.pop(line, None)
        if hot is None:
            return
        del self._order[profile, line]
        self.bytes -= hot.charged
        self._retired_hits[hot.reason] += hot.hits
        if hot.part is not None:
            hot.part.file.release()
            hot.part = None
            self.files -= 1

    def clear(self) -> None:
        """Forget everything."""
        for profile, line in list(self._order):
            self.drop(profile, line)

    def add_passed(self, profile: Profile, line: bytes, passed: Passed) -> None:
        """Keep that a request is passed."""
        if len(line) > _LONGEST_LINE:
            return
        if self._passed >= _MOST_PASSED:
            for known in self._profiles.values():
                known.passed.clear()
            self._passed = 0
        self._passed += line not in profile.passed
        profile.passed[line] = passed

    def hits(self) -> Counter[str]:
        """Requests answered from here since the start, by the reason of the answer."""
        hits = Counter(self._retired_hits)
        for hot in self._order.values():
            hits[hot.reason] += hot.hits
        return hits

    def __len__(self) -> int:
        return len(self._order)

    def _evict(self) -> None:
        (profile, line), hot = next(iter(self._order.items()))
        if hot.hits != hot.seen_hits:
            hot.seen_hits = hot.hits
            self._order.move_to_end((profile, line))
        else:
            self.drop(profile, line)


def _never(hot: Hot) -> bool:
    return False
