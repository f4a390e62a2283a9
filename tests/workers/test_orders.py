"""Tests for :mod:`nostrtx.workers.orders`."""

from __future__ import annotations

import socket

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.config_file import parse_settings
from nostrtx.workers.orders import Orders, OrdersMissing, pack_orders, receive_orders

_SETTINGS = """
[relay]
name = "Grüße"
[nip05.names]
_ = "46fcbe3065eaf1ae7811465924e48923363ff3f526bd6f73d7c184b16bd8ce4d"
[auth]
write_kinds = [1, 2]
[cluster]
workers = 2
"""


class OrdersTests(SynchronousTestCase):
    """What a worker is told."""

    def setUp(self) -> None:
        """A socket between two processes."""
        self.ours, self.theirs = socket.socketpair()
        self.addCleanup(self.ours.close)
        self.addCleanup(self.theirs.close)

    def test_exact(self) -> None:
        """All settings arrive as they are, whatever their form."""
        settings = parse_settings(_SETTINGS)
        orders = Orders(settings, 2, "node/2", (5, 6), 4, "twisted.internet.x")
        self.ours.sendall(pack_orders(orders))
        received = receive_orders(self.theirs)
        self.assertEqual(received, orders)
        self.assertEqual(received.settings.nip05.names, settings.nip05.names)

    def test_supervisor_gone(self) -> None:
        """Without a supervisor there are no orders, nor are there half of them."""
        orders = Orders(parse_settings(""), 1, "node/1", (), 4, "")
        self.ours.sendall(pack_orders(orders)[:-1])
        self.ours.close()
        self.assertRaises(OrdersMissing, receive_orders, self.theirs)
        self.assertRaises(OrdersMissing, receive_orders, self.theirs)
