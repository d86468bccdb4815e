"""Every order in which the steps of concurrent actors can happen, one after the other.

An actor is a function that is handed `step` and calls it where others may come in between. Actors run in
threads of which exactly one moves at any time, so a schedule is a list of actors, and the same schedule
always gives the same run.
"""

import threading
from collections.abc import Callable, Iterator

Step = Callable[[], None]
Actor = Callable[[Step], None]


class _Runner(threading.Thread):
    """An actor that moves from one step to the next when it is told to."""

    def __init__(self, actor: Actor) -> None:
        super().__init__(daemon=True)
        self._actor = actor
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self.done = False
        self.error: BaseException | None = None

    def run(self) -> None:
        self._go.acquire()
        try:
            self._actor(self._step)
        except BaseException as error:
            self.error = error
        self.done = True
        self._stopped.release()

    def _step(self) -> None:
        self._stopped.release()
        self._go.acquire()

    def move(self) -> None:
        self._go.release()
        self._stopped.acquire()
        if self.error is not None:
            raise self.error


def run(actors: list[Actor], prefix: list[int]) -> list[tuple[int, list[int]]]:
    """Run the actors: first in the order of `prefix`, then always the first that can move.

    The moves: who moved, and who could have.
    """
    runners = [_Runner(actor) for actor in actors]
    for runner in runners:
        runner.start()
    moves: list[tuple[int, list[int]]] = []
    while ready := [at for at, runner in enumerate(runners) if not runner.done]:
        chosen = prefix[len(moves)] if len(moves) < len(prefix) else ready[0]
        runners[chosen].move()
        moves.append((chosen, ready))
    for runner in runners:
        runner.join()
    return moves


def interleavings(world: Callable[[], list[Actor]]) -> Iterator[list[int]]:
    """Run a fresh `world` under each schedule there is; yields the schedule after each run."""
    pending: list[list[int]] = [[]]
    while pending:
        prefix = pending.pop()
        moves = run(world(), prefix)
        order = [chosen for chosen, _ in moves]
        for at in range(len(prefix), len(moves)):
            chosen, ready = moves[at]
            pending += [[*order[:at], other] for other in ready if other != chosen]
        yield order
