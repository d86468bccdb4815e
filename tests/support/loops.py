"""Tests that run on Uncork's loop."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from uncork.net.loop import run

# Seconds after which a test that hangs fails.
LONGEST = 30


def on_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Make a plain test of a coroutine function; what the loop would only log fails it."""

    @functools.wraps(test)
    def plain(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            reported: list[dict[str, Any]] = []
            asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))
            async with asyncio.timeout(LONGEST):
                await test(*args, **kwargs)
            assert not reported, reported

        run(main())

    return plain


async def until(condition: Callable[[], bool]) -> None:
    """Turn the loop until something holds that no event tells of."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.001)
