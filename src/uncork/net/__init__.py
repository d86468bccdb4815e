"""Sockets: the event loop, connections, sending files."""
