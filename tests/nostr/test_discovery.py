"""Tests for :mod:`nostrtx.nostr.discovery`."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.discovery import discovery_tags
from nostrtx.nostr.relay_url import RelayURLError


def document(**limitation: Any) -> dict[str, Any]:
    """An information document."""
    return {"supported_nips": [1, 42], "limitation": limitation}


class DiscoveryTagsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.discovery.discovery_tags`."""

    def test_little(self) -> None:
        """Where it is, what it supports and requires is always said."""
        self.assertEqual(
            discovery_tags("WSS://Relay.Example.com", document()),
            [
                ["d", "wss://relay.example.com/"],
                ["n", "clearnet"],
                ["N", "1"],
                ["N", "42"],
                ["R", "!auth"],
                ["R", "!writes"],
                ["R", "!pow"],
                ["R", "!payment"],
            ],
        )

    def test_requirements(self) -> None:
        """They are those of the document."""
        tags = discovery_tags(
            "wss://r.example",
            document(
                auth_required=True,
                restricted_writes=True,
                min_pow_difficulty=20,
                payment_required=False,
            ),
        )
        self.assertEqual(
            [tag[1] for tag in tags if tag[0] == "R"],
            ["auth", "writes", "pow", "!payment"],
        )

    def test_networks(self) -> None:
        """The network shows in the host's name."""
        for host, network in (
            ("x.onion", "tor"),
            ("x.i2p", "i2p"),
            ("x.loki", "loki"),
            ("onion.example", "clearnet"),
        ):
            tags = discovery_tags(f"ws://{host}/", document())
            self.assertEqual(tags[1], ["n", network])

    def test_more(self) -> None:
        """Each of several values has a tag of its own."""
        tags = discovery_tags(
            "wss://r.example",
            document(),
            relay_type="PrivateInbox",
            topics=("cats", "dogs"),
            languages=("en", "de"),
            geohash="ww8p1r4t8",
        )
        self.assertEqual(
            tags[-6:],
            [
                ["T", "PrivateInbox"],
                ["t", "cats"],
                ["t", "dogs"],
                ["l", "en", "ISO-639-1"],
                ["l", "de", "ISO-639-1"],
                ["g", "ww8p1r4t8"],
            ],
        )

    def test_no_url(self) -> None:
        """Without a URL of a relay there is nothing to announce."""
        for url in ("", "https://relay.example", "relay.example"):
            self.assertRaises(RelayURLError, discovery_tags, url, document())
