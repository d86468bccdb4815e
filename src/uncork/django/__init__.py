"""Uncork inside the Django process."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uncork.django.decorators import cached as cached
    from uncork.django.decorators import depends_on as depends_on
    from uncork.django.decorators import if_match as if_match
    from uncork.django.decorators import never as never
    from uncork.django.decorators import purge as purge

__all__ = ["cached", "depends_on", "if_match", "never", "purge"]


def __getattr__(name: str) -> Any:
    """Only when it is asked for: this is imported before there are settings, and where there is no Django."""
    if name in __all__:
        return getattr(import_module("uncork.django.decorators"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
