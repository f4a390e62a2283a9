"""Ports for servers that cannot choose one themselves."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_ports(count: int) -> list[int]:
    """
    Some ports of the loopback interface on which nobody listens, all different.

    With bad luck somebody else takes one before the server does.
    """
    with ExitStack() as held:
        return [
            held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
            for _ in range(count)
        ]


def free_port() -> int:
    """One such port."""
    (port,) = free_ports(1)
    return port
