"""Tests for :mod:`nostrtx.relay.log_news`."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.log_news import (
    NewsError,
    Run,
    pack_ids,
    runs,
    unpack_ids,
    unpack_run,
)

_RAW = st.binary(max_size=40)


class RunTests(SynchronousTestCase):
    """Messages about stored events."""

    @given(st.integers(1, 2**60), st.lists(_RAW, min_size=1))
    def test_round_trip(self, first: int, events: list[bytes]) -> None:
        """A run arrives as it was sent, whatever bytes its events have."""
        run = Run(first, first + len(events) - 1, events)
        self.assertEqual(unpack_run(run.pack()), run)

    def test_without_events(self) -> None:
        """Where all read the same store, a message only says how far the log goes."""
        message = Run(3, 500).pack()
        self.assertEqual(len(message), 16)
        run = unpack_run(message)
        self.assertEqual((run.first, run.last, list(run.events)), (3, 500, []))

    @given(st.lists(_RAW, min_size=1, max_size=4), st.data())
    def test_cut_off(self, events: list[bytes], data: st.DataObject) -> None:
        """Of a message that is cut off, nothing is believed but its very beginning."""
        message = Run(7, 6 + len(events), events).pack()
        cut = data.draw(st.integers(0, len(message) - 1).filter(lambda at: at != 16))
        self.assertRaises(NewsError, unpack_run, message[:cut])

    def test_contradiction(self) -> None:
        """A message that says one thing and holds another is refused."""
        for run in (Run(1, 3, [b"a"]), Run(1, 1, [b"a", b"b"]), Run(2, 1), Run(0, 1)):
            self.assertRaises(NewsError, unpack_run, run.pack())

    def test_holes(self) -> None:
        """A run ends where one stored event is not followed by the next."""
        stored = [(1, b"a"), (2, b"b"), (5, b"c"), (6, b"d"), (8, b"e")]
        self.assertEqual(
            list(runs(stored)),
            [Run(1, 2, [b"a", b"b"]), Run(5, 6, [b"c", b"d"]), Run(8, 8, [b"e"])],
        )
        self.assertEqual(list(runs([])), [])

    def test_long(self) -> None:
        """Many large events are parted into messages that are not very long."""
        stored = [(seq, bytes(100_000)) for seq in range(1, 11)]
        parts = list(runs(stored))
        self.assertGreater(len(parts), 2)
        self.assertEqual(
            [
                (part.first + at, raw)
                for part in parts
                for at, raw in enumerate(part.events)
            ],
            stored,
        )
        self.assertLess(max(len(part.pack()) for part in parts), 500_000)


class IdsTests(SynchronousTestCase):
    """Messages about removed events."""

    def test_round_trip(self) -> None:
        """Ids arrive in order."""
        ids = [bytes([number]) * 32 for number in range(3)]
        self.assertEqual(unpack_ids(pack_ids(ids)), ids)
        self.assertEqual(unpack_ids(b""), [])

    def test_cut_off(self) -> None:
        """A message that ends within an id is refused."""
        self.assertRaises(NewsError, unpack_ids, bytes(33))
