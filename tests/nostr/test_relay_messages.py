"""Tests for :mod:`nostrtx.nostr.relay_messages`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import dumps
from nostrtx.nostr.relay_messages import (
    closed,
    eose,
    event_prefix,
    neg_err,
    neg_msg,
    notice,
    ok,
)
from tests.storage.events import make_event

#: Texts that need escaping, or look as if they did.
_TEXTS = ("", "sub", 'a"b', "\\", "\n\x00\x7f", "日本😀", "</script>", " " * 64)


class RelayMessageTests(SynchronousTestCase):
    """Tests for the messages of NIP-01 from relay to client."""

    def test_event(self) -> None:
        """The prefix, an event and a bracket are one EVENT message."""
        event = make_event(content='"é')
        for text in _TEXTS:
            message = event_prefix(dumps(text)) + event.raw + b"]"
            verb, subscription, members = json.loads(message)
            self.assertEqual((verb, subscription), ("EVENT", text))
            self.assertEqual(members["id"], event.id.hex())

    def test_ok(self) -> None:
        """OK tells id, outcome and reason, whatever the client sent as an id."""
        for id_ in ("ab" * 32, *_TEXTS, "é", "٣"):
            for accepted in (True, False):
                for reason in ("", "duplicate: have it", 'invalid: "é'):
                    self.assertEqual(
                        json.loads(ok(id_, accepted, reason)),
                        ["OK", id_, accepted, reason],
                    )

    def test_eose_and_closed(self) -> None:
        """EOSE and CLOSED name the subscription as the client did."""
        for text in _TEXTS:
            self.assertEqual(json.loads(eose(dumps(text))), ["EOSE", text])
            self.assertEqual(
                json.loads(closed(dumps(text), f"error: {text}")),
                ["CLOSED", text, f"error: {text}"],
            )

    def test_notice(self) -> None:
        """NOTICE holds a text."""
        for text in _TEXTS:
            self.assertEqual(json.loads(notice(text)), ["NOTICE", text])

    def test_reconciliation(self) -> None:
        """NEG-MSG is in lower-case hexadecimal; NEG-ERR may end in a limit."""
        for text in _TEXTS:
            id_ = dumps(text)
            self.assertEqual(
                json.loads(neg_msg(id_, b"a\xab\xff")), ["NEG-MSG", text, "61abff"]
            )
            self.assertEqual(
                json.loads(neg_err(id_, f"closed: {text}")),
                ["NEG-ERR", text, f"closed: {text}"],
            )
            self.assertEqual(
                json.loads(neg_err(id_, "blocked: big", 5)),
                ["NEG-ERR", text, "blocked: big", 5],
            )

    def test_bytes(self) -> None:
        """Messages are compact, byte for byte."""
        self.assertEqual(event_prefix(b'"x"'), b'["EVENT","x",')
        self.assertEqual(ok("ab", True, ""), b'["OK","ab",true,""]')
        self.assertEqual(ok("ab", False, "x: y"), b'["OK","ab",false,"x: y"]')
        self.assertEqual(eose(b'"x"'), b'["EOSE","x"]')
        self.assertEqual(closed(b'"x"', "r"), b'["CLOSED","x","r"]')
        self.assertEqual(notice("n"), b'["NOTICE","n"]')
