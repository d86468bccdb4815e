"""Uncork: one program in front of Django that makes every page as cheap as a static file."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0.dev0"

# What a project's code calls; the rest of Uncork knows no Django.
_OF_DJANGO = ("cached", "depends_on", "if_match", "never", "purge")


def __getattr__(name: str) -> Any:
    if name in _OF_DJANGO:
        return getattr(import_module("uncork.django"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
