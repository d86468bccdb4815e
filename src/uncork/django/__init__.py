"""Uncork inside the Django process."""
