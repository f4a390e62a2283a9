"""How every store keeps what is no event, under a name."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from tests.storage.store_case import StoreCase


class RecordTests(StoreCase):
    """Tests for the methods about records of a store."""

    def record(self, name: str) -> bytes | None:
        """What is kept under a name, after waiting for it if need be."""
        record = self.store.record(name)
        return self.result_of(record) if isinstance(record, Deferred) else record

    def change(self, name: str, fresh: bytes | None) -> bytes | None:
        """Change what is kept under a name; what there was."""
        seen: list[bytes | None] = []

        def change(there: bytes | None) -> bytes | None:
            seen.append(there)
            return fresh

        changed = self.result_of(self.store.change_record(name, change))
        self.assertEqual(changed, fresh is not None)
        return seen[-1]

    def test_none(self) -> None:
        """Nothing is kept under a name that was never used."""
        self.assertIsNone(self.record("name"))

    def test_changed(self) -> None:
        """Bytes are kept as they are, and whoever changes them sees what there was."""
        self.assertIsNone(self.change("name", b"\0first\xff"))
        self.assertEqual(self.record("name"), b"\0first\xff")
        self.assertEqual(self.change("name", b""), b"\0first\xff")
        self.assertEqual(self.record("name"), b"")
        self.assertEqual(self.change("name", bytes(3000)), b"")
        self.assertEqual(self.record("name"), bytes(3000))

    def test_left(self) -> None:
        """Whoever looks at what there is may leave it as it is."""
        self.assertIsNone(self.change("name", None))
        self.assertIsNone(self.record("name"))
        self.change("name", b"kept")
        self.assertEqual(self.change("name", None), b"kept")
        self.assertEqual(self.record("name"), b"kept")

    def test_names(self) -> None:
        """Each name has something of its own."""
        self.change("one", b"1")
        self.change("zwei ä", b"2")
        self.assertEqual(self.record("one"), b"1")
        self.assertEqual(self.record("zwei ä"), b"2")
