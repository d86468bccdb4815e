"""RFC 9111 with its extensions, without I/O: what may be stored, for how long, and for whom."""
