"""The benchmark: Uncork beside the servers that people use today, in one run on one machine.

A program, not a part of the package: nothing in `uncork` imports it, and it starts every server,
Uncork included, as its users do: from the command line.
"""
