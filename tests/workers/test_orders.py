"""Tests for :mod:`nostrtx.workers.orders`."""

from __future__ import annotations

import os

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.settings.file import parse_settings
from nostrtx.workers.orders import Orders, pack_orders, receive_orders

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

    def test_exact(self) -> None:
        """All settings arrive as they are, whatever their form."""
        settings = parse_settings(_SETTINGS)
        orders = Orders(settings, 2, "node/2", ((5, 7), (6,)), 4, "twisted.internet.x")
        with pack_orders(orders) as packed:
            inherited = os.dup(packed.fileno())
        received = receive_orders(inherited)
        self.assertEqual(received, orders)
        self.assertEqual(received.settings.nip05.names, settings.nip05.names)

    def test_secret(self) -> None:
        """Orders are in no directory, where others might find the secrets in them."""
        orders = Orders(parse_settings(""), 1, "node/1", (), 4, "")
        with pack_orders(orders) as packed:
            self.assertEqual(os.fstat(packed.fileno()).st_nlink, 0)

    def test_closed(self) -> None:
        """Once they are read, the file is closed: children do not get it."""
        orders = Orders(parse_settings(""), 1, "node/1", (), 4, "")
        with pack_orders(orders) as packed:
            inherited = os.dup(packed.fileno())
        receive_orders(inherited)
        self.assertRaises(OSError, os.fstat, inherited)
