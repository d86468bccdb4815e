"""The names of tables and functions in the text of an SQL statement.

Lives here: tokens, and where in a statement a name is that of a table. Pure. Doesn't know: which tables there
are, and what a view or a function is made of (`catalog`).

It is no grammar of SQL: it knows where tables are named, and gives up where something else stands there. What
it calls a table or a function may be neither, and then nothing of that name is found.
"""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import cache

Name = tuple[str, ...]
"""A name's parts, as in `schema.table`: in lower case, unless the text has quotes that keep the case."""


class Kind(Enum):
    SELECT = "select"
    WRITE = "write"
    CONTROL = "control"
    """Of transactions, settings, locks: it reads no data and writes none."""
    UNKNOWN = "unknown"
    """It may read and write anything: definitions of tables, procedures, what isn't understood."""


@dataclass(slots=True)
class Text:
    """What a statement names. `rereads`: that what comes of it depends on the tables that it writes, too."""

    kind: Kind
    reads: Counter[Name] = field(default_factory=Counter)
    """… each with how often."""
    writes: set[Name] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    common: set[str] = field(default_factory=set)
    """Names that the statement itself defines (WITH)."""
    mentions: set[str] = field(default_factory=set)
    """Every name that is no part of a longer one."""
    rereads: bool = False


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_CONTROL = _words("""
    abort analyze begin checkpoint commit deallocate discard end listen lock notify optimize release reset
    rollback savepoint set show start unlisten vacuum
""")
_WRITES = _words("delete insert merge replace update")
_QUERIES = _words("select table values with")
# What ends a list of tables.
_ENDS = _words("""
    do except fetch for group having intersect limit offset order returning set union values when where window
""")
# What stands between the names of a list of tables, and is none.
_WITHIN = _words("lateral only table")
# What stands before a parenthesis, and is no function. What is missing here only costs a look-up.
_NO_FUNCTION = _ENDS | _words("""
    all and any array as between by case conflict distinct else exists filter from in insert into is join key
    like materialized not on or over partition recursive row select table then using within with
""")
# Settings of a SQLite connection that say nothing of the data.
_PRAGMAS = _words("""
    busy_timeout cache_size case_sensitive_like defer_foreign_keys foreign_keys journal_mode locking_mode
    mmap_size optimize page_size synchronous temp_store trusted_schema wal_autocheckpoint wal_checkpoint
""")

_COMMON = r"""
    (?P<space> \s+ | {note} )
  | (?P<comment> /\* )
  | (?P<string> {string} )
  | (?P<quoted> {quoted} )
  | (?P<number> \d[\w.]* | \.\d\w* )
  | (?P<holder> %s | %\(\w+\)s | \?\d* | [:@$][A-Za-z_]\w* | \$\d+ )
  | (?P<word> [^\W\d][\w$]* )
  | (?P<other> :: | . )
"""
_NOTE = r"--[^\n]*"
_STRING = r"[nNbBxX]?'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'"
_DOLLARS = r"\$(?P<dollar>[A-Za-z_]\w*)?\$.*?\$(?(dollar)(?P=dollar))\$"
_DIALECTS = {
    "postgresql": (
        rf"[eE]{_ESCAPED} | (?:[uU]&|[nNbBxX])?'(?:[^']|'')*' | {_DOLLARS}",
        r'(?:[uU]&)?"(?:[^"]|"")+"',
        _NOTE,
    ),
    "sqlite": (_STRING, r'"(?:[^"]|"")+" | `(?:[^`]|``)+` | \[[^\]]+\]', _NOTE),
    "mysql": (rf'{_ESCAPED} | "(?:[^"\\]|\\.|"")*"', r"`(?:[^`]|``)+`", _NOTE + r" | \#[^\n]*"),
}
_CLOSING = {'"': '"', "`": "`", "[": "]"}

_Token = tuple[str, str]


class _Unclear(Exception):
    """The text is not what was expected."""


@cache
def _tokens_of(vendor: str) -> re.Pattern[str]:
    pattern = _COMMON
    for kind, of in zip(
        ("string", "quoted", "note"), _DIALECTS.get(vendor, _DIALECTS["postgresql"]), strict=True
    ):
        pattern = pattern.replace(f"{{{kind}}}", of)
    return re.compile(pattern, re.VERBOSE | re.DOTALL)


