"""Ports on loopback."""

import socket


def free_port() -> int:
    """A port that was free a moment ago, for programs that cannot be asked which one they took."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
