"""Tests for :mod:`nostrtx.nostr.client_messages`."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.client_messages import (
    MAX_SUBSCRIPTION_ID,
    AuthMessage,
    CloseMessage,
    CountMessage,
    EventMessage,
    NegCloseMessage,
    NegMsgMessage,
    NegOpenMessage,
    ReqMessage,
    parse,
)
from nostrtx.nostr.errors import Rejected
from nostrtx.nostr.filters import parse_filter
from nostrtx.nostr.json import dumps
from tests.nostr.vectors import load


class ParseTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.client_messages.parse`."""

    def assert_rejected(self, text: bytes) -> None:
        """Assert that there is nothing to answer but with a NOTICE."""
        error = self.assertRaises(Rejected, parse, text)
        self.assertTrue(error.reason.startswith("invalid: "), error.reason)

    def test_event(self) -> None:
        """EVENT holds an object, not looked into; what follows it is ignored."""
        message = parse(b'["EVENT",{"id":"x","a":1},2]')
        self.assertEqual(message, EventMessage({"id": "x", "a": 1}))

    def test_req(self) -> None:
        """REQ holds an id and any number of filters, not looked into."""
        self.assertEqual(
            parse(b'["REQ","s",{"kinds":[1]},[],null]'),
            ReqMessage("s", [{"kinds": [1]}, [], None]),
        )
        self.assertEqual(parse(b'["REQ","s"]'), ReqMessage("s", []))

    def test_close(self) -> None:
        """CLOSE holds an id; what follows it is ignored."""
        self.assertEqual(parse(b'["CLOSE","s",1]'), CloseMessage("s"))

    def test_auth(self) -> None:
        """AUTH holds an object, not looked into; what follows it is ignored."""
        self.assertEqual(parse(b'["AUTH",{"a":1},2]'), AuthMessage({"a": 1}))

    def test_count(self) -> None:
        """COUNT holds an id and any number of filters, not looked into."""
        self.assertEqual(
            parse(b'["COUNT","s",{"kinds":[1]},5]'),
            CountMessage("s", [{"kinds": [1]}, 5]),
        )
        self.assertEqual(parse(b'["COUNT",""]'), CountMessage("", []))

    def test_negentropy(self) -> None:
        """NEG-… holds an id and its arguments, None where one is missing."""
        for text, message in (
            (b'["NEG-OPEN","n",{},"61",5]', NegOpenMessage("n", {}, "61")),
            (b'["NEG-OPEN","n"]', NegOpenMessage("n", None, None)),
            (b'["NEG-MSG","n","61",5]', NegMsgMessage("n", "61")),
            (b'["NEG-MSG","n"]', NegMsgMessage("n", None)),
            (b'["NEG-CLOSE","n",5]', NegCloseMessage("n")),
        ):
            self.assertEqual(parse(text), message)

    def test_blanks(self) -> None:
        """Blanks between values mean nothing."""
        self.assertEqual(parse(b'\n[ "CLOSE" ,\t"s" ]\r\n'), CloseMessage("s"))

    def test_subscription_ids(self) -> None:
        """A subscription id is any string; whether it is too long is seen later."""
        for id_ in ("", "x" * MAX_SUBSCRIPTION_ID, "x" * 65, "日" * 256, 'a"\\\x00'):
            text = dumps(["REQ", id_])
            self.assertEqual(parse(text), ReqMessage(id_, []))

    def test_no_subscription_id(self) -> None:
        """Without an id fit to echo there is only a NOTICE."""
        for verb in ("REQ", "CLOSE", "COUNT", "NEG-OPEN", "NEG-MSG", "NEG-CLOSE"):
            for id_ in ("5", "null", "[]", "true", '"' + "x" * 257 + '"', '"\\ud800"'):
                self.assert_rejected(f'["{verb}",{id_},{{}}]'.encode())
            self.assert_rejected(f'["{verb}"]'.encode())

    def test_not_a_message(self) -> None:
        """Whatever is not a message of NIP-01 is refused."""
        for text in (
            b"",
            b"x",
            b"{}",
            b"[]",
            b"1",
            b"null",
            b'"EVENT"',
            b"[null]",
            b"[[]]",
            b"[{}]",
            b'["event",{}]',
            b'["auth",{}]',
            b'["AUTH"]',
            b'["AUTH","challenge"]',
            b'["AUTH",[{}]]',
            b'["AUTH",null]',
            b'["EVENT"]',
            b'["EVENT",[]]',
            b'["EVENT","x"]',
            b'["EVENT",null]',
            b'["EVENT",{}',
            b'["REQ","s",\xff]',
            b"[" * 10000,
        ):
            self.assert_rejected(text)

    def test_event_ids(self) -> None:
        """The id to answer with is any string of reasonable size, else None."""
        for id_ in ("ab" * 32, "", "AB", "ab" * 32 + "\n", "é" * 256):
            self.assertEqual(EventMessage({"id": id_}).id, id_)
            self.assertEqual(AuthMessage({"id": id_}).id, id_)
        for members in (
            {},
            {"id": None},
            {"id": 5},
            {"id": ["ab"]},
            {"id": "x" * 257},
            {"id": "\ud800"},
        ):
            self.assertIsNone(EventMessage(members).id)  # type: ignore[arg-type]
            self.assertIsNone(AuthMessage(members).id)  # type: ignore[arg-type]

    def test_vectors(self) -> None:
        """Each vector of framing gets as far as the answer it should have."""
        cases = load("events-invalid")["framing"]
        self.assertGreater(len(cases), 25)
        for case in cases:
            wire, expect = case["wire"].encode(), case["expect"]
            if expect == ["NOTICE"]:
                self.assert_rejected(wire)
                continue
            message = parse(wire)
            if expect is None:
                self.assertIsInstance(message, CloseMessage, case["name"])
                continue
            assert isinstance(message, ReqMessage)
            self.assertEqual(message.subscription_id, expect[1])
            if expect[0] == "EOSE":
                self.assertTrue(list(map(parse_filter, message.filters)))
                self.assertLessEqual(len(expect[1]), MAX_SUBSCRIPTION_ID)
            elif 1 <= len(expect[1]) <= MAX_SUBSCRIPTION_ID and message.filters:
                error = self.assertRaises(
                    Rejected,
                    lambda asked: list(map(parse_filter, asked)),
                    message.filters,
                )
                self.assertEqual(f"{error.prefix}:", expect[2], case["name"])
