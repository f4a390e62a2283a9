# -*- test-case-name: tests.workers.test_orders -*-
"""
What a worker is told when it starts, in a file in memory that it inherits.

The settings travel as values, at the start and when they change later: no worker reads
a file of which the others may have read another version.
Unlike a socket, such a file takes any size before there is anybody who reads it.
"""

from __future__ import annotations

import os
import pickle
from typing import BinaryIO

import attrs

from nostrtx.settings.tree import Settings


@attrs.frozen
class Orders:
    """
    Attributes:
        settings: Of the relay.
        number: Of this worker, from 1.
        name: What it is called among the relay's processes.
        ports: Descriptors of the ports to serve, of each one or several, in the order
            of the endpoints.
        bus: Descriptor of the connection to the other workers.
        reactor: The module that installs the reactor.
    """

    settings: Settings
    number: int
    name: str
    ports: tuple[tuple[int, ...], ...]
    bus: int
    reactor: str


def pack_orders(orders: Orders) -> BinaryIO:
    """
    Orders as a file for a process that inherits it; the caller closes it here.

    Raises:
        OSError: There is no room for them.
    """
    return _packed(orders)


def pack_settings(settings: Settings) -> BinaryIO:
    """
    Settings that changed, as a file for a process that is sent its descriptor.

    Raises:
        OSError: There is no room for them.
    """
    return _packed(settings)


def _packed(value: object) -> BinaryIO:
    packed = open(os.memfd_create("orders"), "w+b")
    try:
        pickle.dump(value, packed)
        packed.seek(0)
    except BaseException:
        packed.close()
        raise
    return packed


def receive_orders(descriptor: int) -> Orders:
    """The orders in a file that was inherited; it is closed."""
    with open(descriptor, "rb") as packed:
        orders = pickle.load(packed)
    assert isinstance(orders, Orders)
    return orders


def receive_settings(descriptor: int) -> Settings:
    """The settings in a file whose descriptor was sent; it is closed."""
    with open(descriptor, "rb") as packed:
        settings = pickle.load(packed)
    assert isinstance(settings, Settings)
    return settings
