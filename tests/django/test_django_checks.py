"""What `manage.py check` says of the recorder."""

from pathlib import Path

import pytest
from django.test import override_settings

from uncork.django.checks import check_settings
from uncork.django.names import MIDDLEWARE


def ids() -> list[str | None]:
    return [message.id for message in check_settings()]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNCORK_STATE_DIR", str(tmp_path / "state"))
    (tmp_path / "state").mkdir()
    return tmp_path / "state"


def test_all_in_order(state: Path) -> None:
    with override_settings(MIDDLEWARE=[MIDDLEWARE, "x"]):
        assert ids() == []


def test_the_middleware_is_missing_or_late(state: Path) -> None:
    with override_settings(MIDDLEWARE=["x"]):
        assert ids() == ["uncork.W001"]
    with override_settings(MIDDLEWARE=["x", MIDDLEWARE]):
        assert ids() == ["uncork.E002"]


def test_an_option_that_is_none(state: Path) -> None:
    with override_settings(MIDDLEWARE=[MIDDLEWARE], UNCORK={"max_aeg": 1}):
        (message,) = check_settings()
    assert message.id == "uncork.E001" and "did you mean 'max_age'?" in str(message.msg)


def test_there_is_no_state_directory(state: Path) -> None:
    state.rmdir()
    with override_settings(MIDDLEWARE=[MIDDLEWARE]):
        (message,) = check_settings()
    assert message.id == "uncork.W002" and str(state) in str(message.msg)
