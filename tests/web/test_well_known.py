"""Tests for :mod:`nostrtx.web.well_known`."""

from __future__ import annotations

import json

from nostrtx.nostr.bech32 import Npub, encode
from nostrtx.settings.access import Nip05Settings
from nostrtx.settings.identity import RelaySettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings
from nostrtx.web.site import relay_site
from tests.storage.events import ALICE, BOB
from tests.web.fakes import Edge
from tests.web.test_root import Answer
from tests.web.test_site import SiteCase


class WellKnownTests(SiteCase):
    """The names of this domain."""

    def serve(self, names: dict[str, str], url: str = "") -> None:
        """Serve names."""
        edge = Edge()
        settings = Settings(
            relay=RelaySettings(url=url), nip05=Nip05Settings(names=names)
        )
        self.site = relay_site(
            edge.websockets, LiveSettings(settings), dict, edge.clock
        )

    def get(self, query: str, method: str = "GET") -> Answer:
        """The answer to a query."""
        path = f"/.well-known/nostr.json{query}"
        return Answer(
            self.ask(f"{method} {path} HTTP/1.1\r\nHost: example.com\r\n\r\n".encode())
        )

    def test_name(self) -> None:
        """A name is answered with its key, for any web page to read."""
        self.serve({"alice": ALICE.hex(), "bob": encode(Npub(BOB))}, "wss://r.example")
        answer = self.get("?name=bob")
        self.assertEqual(answer.code, 200)
        self.assertEqual(
            json.loads(answer.body),
            {"names": {"bob": BOB.hex()}, "relays": {BOB.hex(): ["wss://r.example"]}},
        )
        self.assertEqual(answer.headers["content-type"], "application/json")
        self.assertEqual(answer.headers["access-control-allow-origin"], "*")

    def test_other_names(self) -> None:
        """Nobody else is told of, whatever is asked."""
        self.serve({"alice": ALICE.hex()})
        for query in ("", "?", "?name=", "?name=bob", "?x=alice", "?name=%ff&" * 30):
            answer = self.get(query)
            self.assertEqual(answer.code, 200, query)
            self.assertEqual(json.loads(answer.body), {"names": {}})

    def test_escaped(self) -> None:
        """The name may be escaped, and in capitals."""
        self.serve({"_": ALICE.hex(), "alice": ALICE.hex()})
        for query in ("?name=%5F", "?name=_&x", "?y=1&name=ALICE"):
            self.assertTrue(json.loads(self.get(query).body)["names"], query)

    def test_methods(self) -> None:
        """HEAD gets no body, and nothing can be written."""
        self.serve({"alice": ALICE.hex()})
        head = self.get("?name=alice", "HEAD")
        self.assertEqual((head.code, head.body), (200, b""))
        self.assertEqual(self.get("?name=alice", "OPTIONS").code, 204)
        self.assertNotEqual(self.get("?name=alice", "POST").code, 200)

    def test_without_names(self) -> None:
        """Without names there is nothing at that place."""
        self.serve({})
        self.assertEqual(self.get("?name=alice").code, 404)
