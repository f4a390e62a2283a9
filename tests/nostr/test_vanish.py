"""Tests for :mod:`nostrtx.nostr.vanish`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event, parse_event
from nostrtx.nostr.vanish import (
    check_vanish_request,
    is_vanish_request,
    names_relay,
    vanishes_with,
)
from tests.nostr.vectors import load
from tests.storage.events import ALICE, BOB, make_event

_URLS = ("wss://relay.example.com/", "ws://127.0.0.1:7777/")


def _request(*tags: list[str]) -> Event:
    return make_event(kind=62, tags=tags)


def _is_well_formed(request: Event) -> bool:
    try:
        check_vanish_request(request)
    except Rejected as refusal:
        if refusal.prefix is not ReasonPrefix.INVALID:
            raise
        return False
    return True


class RequestTests(SynchronousTestCase):
    """What a request to vanish is, and whom it is for."""

    def test_kind(self) -> None:
        """Kind 62 and no other asks for everything to go."""
        self.assertTrue(is_vanish_request(_request()))
        self.assertFalse(is_vanish_request(make_event(kind=5)))

    def test_no_relay(self) -> None:
        """A request that names no relay is malformed."""
        for tags in ([], [["relay"]], [["relay", ""]], [["r", "ALL_RELAYS"]]):
            self.assertFalse(_is_well_formed(_request(*tags)), tags)

    def test_some_relay(self) -> None:
        """A request for whatever relay is well-formed."""
        for value in ("ALL_RELAYS", "wss://other.example/", "anything"):
            request = _request(["relay"], ["relay", value])
            self.assertTrue(_is_well_formed(request), value)

    def test_named(self) -> None:
        """One tag that names this relay, or all relays, suffices."""
        for value in (
            "ALL_RELAYS",
            "wss://relay.example.com",
            "WSS://Relay.Example.com:443/",
            "ws://127.0.0.1:7777",
        ):
            self.assertTrue(names_relay(_request(["relay", value]), _URLS), value)
            several = (
                ["relay", "wss://other.example/"],
                ["relay"],
                ["relay", value],
                ["relay", "nonsense"],
            )
            self.assertTrue(names_relay(_request(*several), _URLS), value)

    def test_not_named(self) -> None:
        """Other relays, and almost all relays, are not meant."""
        for value in (
            "",
            "all_relays",
            "ALL_RELAYS ",
            "ALL_RELAYS/",
            "wss://other.example.com/",
            "wss://relay.example.com.evil.example/",
            "wss://relay.example.com@evil.example/",
            "wss://relay.example.com/inbox",
            "relay.example.com",
        ):
            self.assertFalse(names_relay(_request(["relay", value]), _URLS), value)
        self.assertFalse(names_relay(_request(["r", "ALL_RELAYS"]), _URLS))
        self.assertFalse(names_relay(_request(["relay"]), _URLS))

    def test_url_unknown(self) -> None:
        """A relay that does not know its URL is named only with all others."""
        self.assertTrue(names_relay(_request(["relay", "ALL_RELAYS"]), ()))
        self.assertFalse(names_relay(_request(["relay", _URLS[0]]), ()))


class VanishesWithTests(SynchronousTestCase):
    """Whose request takes an event along."""

    def test_author(self) -> None:
        """An author takes along what they wrote, of every kind, deletions too."""
        for kind in (0, 1, 3, 5, 6, 7, 1058, 1060, 10002, 30023):
            event = make_event(kind=kind, tags=[["p", BOB.hex()]])
            self.assertEqual(vanishes_with(event), {ALICE}, kind)

    def test_gift_wrap(self) -> None:
        """A gift wrap goes with whoever it is for."""
        event = make_event(
            kind=1059, tags=[["p", BOB.hex()], ["p"], ["p", "x"], ["e", "22" * 32]]
        )
        self.assertEqual(vanishes_with(event), {ALICE, BOB})

    def test_request(self) -> None:
        """Requests to vanish stay."""
        self.assertEqual(vanishes_with(_request(["relay", "ALL_RELAYS"])), set())

    def test_vectors(self) -> None:
        """What should be gone is taken along, what should be kept is not."""
        cases = load("filters")["vanish"]
        self.assertEqual(len(cases), 8)
        for case in cases:
            sent = {e.id.hex(): e for e in map(parse_event, case["send"])}
            bounds = {
                event.pubkey: event.created_at
                for event in sent.values()
                if is_vanish_request(event) and names_relay(event, _URLS)
            }
            gone = {
                id_
                for id_, event in sent.items()
                for pubkey in vanishes_with(event)
                if event.created_at <= bounds.get(pubkey, -1)
            }
            self.assertEqual(gone, set(case["gone"]), case["name"])
            self.assertEqual(gone & set(case["kept"]), set(), case["name"])
