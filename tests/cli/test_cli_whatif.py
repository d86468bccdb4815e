"""`uncork what-if` says of a change what the change then does."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.notes_project import PATHS, SERVE, ask, fill, make_notes_project, run
from support.uncork_process import REAL, Uncork, run_uncork


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_notes_project(tmp_path_factory.mktemp("notes"))


@pytest.fixture(scope="module")
def uncork(project: Path) -> Iterator[Uncork]:
    with Uncork(*SERVE, cwd=project, program=REAL) as found:
        yield found


def what_if(project: Path, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(project, "what-if", "--json", *arguments))
    return found


def paths_in(uncork: Uncork, found: dict[str, Any]) -> set[str]:
    return {page["url"].removeprefix(f"http://{uncork.address}") for page in found["pages"]}


@pytest.mark.parametrize(
    ("pk", "change", "purged"),
    [
        ("1", {"text": "uno"}, {"/", "/1/", "/by/1/", "/raw/"}),
        ("1", {"mood": "blue"}, {"/raw/"}),
        ("3", {"text": "tres"}, {"/", "/3/", "/by/1/", "/long/3/", "/raw/"}),
        ("1", {"text": "eins", "mood": "red"}, {"/", "/1/", "/by/1/", "/raw/"}),
    ],
)
def test_it_says_what_the_change_then_does(
    project: Path, uncork: Uncork, pk: str, change: dict[str, str], purged: set[str]
) -> None:
    fill(uncork)
    found = what_if(project, "mysite.Note", pk, *change)
    assert paths_in(uncork, found) == purged
    assert found["valid"] >= len(PATHS) and sorted(found["columns"]) == sorted(change)
    assert all(ask(uncork, path).hit for path in PATHS)  # nothing was changed
    ask(uncork, f"/write/{pk}/?" + "&".join(f"{name}={value}" for name, value in change.items()))
    assert {path for path in PATHS if not ask(uncork, path).hit} == purged


def test_all_columns_and_the_tables_that_a_model_inherits_from(project: Path, uncork: Uncork) -> None:
    fill(uncork)
    of_the_model = what_if(project, "LongNote", "3", "rest")
    assert paths_in(uncork, of_the_model) == {"/long/3/"}
    assert of_the_model["tables"] == ["mysite_longnote", "mysite_note"]
    everything = what_if(project, "mysite.longnote", "3")
    assert set(everything["columns"]) == {"rest", "text", "mood", "author_id"}
    assert everything["unknown"] == ["author_id"]
    assert paths_in(uncork, everything) == {"/", "/3/", "/long/3/", "/by/1/", "/raw/"}


def test_the_tag_is_named(project: Path, uncork: Uncork) -> None:
    fill(uncork)
    ask(uncork, "/", "Cookie: theme=dark")
    text = run(project, "what-if", "mysite.Note", "2", "text")
    lines = text.splitlines()
    assert lines[0].startswith("row:     mysite.Note 2: note ")
    assert lines[1] == "changes: text"
    at = lines.index(f"  http://{uncork.address}/2/")
    assert lines[at + 1] == "      mysite_note: text of rows id=2"
    at = lines.index(f"  http://{uncork.address}/  cookie:theme 'theme=dark'")
    assert lines[at + 1].startswith("      mysite_note: text of ")
    assert f"  http://{uncork.address}/1/" not in lines


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mysite.Noot", "1"), "there is no model 'mysite.Noot'; did you mean mysite.Note"),
        (("mysite.Note", "77"), "there is no mysite.Note 77"),
        (("mysite.Note", "x"), "there is no mysite.Note x"),
        (("mysite.Note", "1", "txt"), "mysite.Note has no column 'txt'; did you mean text?"),
        (("mysite.Note", "1", "zzz"), "no column 'zzz'; there are id, text, mood, author_id"),
        (("mysite.Author", "1", "friends"), "rows of mysite.Author_friends: ask what if one of"),
        (("mysite.Note",), "Missing argument 'PK'"),
    ],
)
def test_bad_input(project: Path, uncork: Uncork, arguments: tuple[str, ...], said: str) -> None:
    done = run_uncork("what-if", *arguments, cwd=project)
    assert done.returncode == 2 and said in done.stderr, done
    assert all(line.startswith("uncork: ") for line in done.stderr.splitlines())


def test_where_there_is_no_project(project: Path, uncork: Uncork, tmp_path: Path) -> None:
    done = run_uncork("what-if", "a.B", "1", "--state-dir", str(project / ".uncork"), cwd=tmp_path)
    assert done.returncode == 2 and "whose row? There is no manage.py" in done.stderr
