"""Tests for :mod:`nostrtx.sync.peer`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.sync.peer import Peer, peer_of


class PeerTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.sync.peer.peer_of`."""

    def test_stated(self) -> None:
        """What a relay states holds."""
        document = {
            "limitation": {
                "max_message_length": 131_072,
                "max_limit": 5000,
                "max_subscriptions": 20,
            }
        }
        self.assertEqual(peer_of(document), Peer(131_072, 5000, 20))

    def test_unstated(self) -> None:
        """What it does not state, or states as nonsense, is taken to be little."""
        documents: list[object] = [
            None,
            [],
            {},
            {"limitation": []},
            {"limitation": {"max_limit": "5", "max_message_length": 0}},
            {"limitation": {"max_subscriptions": True}},
        ]
        for document in documents:
            self.assertEqual(peer_of(document), Peer())

    def test_messages_fit(self) -> None:
        """Neither a REQ by ids nor a NEG-MSG is longer than the relay takes."""
        for length in (16_384, 65_536, 131_072, 10**7):
            peer = Peer(max_message_bytes=length, max_limit=5000)
            self.assertLessEqual(2 * peer.frame_bytes + 200, length)
            self.assertLessEqual(67 * peer.ids_at_once + 100, length)
            self.assertGreaterEqual(peer.frame_bytes, 4096)
        self.assertEqual(Peer(max_limit=7).ids_at_once, 7)
        self.assertEqual(Peer(max_message_bytes=10).ids_at_once, 1)