def _tokens(sql: str, vendor: str) -> Iterator[_Token]:
    """Pairs of a kind and a text: a word in lower case, a quoted name without its quotes."""
    pattern, at, end = _tokens_of(vendor), 0, len(sql)
    while at < end:
        found = pattern.match(sql, at)
        assert found is not None  # `other` is any character
        kind, text, at = str(found.lastgroup), found[0], found.end()
        if kind == "comment":
            at = _end_of_comment(sql, found.start(), vendor)
        elif kind == "word":
            yield kind, text.lower()
        elif kind == "quoted":
            if text[0] in "uU":
                raise _Unclear  # names with escapes
            closing = _CLOSING[text[0]]
            yield kind, text[1:-1].replace(closing * 2, closing)
        elif kind != "space":
            if text in ("'", '"', "`"):
                raise _Unclear  # never closed
            yield kind, text


def _end_of_comment(sql: str, at: int, vendor: str) -> int:
    if vendor == "mysql" and sql.startswith(("/*!", "/*M!"), at):
        raise _Unclear  # it is executed
    depth = 1
    at += 2
    while depth:
        closing = sql.find("*/", at)
        if closing < 0:
            raise _Unclear
        opening = sql.find("/*", at, closing) if vendor == "postgresql" else -1
        depth, at = (depth + 1, opening + 2) if opening >= 0 else (depth - 1, closing + 2)
    return at


def collated_columns(sql: str) -> set[str] | None:
    """The columns of a CREATE TABLE of SQLite that have a collation of their own, in lower case; None when
    the text is not understood."""
    found: set[str] = set()
    depth, column = 0, ""
    try:
        tokens = list(_tokens(sql, "sqlite"))
    except _Unclear:
        return None
    for before, token in itertools.pairwise(tokens):
        if before == ("other", "("):
            depth += 1
        elif before == ("other", ")"):
            depth -= 1
        if depth == 1 and before in (("other", "("), ("other", ",")):
            column = token[1].lower()
        elif before == ("word", "collate") and token[1].lower() != "binary":
            found.add(column)
    return found


def read_text(sql: str, vendor: str) -> list[Text]:
    """What each of the statements in a text names; `vendor` as in Django's connections.

    A single one of unknown kind when the text is not understood.
    """
    statements: list[list[_Token]] = [[]]
    try:
        for token in _tokens(sql, vendor):
            if token == ("other", ";"):
                statements.append([])
            else:
                statements[-1].append(token)
        return [_Statement(tokens, vendor).read() for tokens in statements if tokens]
    except _Unclear:
        return [Text(Kind.UNKNOWN)]


@dataclass(slots=True)
class _Level:
    """What is known within one pair of parentheses."""

    verb: str = ""
    """select, or a write, once it was seen here."""
    tables: bool = False
    """Within a list of tables."""
    expected: bool = False
    """The next is a table, or a parenthesis with more of them."""
    common: bool = False
    """Between WITH and the statement that it is for."""


