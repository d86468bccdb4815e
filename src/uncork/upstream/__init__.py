"""Asking the origin over HTTP/1.1: addresses, connections and their pool, one fetch per key, health."""
