"""Asking the origin."""