class _Statement:
    def __init__(self, tokens: list[_Token], vendor: str) -> None:
        self.tokens = tokens
        self.vendor = vendor
        self.at = 0
        self.text = Text(Kind.SELECT)

    def word(self, at: int) -> str:
        """The bare word or sign there; empty where it is something else."""
        if 0 <= at < len(self.tokens) and self.tokens[at][0] in ("word", "other"):
            return self.tokens[at][1]
        return ""

    def read(self) -> Text:
        first = next((text for kind, text in self.tokens if (kind, text) != ("other", "(")), "")
        if first in _CONTROL:
            return Text(Kind.UNKNOWN if self.word(1) == "prepared" else Kind.CONTROL)
        if first == "pragma":
            return Text(Kind.CONTROL if self.word(1) in _PRAGMAS else Kind.UNKNOWN)
        if first == "refresh":
            return self.refresh()
        if first not in _QUERIES and first not in _WRITES:
            return Text(Kind.UNKNOWN)
        levels = [_Level()]
        while self.at < len(self.tokens):
            self.step(levels)
            if not levels:
                raise _Unclear
        if len(levels) != 1 or levels[0].expected:
            raise _Unclear
        if self.vendor == "mysql" and self.text.kind is Kind.WRITE and not self.text.writes:
            self.text.writes.update(self.text.reads)
        return self.text

    def refresh(self) -> Text:
        """REFRESH MATERIALIZED VIEW [CONCURRENTLY] name"""
        self.at = 4 if self.word(3) == "concurrently" else 3
        return Text(Kind.WRITE, writes={self.name()})

    def step(self, levels: list[_Level]) -> None:
        kind, text = self.tokens[self.at]
        level = levels[-1]
        if kind in ("word", "quoted") and self.word(self.at - 1) != ".":
            self.text.mentions.add(text)
        if kind == "other" and text == "(":
            levels.append(_Level(tables=level.expected, expected=level.expected))
            level.expected = False
            self.at += 1
        elif kind == "other" and text == ")":
            if level.expected:
                raise _Unclear
            levels.pop()
            self.at += 1
        elif kind == "other" and text == ",":
            level.expected = level.tables
            self.at += 1
        elif kind == "word" and self.word(self.at - 1) != "." and self.keyword(text, level):
            self.at += 1
        elif level.expected:
            if kind not in ("word", "quoted"):
                raise _Unclear
            level.expected = False
            name = self.name()
            if self.word(self.at) == "(":
                self.text.functions.add(name[-1])
            else:
                self.text.reads[name] += 1
        elif level.common and self.defines():
            self.text.common.add(text)
            self.at += 1
        else:
            callable_ = kind == "quoted" or (kind == "word" and text not in _NO_FUNCTION)
            if callable_ and self.word(self.at + 1) == "(":
                self.text.functions.add(text)
            self.at += 1

    def keyword(self, word: str, level: _Level) -> bool:
        """Whether the word is one that tells where tables are; what it tells is noted."""
        before = self.word(self.at - 1)
        if word == "select" or (word == "values" and not level.verb):
            level.verb, level.tables, level.expected, level.common = "select", False, False, False
        elif word == "with" and before in ("", "(", ")") and not level.tables | bool(level.verb):
            level.common = True
        elif word == "with" and level.expected:  # a query in a list of tables
            level.common, level.tables, level.expected = True, False, False
        elif word == "table" and before in ("", "(", ")", "all", "union", "except", "intersect"):
            level.tables = level.expected = True
        elif word in _WRITES and before in ("", "(", ")") and self.word(self.at + 1) != "(":
            self.write(word, level)
        elif word == "from":
            if level.verb and not (before == "distinct" and self.word(self.at - 2) in ("is", "not")):
                level.tables = level.expected = True
        elif word in ("join", "straight_join"):
            level.expected = level.tables
        elif word == "using" and level.verb in ("delete", "merge") and self.word(self.at + 1) != "(":
            level.tables = level.expected = True
        elif word == "into":
            raise _Unclear  # a table is made
        elif word in _ENDS:
            level.tables = level.expected = False
            if word == "do" or (word == "when" and level.verb == "merge"):
                self.text.rereads = True
        elif word == "duplicate" and level.verb == "insert":
            self.text.rereads = True
        else:
            return level.expected and word in _WITHIN
        return True

    def write(self, verb: str, level: _Level) -> None:
        """INSERT [OR …] INTO name, UPDATE [OR …] [ONLY] name, DELETE FROM [ONLY] name, MERGE INTO name"""
        text = self.text
        text.kind = Kind.WRITE
        level.verb, level.common = verb, False
        if verb != "insert" or self.word(self.at + 1) in ("or", "ignore"):
            text.rereads = True
        if self.vendor == "mysql" and verb in ("update", "delete"):
            # Of several tables at once, perhaps: all that it names count as written.
            level.tables = level.expected = verb == "update"
            return
        self.at += 1
        for skipped in ("or", "abort", "fail", "ignore", "replace", "rollback", "into", "from", "only"):
            if self.word(self.at) == skipped:
                self.at += 1
        text.writes.add(self.name())
        self.at -= 1

    def defines(self) -> bool:
        """Whether here a name is defined by WITH."""
        return (
            self.tokens[self.at][0] in ("word", "quoted")
            and self.word(self.at - 1) in ("with", "recursive", ",")
            and self.word(self.at + 1) in ("as", "(")
        )

    def name(self) -> Name:
        """The name that begins here; the place moves behind it."""
        parts = []
        while True:
            if self.at >= len(self.tokens) or self.tokens[self.at][0] not in ("word", "quoted"):
                raise _Unclear
            parts.append(self.tokens[self.at][1])
            self.at += 1
            if self.word(self.at) != ".":
                return tuple(parts)
            self.at += 1
