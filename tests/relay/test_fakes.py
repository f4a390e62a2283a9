"""Tests for :mod:`tests.relay.fakes`: the fakes are what they stand for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.edge import IClient, ITurns
from nostrtx.interfaces.queries import IStoredCount, IStoredQuery
from nostrtx.interfaces.store import IEventStore
from tests.relay.fakes import FakeClient, FakeTurns, HeldStore


class FakesTests(SynchronousTestCase):
    """Each fake provides the whole interface."""

    def test_interfaces(self) -> None:
        """A relay can be given any of them."""
        self.assertTrue(verifyObject(IClient, FakeClient()))
        self.assertTrue(verifyObject(ITurns, FakeTurns()))
        store = HeldStore()
        self.assertTrue(verifyObject(IEventStore, store))
        self.assertTrue(verifyObject(IStoredQuery, store.query([], 0)))
        self.assertTrue(verifyObject(IStoredCount, store.count([], 0)))
