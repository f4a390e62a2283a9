"""Tests for :mod:`nostrtx.nostr.deletion`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.deletion import (
    deleted_addresses,
    deleted_ids,
    is_deletion_request,
    may_delete,
)
from nostrtx.nostr.event import Address
from tests.storage.events import ALICE, BOB, event_id, make_event

_ID = event_id(1)


class DeletionRequestTests(SynchronousTestCase):
    """Tests for what a deletion request names."""

    def test_is_one(self) -> None:
        """Kind 5 is a deletion request, and nothing else is."""
        kinds = [k for k in range(65536) if is_deletion_request(make_event(kind=k))]
        self.assertEqual(kinds, [5])

    def test_ids(self) -> None:
        """The ids in ``e`` tags are named, whatever follows them."""
        request = make_event(
            kind=5,
            tags=[
                ["e", _ID.hex()],
                ["e", event_id(2).hex(), "wss://relay.example.com"],
                ["e", _ID.hex()],
                ["k", "1"],
            ],
        )
        self.assertEqual(deleted_ids(request), {_ID, event_id(2)})

    def test_malformed_ids(self) -> None:
        """What is not an id in lower-case hexadecimal is passed over."""
        values = ["", "x", _ID.hex().upper()[:-1] + "A", _ID.hex()[1:], _ID.hex() + "0"]
        values += [" " + _ID.hex(), _ID.hex() + "\n", "é" * 64, "0 " * 32]
        tags = [["e", value] for value in values]
        tags += [["e"], ["E", _ID.hex()], ["p", _ID.hex()], ["ee", _ID.hex()], [""]]
        self.assertEqual(deleted_ids(make_event(kind=5, tags=tags)), set())

    def test_addresses(self) -> None:
        """The requester's own addresses in ``a`` tags are named."""
        key = ALICE.hex()
        request = make_event(
            kind=5,
            tags=[
                ["a", f"0:{key}:"],
                ["a", f"10002:{key}:", "wss://relay.example.com"],
                ["a", f"30023:{key}:x"],
                ["a", f"30023:{key}:a:b:"],
                ["a", f"39999:{key}:"],
            ],
        )
        self.assertEqual(
            deleted_addresses(request),
            {
                Address(0, ALICE, ""),
                Address(10002, ALICE, ""),
                Address(30023, ALICE, "x"),
                Address(30023, ALICE, "a:b:"),
                Address(39999, ALICE, ""),
            },
        )

    def test_replaceable_has_no_d(self) -> None:
        """What stands in place of ``d`` for a replaceable kind means nothing."""
        request = make_event(kind=5, tags=[["a", f"3:{ALICE.hex()}:x"]])
        self.assertEqual(deleted_addresses(request), {Address(3, ALICE, "")})

    def test_malformed_addresses(self) -> None:
        """Others' addresses, kinds without one, and malformed ones are passed over."""
        key = ALICE.hex()
        values = [
            "",
            "0",
            ":",
            "::",
            f"0:{key}",
            f":{key}:",
            f"0:{BOB.hex()}:",
            f"0:{key.upper()}:",
            f"0:{key[:-1]}:",
            f"0::{key}:",
            f"1:{key}:",
            f"5:{key}:",
            f"20000:{key}:",
            f"40000:{key}:",
            f"65536:{key}:",
            f"-1:{key}:",
            f"+0:{key}:",
            f" 0:{key}:",
            f"0x0:{key}:",
            f"1_0000:{key}:",
            f"٠:{key}:",
            f"00:{key}:",
            f"010000:{key}:",
            f"0000000003:{key}:",
            f"1000000000:{key}:",
            f"{'9' * 5000}:{key}:",
        ]
        tags = [["a", value] for value in values]
        tags += [["a"], ["A", f"0:{key}:"]]
        for tag in tags:
            request = make_event(kind=5, tags=[tag])
            self.assertEqual(deleted_addresses(request), set(), tag)


class MayDeleteTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.deletion.may_delete`."""

    def test_author(self) -> None:
        """The author deletes an event, those it mentions do not."""
        tags = [["p", BOB.hex()]]
        for kind in (0, 1, 4, 6, 13, 14, 1058, 1060, 30023):
            self.assertEqual(may_delete(make_event(kind=kind, tags=tags)), {ALICE})

    def test_gift_wrap(self) -> None:
        """Every recipient deletes a gift wrap."""
        carol = event_id(3)
        tags = [["p", BOB.hex()], ["p", carol.hex(), "wss://x"], ["p"], ["p", "x"]]
        tags += [["P", event_id(4).hex()], ["e", event_id(4).hex()]]
        wrap = make_event(kind=1059, tags=tags)
        self.assertEqual(may_delete(wrap), {ALICE, BOB, carol})

    def test_requests(self) -> None:
        """Nobody deletes requests to delete or to vanish."""
        for kind in (5, 62):
            self.assertEqual(may_delete(make_event(kind=kind)), set())
