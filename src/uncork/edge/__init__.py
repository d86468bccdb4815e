"""The journey of a request, and the processes that serve it."""
