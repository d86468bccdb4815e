"""What a head has of the inputs that select among the answers to a request line.

Lives here: reading them off a head, what of it can be known beforehand, once. Doesn't know: the answers.
"""

from uncork.pages import keys
from uncork.semantics.fields import Field, Fields
from uncork.wire.known import VOLATILE_NAMES, Block, Shape

# The values of the inputs that select among the answers to a request line.
Selection = tuple[keys.Input, ...]

# Kinds of pages, by what selects among them, that a block knows its selecting lines of.
_MOST_SELECTED = 8


class Selector:
    """Reads inputs off heads: `names` are these, as in `pages.keys`, none of them in the request target."""

    __slots__ = ("_fields", "_needles", "names")

    def __init__(self, names: tuple[bytes, ...]) -> None:
        self.names = names
        self._fields = keys.fields_read(names)
        # Where cookies are all that differs from request to request.
        differs = self._fields & VOLATILE_NAMES
        self._needles = keys.cookie_needles(names) if differs == {b"cookie"} else None

    def select(self, block: Block, volatile: tuple[Field, ...]) -> Selection:
        """What a head has of the inputs."""
        steady, selected = self._known(block)
        lines = [item for item in volatile if item[0] in self._fields]
        return keys.select_from(self.names, None, Fields((*steady, *lines))) if lines else selected

    def select_fast(self, shape: Shape, values: list[bytes]) -> Selection:
        """The same for a head of that shape, with these values in it."""
        needles = self._needles
        if needles is not None and shape.cookie >= 0:
            return keys.with_cookies(self._known(shape.block)[1], needles, values[shape.cookie])
        return self.select(shape.block, shape.volatile(values))

    def _known(self, block: Block) -> tuple[tuple[Field, ...], Selection]:
        """Which lines of a block have a say, and what they select where no volatile one has. It is worked out
        once."""
        known: tuple[tuple[Field, ...], Selection] | None = block.selected.get(self.names)
        if known is None:
            if len(block.selected) >= _MOST_SELECTED:
                block.selected.clear()
            steady = tuple([item for item in block.items if item[0] in self._fields])
            selected = keys.select_from(self.names, None, Fields(steady))
            known = block.selected[self.names] = steady, selected
        return known
