# -*- test-case-name: tests.workers.test_orders -*-
"""
What a worker is told when it starts, over a socket that it inherits.

The settings travel as values: a file that has changed meanwhile is not read again.
"""

from __future__ import annotations

import pickle
import socket
import struct

import attrs

from nostrtx.config import Settings

_LENGTH = struct.Struct(">I")


@attrs.frozen
class Orders:
    """
    Attributes:
        settings: Of the relay.
        number: Of this worker, from 1.
        name: What it is called among the relay's processes.
        ports: Descriptors of the ports to serve, in the order of the endpoints.
        bus: Descriptor of the connection to the other workers.
        reactor: The module that installs the reactor.
    """

    settings: Settings
    number: int
    name: str
    ports: tuple[int, ...]
    bus: int
    reactor: str


class OrdersMissing(Exception):
    """The socket was closed before the orders came."""


def pack_orders(orders: Orders) -> bytes:
    """Orders as they are sent."""
    packed = pickle.dumps(orders)
    return _LENGTH.pack(len(packed)) + packed


def receive_orders(control: socket.socket) -> Orders:
    """
    Wait for the orders; the socket is blocking, and its other end is our parent.

    Raises:
        OrdersMissing: There are none.
    """
    (length,) = _LENGTH.unpack(_receive(control, _LENGTH.size))
    orders = pickle.loads(_receive(control, length))
    assert isinstance(orders, Orders)
    return orders


def _receive(control: socket.socket, size: int) -> bytes:
    received = control.recv(size, socket.MSG_WAITALL)
    if len(received) < size:
        raise OrdersMissing
    return received
