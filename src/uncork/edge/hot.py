"""Answers that are ready: the memo of what was decided for requests that come again and again.

Lives here: what a memo is keyed by, how long it holds, and the budget of memory and descriptors. A memo is
either the bytes of an answer, or that the origin is to be asked.
Doesn't know: how an answer is decided or made. It never decides: what is not in here, or can't be
renewed, goes the long way, and the long way may leave a memo.

A request is *plain* when nothing in its head but the request line, the host, the content codings it
accepts, the persistence of the connection, and the inputs that the answer itself names (`Vary`) can change
the answer. The memo is keyed by exactly these; all plain requests alike in them get the same bytes. Where an
answer names such inputs, `Variants` stand in the place of its memo: one for each of their values.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable
from weakref import WeakSet

from uncork.edge.answers import FilePart
from uncork.edge.passing import Absence, Mark, Marks
from uncork.edge.selecting import Selection, Selector
from uncork.pages import keys
from uncork.semantics.fields import Fields
from uncork.semantics.negotiation import normalised_codings
from uncork.wire.known import Block, Head, Shape
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

# Different (host, codings, connection) triples that are found again; a site has a handful.
_MOST_PROFILES = 256
# Descriptors that memos may hold open.
_MOST_FILES = 512
# Passed requests that are known, and the bytes of their request lines: some 4 MiB in all.
_MOST_PASSED = 4096
_LONGEST_LINE = 512
# What a memo costs besides its bytes.
_OVERHEAD = 1024
# Memos of one request line and profile: a client may say what it likes in a field that selects.
_MOST_VARIANTS = 128


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
        "forget",
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
        self.forget: Callable[[], None] = _nothing  # takes it from where it is looked up

    def cost(self) -> int:
        return len(self.whole) + _OVERHEAD


class Variants(Selector):
    """Stands among the memos of a profile for an answer that inputs outside of the profile select. It is
    never valid itself, so the fast path asks for what is `current`."""

    __slots__ = ("memos",)

    until = 0.0
    epoch = -1

    def __init__(self, names: tuple[bytes, ...]) -> None:
        super().__init__(names)
        self.memos: dict[Selection, Hot] = {}


class Passed:
    """A plain request that is passed to the origin, which needn't be decided again while it is marked so and
    there is nothing stored for it. `target` is what its request line and host say, and the scheme that a
    proxy told. Where cookies or other fields select, each request has a mark of its own among `marks`, or
    none.
    """

    __slots__ = ("_absence", "_by_target", "_mark", "_marks", "_selector", "target")

    def __init__(self, target: Target, marks: Marks, mark: Mark, absence: Absence) -> None:
        self.target = target
        self._mark = mark
        self._marks = marks
        self._absence = absence
        self._selector: Selector | None = None
        self._by_target: Selection = ()
        if absence.names:
            self._by_target = keys.select_from(filter(keys.in_target, absence.names), target.query, Fields())
            self._selector = Selector(tuple([name for name in absence.names if not keys.in_target(name)]))

    def mark(self, shape: Shape, values: list[bytes], now: float) -> Mark | None:
        """That a request is passed, if it is, whose head has that shape with these values in it."""
        absence = self._absence
        if absence.until <= now:
            return None
        if self._selector is None:
            return self._mark if self._mark.until > now else None
        selected = self._selector.select_fast(shape, values)
        return self._marks.mark_of(absence.primary, self._by_target + selected)


class Profile:
    """What all plain heads of a kind share, and the memos for them by request line.

    `codings` are those that are accepted, or the field's value where that gives weights; empty when the
    field is absent, and when it names none that is known. `told`: the heads say a scheme, as proxies do; its
    memos are of who is believed, and for no other.
    """

    __slots__ = ("__weakref__", "codings", "hot", "keep_alive", "passed", "told")

    def __init__(self, keep_alive: bool, codings: bytes | tuple[bytes, ...], told: bool) -> None:
        self.hot: dict[bytes, Hot | Variants] = {}
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
        self._alive: WeakSet[Profile] = WeakSet()  # of these, and those that only blocks still have
        self._order: OrderedDict[Hot, None] = OrderedDict()
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
                # The older half goes. Blocks that are known keep theirs: no visitor notices who fills this.
                for older in list(self._profiles)[: _MOST_PROFILES // 2]:
                    del self._profiles[older]
            profile = self._profiles[key] = Profile(connection != b"close", codings, proto != b"")
            self._alive.add(profile)
        return profile

    def add(self, profile: Profile, line: bytes, hot: Hot) -> None:
        """Keep a memo; what there was for the same request line gives way."""
        if profile is NO_PROFILE or hot.cost() > self._budget // 8:
            return
        self._drop_all(profile, line)

        def forget() -> None:
            del profile.hot[line]

        profile.hot[line] = hot
        hot.forget = forget
        self._enter(hot, 0)

    def add_variant(
        self, profile: Profile, line: bytes, hot: Hot, names: tuple[bytes, ...], head: Head
    ) -> None:
        """Keep a memo of an answer that what `head` has of the inputs `names` selected."""
        if profile is NO_PROFILE:
            return
        variants = profile.hot.get(line)
        if not isinstance(variants, Variants) or variants.names != names:
            self._drop_all(profile, line)
            variants = Variants(names)
        memos = variants.memos
        selection = variants.select(head.block, head.volatile)
        size = sum(len(value or b"") for _, value in selection)
        if hot.cost() + size > self._budget // 8:
            return
        profile.hot[line] = variants
        before = memos.get(selection)
        memos[selection] = hot

        def forget() -> None:
            del memos[selection]
            if not memos:
                del profile.hot[line]

        hot.forget = forget
        if before is not None:
            before.forget = _nothing
            self.drop(before)
        self._enter(hot, size)
        while len(memos) > _MOST_VARIANTS:
            oldest = next(iter(memos))
            if memos[oldest].hits != memos[oldest].seen_hits:
                memos[oldest].seen_hits = memos[oldest].hits
                memos[oldest] = memos.pop(oldest)
            else:
                self.drop(memos[oldest])

    def _enter(self, hot: Hot, more: int) -> None:
        self._order[hot] = None
        hot.charged = hot.cost() + more
        self.bytes += hot.charged
        if hot.part is not None:
            hot.part.file.acquire()
            self.files += 1
        while self.bytes > self._budget or self.files > _MOST_FILES:
            self._evict()

    def current(
        self, hot: Hot | Variants, shape: Shape, values: list[bytes], now: float, epoch: int
    ) -> Hot | None:
        """The memo for a request of whose line there is this one, or these variants, made good for another
        while where it isn't valid any more; None: the request is to be decided."""
        if isinstance(hot, Variants):
            variant = hot.memos.get(hot.select_fast(shape, values))
            if variant is None or (variant.until > now and variant.epoch == epoch):
                return variant
            hot = variant
        if hot.renew(hot):
            return hot
        self.drop(hot)
        return None

    def drop(self, hot: Hot) -> None:
        """Forget a memo."""
        hot.forget()
        del self._order[hot]
        self.bytes -= hot.charged
        self._retired_hits[hot.reason] += hot.hits
        if hot.part is not None:
            hot.part.file.release()
            hot.part = None
            self.files -= 1

    def _drop_all(self, profile: Profile, line: bytes) -> None:
        found = profile.hot.get(line)
        if isinstance(found, Hot):
            self.drop(found)
        elif found is not None:
            for hot in list(found.memos.values()):
                self.drop(hot)

    def clear(self) -> None:
        """Forget everything."""
        for hot in list(self._order):
            self.drop(hot)

    def add_passed(self, profile: Profile, line: bytes, passed: Passed) -> None:
        """Keep that a request is passed."""
        if len(line) > _LONGEST_LINE:
            return
        if self._passed >= _MOST_PASSED:
            for known in self._alive:
                known.passed.clear()
            self._passed = 0
        self._passed += line not in profile.passed
        profile.passed[line] = passed

    def hits(self) -> Counter[str]:
        """Requests answered from here since the start, by the reason of the answer."""
        hits = Counter(self._retired_hits)
        for hot in self._order:
            hits[hot.reason] += hot.hits
        return hits

    def __len__(self) -> int:
        return len(self._order)

    def _evict(self) -> None:
        hot = next(iter(self._order))
        if hot.hits != hot.seen_hits:
            hot.seen_hits = hot.hits
            self._order.move_to_end(hot)
        else:
            self.drop(hot)


def _never(hot: Hot) -> bool:
    return False


def _nothing() -> None:
    pass
