"""Options from a TOML file, the environment and flags: flags win, then the environment, then the file.

Lives here: finding each value, and naming the place of what is wrong and what was meant.
Doesn't know: what any option is for.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from uncork.cli.options import Options, Row, rows
from uncork.edge.plan import BadConfiguration
from uncork.edge.setup import CHANNEL_FD, SETUP_FD

CONFIG_VARIABLE = "UNCORK_CONFIG"

# Ours, and not options.
_KNOWN_VARIABLES = {CONFIG_VARIABLE, SETUP_FD, CHANNEL_FD}


def read(
    flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None, directory: Path
) -> Options:
    """The options. `flags` holds texts by attribute, None or () for a flag that wasn't given.

    Relative paths in `config` start from its directory, others from `directory`. Raises BadConfiguration
    with all that is wrong, a line each.
    """
    options, problems = read_what_can_be(flags, environment, config, directory)
    if problems:
        raise BadConfiguration("\n".join(problems))
    return options


def read_what_can_be(
    flags: Mapping[str, Any], environment: Mapping[str, str], config: Path | None, directory: Path
) -> tuple[Options, list[str]]:
    """As `read`, with the defaults in place of what is wrong, and what that is."""
    problems: list[str] = []
    values: dict[str, Any] = {}
    if config is not None:
        values |= _from_file(config, problems)
    values |= _from_environment(environment, directory, problems)
    for row in rows():
        given = flags.get(row.attribute)
        if given is not None and given != ():
            _take(row, given, directory, row.flag, values, problems)
    return Options(**values), problems


def _take(row: Row, given: Any, base: Path, where: str, values: dict[str, Any], problems: list[str]) -> None:
    """Parse what was given for a row, one value or several, into `values`."""
    several = given if isinstance(given, list | tuple) else (given,)
    if not row.many and len(several) != 1:
        problems.append(f"{where}: takes one value, not {len(several)}")
        return
    parsed = []
    for value in several:
        try:
            parsed.append(row.kind.parse(value, base))
        except ValueError as error:
            problems.append(f"{where}: {error}")
            return
    values[row.attribute] = tuple(parsed) if row.many else parsed[0]


def _from_environment(environment: Mapping[str, str], directory: Path, problems: list[str]) -> dict[str, Any]:
    by_variable = {row.variable: row for row in rows()}
    values: dict[str, Any] = {}
    for variable in sorted(environment):
        if not variable.startswith("UNCORK_") or variable in _KNOWN_VARIABLES:
            continue
        row = by_variable.get(variable)
        if row is None:
            problems.append(f"environment: there is no {variable}{_meant(variable, by_variable)}")
            continue
        given: Any = environment[variable]
        if row.many:  # a comma is in none of the values
            given = [part.strip() for part in given.split(",") if part.strip()]
        _take(row, given, directory, f"environment: {variable}", values, problems)
    return values


def _from_file(path: Path, problems: list[str]) -> dict[str, Any]:
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
        problems.append(f"can't read {path}: {reason}")
        return {}
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: not TOML: {error}")
        return {}
    by_key = {row.key: row for row in rows()}
    tables = {key.partition(".")[0] for key in by_key}
    values: dict[str, Any] = {}
    for table, content in tree.items():
        if table not in tables or not isinstance(content, dict):
            place = _place(path, text, table, None)
            if table in tables:
                problems.append(f"{place}: {table!r} is a table: write [{table}]")
                continue
            # The name of an option where that of a table is due is a common slip; but [serve] is a table.
            own = [key for key in by_key if key.partition(".")[2] == table and not isinstance(content, dict)]
            meant = f"; did you mean {table!r} in [{own[0].partition('.')[0]}]?" if own else ""
            problems.append(f"{place}: there is no table {table!r}{meant or _meant(table, tables)}")
            continue
        for name, value in content.items():
            key = f"{table}.{name}"
            place = _place(path, text, table, name)
            row = by_key.get(key)
            if row is None:
                meant = _meant(key, by_key) or _meant(name, [known.partition(".")[2] for known in by_key])
                problems.append(f"{place}: there is no option {key!r}{meant}")
            elif isinstance(value, dict):
                problems.append(f"{place}: {key} takes a value, not a table")
            else:
                _take(row, value, path.absolute().parent, f"{place}: {key}", values, problems)
    return values


def _meant(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word.replace("_", "-") if word.islower() else word, list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _place(path: Path, text: str, table: str, name: str | None) -> str:
    """The file, and the line where it can be told: `uncork.toml, line 3`."""
    number = find_line(text, table, name)
    return f"{path}, line {number}" if number else str(path)


# [table], with what TOML allows around it.
table_header = re.compile(r"\s*\[\s*(?P<name>[^\[\]]+?)\s*\]\s*(?:#.*)?")
# key = …, where the key may be dotted and each part quoted.
key_value = re.compile(r"\s*(?P<key>[^=#]+?)\s*=.*")


def find_line(text: str, table: str, name: str | None) -> int | None:
    """The number of the line that sets `name` in `table`, or begins the table when `name` is None.

    Lines inside a multi-line string may deceive it: it is for messages only.
    """
    current: list[str] = []
    for number, line in enumerate(text.splitlines(), 1):
        if (header := table_header.fullmatch(line)) is not None:
            current = _parts(header["name"])
            if current[0] == table and (name is None or current[1:2] == [name]):
                return number
        elif (found := key_value.fullmatch(line)) is not None:
            key = [*current, *_parts(found["key"])]
            if key[0] == table and (name is None or key[1:2] == [name]):
                return number
            # An inline table: table = { name = … }
            if key == [table] and name is not None and re.search(rf"\b{re.escape(name)}\b", line):
                return number
    return None


def _parts(key: str) -> list[str]:
    return [part.strip().strip("\"'") for part in key.split(".")]
