"""How values are written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.cli import values
from uncork.edge.resolve import Symlinks
from uncork.edge.setup import Mount

BASE = Path("/srv/site")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (65536, 65536),
        ("65536", 65536),
        ("0", 0),
        ("64 KiB", 65536),
        ("64kib", 65536),
        ("10MB", 10_000_000),
        ("10 M", 10 << 20),
        ("2g", 2 << 30),
        ("1.5 GiB", 3 << 29),
        ("1TiB", 1 << 40),
    ],
)
def test_sizes(text: object, size: int) -> None:
    assert values.size(text, BASE) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (30, 30.0),
        (1.5, 1.5),
        ("30", 30.0),
        ("30s", 30.0),
        ("500ms", 0.5),
        ("5 min", 300.0),
        ("5m", 300.0),
        ("1h", 3600.0),
        ("1.5d", 129600.0),
    ],
)
def test_times(text: object, seconds: float) -> None:
    assert values.seconds(text, BASE) == seconds


@pytest.mark.parametrize("text", ["", "MiB", "64 MiBs", "-1", "1e3", "five", "64 KiB 2", True, -1])
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(ValueError):
        values.size(text, BASE)


@given(st.integers(0, 2**60), st.sampled_from(sorted(values.SIZE_UNITS)), st.sampled_from(["", " "]))
def test_every_unit(number: int, unit: str, space: str) -> None:
    found = values.size(f"{number}{space}{unit}", BASE)
    assert found == pytest.approx(number * values.SIZE_UNITS[unit], rel=1e-12)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (values.APPLICATION, "mysite.wsgi", "mysite.wsgi:application"),
        (values.APPLICATION, "mysite.wsgi:app.inner", "mysite.wsgi:app.inner"),
        (values.TARGET, "/up/?deep=1", "/up/?deep=1"),
        (values.COUNT, 3, 3),
        (values.COUNT, "3", 3),
        (values.WHOLE_SECONDS, "10 min", 600),
        (values.FRACTION, "0.25", 0.25),
        (values.FRACTION, 1, 1.0),
        (values.BOOLEAN, True, True),
        (values.BOOLEAN, "off", False),
        (values.BOOLEAN, "Yes", True),
        (values.PATH, "state", BASE / "state"),
        (values.PATH, "/state", Path("/state")),
        (values.ACCESS_LOG, "-", "-"),
        (values.ACCESS_LOG, "off", "off"),
        (values.ACCESS_LOG, "a.log", "/srv/site/a.log"),
        (values.ORIGIN, "http://h:9000", "http://h:9000"),
        (values.ORIGIN, "unix:/o.sock", "http+unix:/o.sock"),
        (values.MOUNT, "/static=files", Mount("/static/", "/srv/site/files")),
        (values.MOUNT, "/a/=/b=c", Mount("/a/", "/b=c")),
        (values.NETWORK, "10.0.0.0/8", "10.0.0.0/8"),
        (values.NETWORK, "::1", "::1/128"),
        (values.COMMAND, "sh -c 'a b' {socket}", ("sh", "-c", "a b", "{socket}")),
        (values.COMMAND, "sh --bind=unix:{socket}", ("sh", "--bind=unix:{socket}")),
        (values.APPLICATION, "mysite.wsgi:application", "mysite.wsgi:application"),
        (values.one_of(Symlinks), "never", Symlinks.NEVER),
    ],
)
def test_values(kind: values.Kind, text: object, value: object) -> None:
    assert kind.parse(text, BASE) == value


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        (values.COUNT, 0, "from 1 up"),
        (values.COUNT, True, "from 1 up"),
        (values.COUNT, "1.5", "from 1 up"),
        (values.SECONDS, "30 parsecs", "a time like '30s'"),
        (values.WHOLE_SECONDS, "1.5s", "whole number of seconds"),
        (values.FRACTION, "1.5", "from 0 to 1"),
        (values.BOOLEAN, "maybe", "neither true nor false"),
        (values.TEXT, 3, "not a text"),
        (values.TEXT, "", "not a text"),
        (values.ADDRESS, "https://:443", "comes later"),
        (values.ORIGIN, "https://h", "not supported yet"),
        (values.MOUNT, "files", "PREFIX=DIR"),
        (values.MOUNT, "/static/=", "PREFIX=DIR"),
        (values.NETWORK, "10.0.0.1/8", "has host bits set"),
        (values.COMMAND, "sh -c 'a", "No closing quotation"),
        (values.COMMAND, "sh -c a", r"must have \{socket\}"),
        (values.COMMAND, "no-such-command {socket}", "there is no command 'no-such-command'"),
        (values.APPLICATION, "mysite.wsgi:", "MODULE:NAME"),
        (values.SOME_SECONDS, "0s", "'0s' is no time at all"),
        (values.TARGET, "up", "is not a path of the site"),
        (values.TARGET, "/a b", "is not a path of the site"),
        (values.TARGET, "/a\n", "is not a path of the site"),
        (values.TARGET, "/ä", "is not a path of the site"),
        (values.one_of(Symlinks), "some", "never, inside, always"),
    ],
)
def test_what_is_no_value(kind: values.Kind, text: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        kind.parse(text, BASE)
