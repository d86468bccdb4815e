"""RFC 9112 without I/O: bytes to messages and messages to bytes."""
