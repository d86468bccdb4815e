"""Uncork: one program in front of Django that makes every page as cheap as a static file."""

__version__ = "0.1.0.dev0"
