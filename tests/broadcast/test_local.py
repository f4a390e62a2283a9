"""Tests for :mod:`nostrtx.broadcast.local`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.broadcast.local import LocalBroadcaster
from nostrtx.interfaces.processes import IBroadcaster
from tests.broadcast.fakes import FakeBroadcaster


class LocalBroadcasterTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.broadcast.local.LocalBroadcaster`."""

    def test_interface(self) -> None:
        """It is a broadcaster, and so is the fake one."""
        self.assertTrue(verifyObject(IBroadcaster, LocalBroadcaster()))
        self.assertTrue(verifyObject(IBroadcaster, FakeBroadcaster()))

    def test_alone(self) -> None:
        """It starts and stops at once, and there is nobody to miss any news."""
        here = LocalBroadcaster("laptop")
        here.listen("stored", lambda sender, payload: self.fail("heard something"))
        self.successResultOf(here.start())
        self.assertTrue(here.publish("stored", b"\0\xff"))
        self.assertEqual(here.facts(), {})
        self.successResultOf(here.stop())
        self.assertEqual(here.name, "laptop")
