"""Where the project's settings say that the state directory is. Run as `python -m uncork.django.statedir`.

Lives here: one look at the settings, without the applications. Doesn't know: what else may name it.
"""

from collections.abc import Mapping
from typing import Any

from uncork.django.answers import Refused, answer, in_words


def state_dir(arguments: list[str]) -> Mapping[str, Any]:
    """Keys: state_dir, None where the settings don't say."""
    try:
        from uncork.django.options import options

        found = options().state_dir
    except Exception as error:
        raise Refused(in_words(error)) from None
    return {"state_dir": None if found is None else str(found)}


if __name__ == "__main__":
    answer(state_dir)
