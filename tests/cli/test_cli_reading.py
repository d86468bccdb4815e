"""Flags over the environment over the file over defaults; and what is wrong is named where it stands."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uncork.cli.options import Options
from uncork.cli.reading import find_line, read
from uncork.edge.plan import BadConfiguration
from uncork.edge.setup import Mount
from uncork.edge.sockets import TcpAddress, UnixAddress
from uncork.edge.static import HashedBy


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "uncork.toml"


def test_nothing_said_is_the_defaults(tmp_path: Path) -> None:
    assert read({}, {}, None, tmp_path) == Options()


@pytest.mark.parametrize(
    ("flag", "variable", "line", "workers"),
    [
        ("1", "2", "workers = 3", 1),
        (None, "2", "workers = 3", 2),
        (None, None, "workers = 3", 3),
        (None, None, "workers = '4'", 4),
        (None, None, "", None),
    ],
)
def test_precedence(
    config: Path, flag: str | None, variable: str | None, line: str, workers: int | None
) -> None:
    config.write_text(f"[server]\n{line}\n")
    environment = {} if variable is None else {"UNCORK_WORKERS": variable}
    assert read({"workers": flag}, environment, config, config.parent).workers == workers


def test_several_values_replace_and_do_not_add_up(config: Path) -> None:
    config.write_text('[server]\nbind = ["127.0.0.1:1", "127.0.0.1:2"]\n')
    assert read({}, {}, config, config.parent).bind == (
        TcpAddress("127.0.0.1", 1),
        TcpAddress("127.0.0.1", 2),
    )
    environment = {"UNCORK_BIND": ":3, unix:/u"}
    assert read({}, environment, config, config.parent).bind == (TcpAddress("", 3), UnixAddress("/u"))
    assert read({"bind": ("h:4",)}, environment, config, config.parent).bind == (TcpAddress("h", 4),)


def test_whose_hashes_are_known(config: Path) -> None:
    assert read({}, {}, None, config.parent).static_hashed_by == (HashedBy.DJANGO,)
    environment = {"UNCORK_STATIC_HASHED_BY": "django, vite"}
    assert read({}, environment, None, config.parent).static_hashed_by == (HashedBy.DJANGO, HashedBy.VITE)
    config.write_text("[static]\nhashed-by = []\n")
    assert read({}, {}, config, config.parent).static_hashed_by == ()


def test_one_value_is_enough_for_an_array(config: Path) -> None:
    config.write_text('[server]\nbind = "127.0.0.1:1"\n')
    assert read({}, {}, config, config.parent).bind == (TcpAddress("127.0.0.1", 1),)


def test_relative_paths_start_from_where_they_are_written(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    config = tmp_path / "etc" / "uncork.toml"
    config.write_text('[static]\nserve = ["/a/=files"]\n')
    assert read({}, {}, config, tmp_path).static == (Mount("/a/", str(tmp_path / "etc" / "files")),)
    flags = {"static": ("/a/=files",), "state_dir": "state"}
    assert read(flags, {}, config, tmp_path).static == (Mount("/a/", str(tmp_path / "files")),)
    assert read(flags, {}, config, tmp_path).state_dir == tmp_path / "state"


def test_switches(config: Path) -> None:
    config.write_text("[cache]\ncompress = false\n")
    assert read({}, {}, config, config.parent).compress is False
    assert read({"compress": True}, {}, config, config.parent).compress is True
    assert read({}, {"UNCORK_COMPRESS": "yes"}, config, config.parent).compress is True


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[server]\n\nbnid = 1\n",
            "uncork.toml, line 3: there is no option 'server.bnid'; did you mean 'server.bind'?",
        ),
        (
            "[server]\nstate_dir = 'x'\n",
            "line 2: there is no option 'server.state_dir'; did you mean 'server.state-dir'?",
        ),
        ("[sever]\nbind = 1\n", "line 1: there is no table 'sever'; did you mean 'server'?"),
        ("[serve]\nbind = 1\n", "line 1: there is no table 'serve'; did you mean 'server'?"),
        ("workers = 1\n", "line 1: there is no table 'workers'; did you mean 'workers' in [server]?"),
        ("server = 1\n", "line 1: 'server' is a table: write [server]"),
        ("[server]\nworkers = 'two'\n", "line 2: server.workers: 'two' is not a whole number from 1 up"),
        ("[server]\nworkers = [1, 2]\n", "line 2: server.workers: takes one value, not 2"),
        ("[server.workers]\na = 1\n", "line 1: server.workers takes a value, not a table"),
        ("[cache]\n# store-bytes\nstore-bytes = '2 GB '\nmemory-bytes = '1 Mob'\n", "line 4: cache.memory-b"),
        ("cache.default-ttl = '1 fortnight'\n", "line 1: cache.default-ttl: '1 fortnight' is not a time"),
        ("cache = { compress = 'maybe' }\n", "line 1: cache.compress: 'maybe' is neither"),
        ("[server]\nbind = \n", "uncork.toml: not TOML: Invalid value (at line 2, column 8)"),
    ],
)
def test_what_is_wrong_in_the_file(config: Path, text: str, said: str) -> None:
    config.write_text(text)
    with pytest.raises(BadConfiguration) as raised:
        read({}, {}, config, config.parent)
    assert said in str(raised.value)


def test_all_that_is_wrong_is_said_at_once(config: Path) -> None:
    config.write_text("[server]\nworkers = 0\nnoise = 1\n")
    with pytest.raises(BadConfiguration) as raised:
        read({"fields": "many"}, {"UNCORK_WROKERS": "1", "UNCORK_GRACE": "soon"}, config, config.parent)
    lines = str(raised.value).splitlines()
    assert len(lines) == 5
    assert "environment: there is no UNCORK_WROKERS; did you mean 'UNCORK_WORKERS'?" in lines
    assert any(line.startswith("environment: UNCORK_GRACE: 'soon'") for line in lines)
    assert any(line.startswith("--fields: 'many'") for line in lines)


def test_a_file_that_can_not_be_read(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="No such file"):
        read({}, {}, tmp_path / "missing.toml", tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# \xe9\n")
    with pytest.raises(BadConfiguration, match="not UTF-8"):
        read({}, {}, tmp_path / "latin.toml", tmp_path)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("[a]\nb = 1", 2),
        (" [ a ] # here\n\n  b=1", 3),
        ("[x]\nb = 1\n[a]\nb = 1", 4),
        ("a.b = 1", 1),
        ('"a"."b" = 1', 1),
        ("[x]\na.b = 1\n[a]\n'b' = 2", 4),
        ("a = { c = 1, b = 2 }", 1),
        ("[a]\nbb = 1", None),
        ("", None),
    ],
)
def test_where_a_key_is(text: str, number: int | None) -> None:
    assert find_line(text, "a", "b") == number


@given(st.text(alphabet="ab[]={}.\"' \n#"))
def test_looking_for_a_key_never_fails(text: str) -> None:
    find_line(text, "a", "b")
    find_line(text, "a", None)
