"""Tests for :mod:`nostrtx.relay.policies.programs.lines`."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.interfaces.policies import Source, Taken
from nostrtx.nostr.errors import Rejected
from nostrtx.relay.policies.programs.lines import (
    MAX_MESSAGE,
    BadLine,
    OtherSource,
    parse_answer,
    refusal,
    request_line,
)
from tests.storage.events import signed_event


class RequestTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.policies.programs.lines.request_line`."""

    def request(self, source: Source) -> Any:
        """What a program reads about an event of ``source``."""
        line = request_line(signed_event(content='é "\n'), source, 17.9)
        self.assertEqual(line.count(b"\n"), 1)
        self.assertTrue(line.endswith(b"\n"))
        return json.loads(line)

    def test_members(self) -> None:
        """The event is whole, with when and where it came from."""
        event = signed_event(content='é "\n')
        self.assertEqual(
            self.request(Source("192.0.2.1")),
            {
                "type": "new",
                "event": json.loads(event.raw),
                "receivedAt": 17,
                "sourceType": "IP4",
                "sourceInfo": "192.0.2.1",
            },
        )

    def test_sources(self) -> None:
        """Addresses of IPv6 are told apart, and so is what is in the store."""
        self.assertEqual(self.request(Source("2001:db8::1"))["sourceType"], "IP6")
        self.assertEqual(self.request(Source())["sourceInfo"], "")
        self.assertEqual(self.request(OtherSource("Stored"))["sourceType"], "Stored")

    def test_authenticated(self) -> None:
        """Who is authenticated is told by a key, the author's if it is one of them."""
        author = signed_event().pubkey
        other, last = bytes(32), b"\xff" * 32
        self.assertEqual(
            self.request(Source("", frozenset([other, author, last])))["authed"],
            author.hex(),
        )
        self.assertEqual(
            self.request(Source("", frozenset([last, other])))["authed"], other.hex()
        )


class AnswerTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.relay.policies.programs.lines.parse_answer`."""

    def test_verdicts(self) -> None:
        """An event is taken, refused, or refused without a word."""
        id_ = bytes(range(32))
        for action, expected in (
            ("accept", None),
            ("shadowReject", Taken()),
        ):
            line = json.dumps({"id": id_.hex(), "action": action, "msg": "no"})
            answer = parse_answer(line.encode())
            self.assertEqual((answer.id, answer.verdict), (id_, expected))
        line = json.dumps({"id": id_.hex(), "action": "reject", "msg": "no"})
        verdict = parse_answer(line.encode()).verdict
        assert isinstance(verdict, Rejected)
        self.assertEqual(verdict.reason, "blocked: no")

    def test_refused(self) -> None:
        """Whatever else a line holds is no answer."""
        for line in (
            b"",
            b"{",
            b"\xff\xfe",
            b"[]",
            b"5",
            b'{"action":"accept"}',
            b'{"id":5,"action":"accept"}',
            b'{"id":"xy","action":"accept"}',
            b'{"id":"00"}',
            b'{"id":"00","action":"maybe"}',
            b'{"id":"00","action":["accept"]}',
        ):
            self.assertRaises(BadLine, parse_answer, line)

    def test_messages(self) -> None:
        """A refusal begins with a prefix of NIP-01, the program's own if it has one."""
        for message, reason in (
            ("too many links", "blocked: too many links"),
            ("blocked: no", "blocked: no"),
            ("rate-limited:  slow down ", "rate-limited: slow down"),
            ("payment-required: pay", "blocked: payment-required: pay"),
            ("pow:", "blocked: pow:"),
            (": a", "blocked: : a"),
            ("", "blocked: not accepted here"),
            (" \n", "blocked: not accepted here"),
            (None, "blocked: not accepted here"),
            (["x"], "blocked: not accepted here"),
            ("\ud800", "blocked: ?"),
            ("x" * 9999, "blocked: " + "x" * MAX_MESSAGE),
        ):
            self.assertEqual(refusal(message).reason, reason)
