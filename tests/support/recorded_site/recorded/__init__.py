"""A Django site that reads and writes rows in every way there is: what the recorder is held against.

Nothing here knows Uncork, but for one page that depends on a file, and says so. Every page is the same bytes
whenever the same request finds the same data.
"""
