"""How one value is written: sizes, times, addresses, and what else an option may hold.

Lives here: a parser for each kind of value, from text or from TOML's own types.
Doesn't know: which options there are, and where the text came from.

A parser takes (value, base): `base` is the directory that a relative path starts from. It raises
ValueError with words for people.
"""

import ipaddress
import re
import shlex
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from uncork.edge.setup import Mount
from uncork.edge.sockets import Address, parse_address
from uncork.upstream.addresses import parse_origin

E = TypeVar("E", bound=Enum)


@dataclass(frozen=True, slots=True)
class Kind:
    """`metavar` stands for a value in the help; `example` is a value that is right."""

    metavar: str
    parse: Callable[[object, Path], Any]
    example: str


# number [unit]. Without one: bytes. The powers of 1024 may be written short, as nginx does.
size_text = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]*)")
SIZE_UNITS = {
    "": 1, "b": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40,
    "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30, "tib": 1 << 40,
}  # fmt: skip
TIME_UNITS = {
    "": 1.0, "ms": 0.001, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86400.0,
}  # fmt: skip


def _measure(value: object, units: dict[str, Any], said: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value)
    else:
        found = size_text.fullmatch(str(value).strip())
        if found is None or (unit := found["unit"].lower()) not in units:
            raise ValueError(f"{value!r} is not {said}")
        number = float(found["number"]) * units[unit]
    if number < 0:
        raise ValueError(f"{value!r} is less than nothing")
    return number


def size(value: object, base: Path) -> int:
    """Bytes: 65536, "64 KiB", "10MB", "2g"."""
    return round(_measure(value, SIZE_UNITS, "a size like '64 MiB'"))


def seconds(value: object, base: Path) -> float:
    """Seconds: 30, "30s", "1.5 min", "500ms", "1h"."""
    return _measure(value, TIME_UNITS, "a time like '30s' or '5 min'")


def some_seconds(value: object, base: Path) -> float:
    number = seconds(value, base)
    if not number:
        raise ValueError(f"{value!r} is no time at all")
    return number


def whole_seconds(value: object, base: Path) -> int:
    number = seconds(value, base)
    if number != int(number):
        raise ValueError(f"{value!r} is not a whole number of seconds")
    return int(number)


def count(value: object, base: Path) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,9}", str(value)) or int(str(value)) < 1:
        raise ValueError(f"{value!r} is not a whole number from 1 up")
    return int(str(value))


def fraction(value: object, base: Path) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise ValueError(f"{value!r} is not a number from 0 to 1")
    return number


def boolean(value: object, base: Path) -> bool:
    if isinstance(value, bool):
        return value
    match str(value).lower():
        case "true" | "yes" | "on" | "1":
            return True
        case "false" | "no" | "off" | "0":
            return False
    raise ValueError(f"{value!r} is neither true nor false")


def text(value: object, base: Path) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(f"{value!r} is not a text")
    return value


def path(value: object, base: Path) -> Path:
    return (base / Path(text(value, base)).expanduser()).absolute()


def access_log(value: object, base: Path) -> str:
    return str(value) if value in ("-", "off") else str(path(value, base))


def address(value: object, base: Path) -> Address:
    return parse_address(text(value, base))


def origin(value: object, base: Path) -> str:
    return str(parse_origin(text(value, base)))


def target(value: object, base: Path) -> str:
    """A path of the site, and a query if there is one: what stands in a request line."""
    if not re.fullmatch(r"/[!-~]*", text(value, base)) or "#" in str(value):
        raise ValueError(f"{value!r} is not a path of the site, like '/healthy/'")
    return str(value)


def mount(value: object, base: Path) -> Mount:
    """PREFIX=DIR, as `/static/=collected`."""
    prefix, equals, directory = text(value, base).partition("=")
    if not equals or not directory or not prefix.startswith("/"):
        raise ValueError(f"{value!r} is not PREFIX=DIR, like '/static/=/srv/site/static'")
    return Mount(prefix if prefix.endswith("/") else prefix + "/", str(path(directory, base)))


def network(value: object, base: Path) -> str:
    """CIDR, an address, or `unix`: whoever can connect to a Unix socket."""
    if value == "unix":
        return "unix"
    try:
        return str(ipaddress.ip_network(text(value, base)))
    except ValueError as error:
        raise ValueError(f"{error}; say a network like '10.0.0.0/8', an address, or 'unix'") from None


def command(value: object, base: Path) -> tuple[str, ...]:
    """A command as a shell would split it, with `{socket}` in it."""
    try:
        words = shlex.split(text(value, base))
    except ValueError as error:
        raise ValueError(f"{value!r}: {error}") from None
    if not any("{socket}" in word for word in words):
        raise ValueError(f"{value!r} must have {{socket}} where the path of its Unix socket goes")
    if shutil.which(words[0]) is None and not (base / words[0]).exists():
        raise ValueError(f"there is no command {words[0]!r}")
    return tuple(words)


def application(value: object, base: Path) -> str:
    """MODULE:NAME; of a module alone, as for gunicorn, `application`."""
    module, colon, name = text(value, base).partition(":")
    if not re.fullmatch(r"[\w.]+", module) or (colon and not re.fullmatch(r"[\w.]+", name)):
        raise ValueError(f"{value!r} is not MODULE:NAME, like 'mysite.wsgi:application'")
    return f"{module}:{name or 'application'}"


def one_of(members: type[E]) -> Kind:
    """The value of a member of an enumeration."""
    known = [str(member.value) for member in members]

    def parse(value: object, base: Path) -> E:
        for member in members:
            if value == member.value:
                return member
        raise ValueError(f"{value!r} is not one of {', '.join(known)}")

    return Kind("|".join(known), parse, known[0])


SIZE = Kind("SIZE", size, "64 MiB")
SECONDS = Kind("TIME", seconds, "30s")
SOME_SECONDS = Kind("TIME", some_seconds, "30s")
WHOLE_SECONDS = Kind("TIME", whole_seconds, "10 min")
COUNT = Kind("N", count, "4")
FRACTION = Kind("FRACTION", fraction, "0.1")
BOOLEAN = Kind("true|false", boolean, "true")
TEXT = Kind("TEXT", text, "secret")
PATH = Kind("PATH", path, ".uncork")
ACCESS_LOG = Kind("PATH|-|off", access_log, "/var/log/uncork.log")
ADDRESS = Kind("ADDRESS", address, "127.0.0.1:8000")
ORIGIN = Kind("URL", origin, "http://127.0.0.1:9000")
TARGET = Kind("/PATH", target, "/healthy/")
MOUNT = Kind("PREFIX=DIR", mount, "/static/=/srv/site/static")
NETWORK = Kind("CIDR|unix", network, "10.0.0.0/8")
COMMAND = Kind("COMMAND", command, "uvicorn mysite.asgi:application --uds {socket}")
APPLICATION = Kind("MODULE[:NAME]", application, "mysite.wsgi:application")
