"""Tests for :mod:`nostrtx.storage.untouched`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from nostrtx.interfaces.store import IEventStore
from nostrtx.storage.memory import MemoryEventStore
from nostrtx.storage.untouched import UntouchedStore


class UntouchedStoreTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.storage.untouched.UntouchedStore`."""

    def setUp(self) -> None:
        """A store with one record."""
        self.inner = MemoryEventStore()
        self.inner.open()
        self.successResultOf(self.inner.change_record("a", lambda there: b"1"))
        self.store = UntouchedStore(self.inner)

    def test_interface(self) -> None:
        """It is a store like any other."""
        self.assertTrue(verifyObject(IEventStore, self.store))
        self.assertEqual(self.store.last_seq(), 0)

    def test_record(self) -> None:
        """A change is seen by whoever made it, and by nobody else."""
        self.assertEqual(self.store.record("a"), b"1")
        changing = self.store.change_record("a", lambda there: (there or b"") + b"2")
        self.assertTrue(self.successResultOf(changing))
        self.assertEqual(self.store.record("a"), b"12")
        self.assertEqual(self.inner.record("a"), b"1")

    def test_nothing_changed(self) -> None:
        """A record may be left as it is."""
        changing = self.store.change_record("b", lambda there: None)
        self.assertFalse(self.successResultOf(changing))
        self.assertIsNone(self.store.record("b"))
