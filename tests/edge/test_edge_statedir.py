"""A state directory that another user could write into is refused."""

import os
import re
from pathlib import Path

import pytest

from support.uncork_process import run_uncork
from uncork.edge.statedir import weakness

STATIC = ("static", ".", "--bind", "127.0.0.1:0", "--state-dir", "state")
SERVE = ("serve", "--origin", "http://127.0.0.1:1", "--bind", "127.0.0.1:0", "--state-dir", "state")

US, ROOT, OTHER = 54320, 0, 54321


@pytest.mark.parametrize(
    ("mode", "owner", "us", "said"),
    [
        (0o700, US, US, None),
        (0o755, US, US, None),
        (0o2750, US, US, None),
        (0o755, ROOT, US, None),
        (0o700, ROOT, ROOT, None),
        # A volume in a container: the group is how we may write.
        (0o2775, ROOT, US, None),
        (0o770, US, US, "its group may write to it, .* chmod go-w /s"),
        (0o2775, ROOT, ROOT, "its group may write to it, .* chmod go-w /s"),
        (0o702, US, US, "everybody may write to it, .* chmod go-w /s"),
        (0o777, US, US, "everybody may write to it, .* chmod go-w /s"),
        (0o1777, ROOT, US, "everybody may write to it, .* chmod go-w /s"),
        (0o2777, ROOT, US, "everybody may write to it, .* chmod go-w /s"),
        (0o700, OTHER, US, "the user 54321 owns it, .* chown -R 54320 /s"),
        (0o755, OTHER, ROOT, "the user 54321 owns it, .* chown -R (root|0) /s"),
        (0o755, US, ROOT, "owns it, .* chown -R (root|0) /s"),
        (0o777, OTHER, US, "the user 54321 owns it"),
    ],
)
def test_who_could_write(mode: int, owner: int, us: int, said: str | None) -> None:
    status = os.stat_result((0o040000 | mode, 1, 1, 2, owner, OTHER, 0, 0, 0, 0))
    found = weakness(Path("/s"), status, us)
    if said is None:
        assert found is None
    else:
        assert found is not None and re.search(said, found), found


@pytest.mark.parametrize("command", [SERVE, (*SERVE, "--check"), STATIC])
def test_it_is_refused_in_one_line(tmp_path: Path, command: tuple[str, ...]) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(0o777)
    found = run_uncork(*command, cwd=tmp_path)
    assert found.returncode == 2
    assert found.stderr == (
        f"uncork: the state directory {state} is not safe: everybody may write to it, and so change what is "
        f"served; chmod go-w {state}\n"
    )
    assert list(state.iterdir()) == []
