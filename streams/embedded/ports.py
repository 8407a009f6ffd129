"""Free ports on the loopback interface."""

from __future__ import annotations

import socket

from streams.errors import ServerError

LOOPBACK = "127.0.0.1"
PORTS_TRIED = 100


def is_free(port: int) -> bool:
    """Whether a server could listen on the port now."""
    with socket.socket() as probe:
        # As servers do: a port with nothing but closed connections in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    # Where binding beside a server on 0.0.0.0 is permitted (macOS), it would take the connections away from it.
    return not accepts(port)


def any_free_port() -> int:
    """A port of the system's choice."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
    return port


def free_port_from(port: int) -> int:
    """The port, or the next free one above it.

    Raises:
        ServerError: none of the next hundred is free.
    """
    for candidate in range(port, min(port + PORTS_TRIED, 65536)):
        if is_free(candidate):
            return candidate
    raise ServerError(f"no free port from {port} to {min(port + PORTS_TRIED, 65536) - 1} on {LOOPBACK}", "use --port")


def accepts(port: int) -> bool:
    """Whether something takes connections on the port."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=1):
            return True
    except OSError:
        return False
