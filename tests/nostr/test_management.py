"""Tests for :mod:`nostrtx.nostr.management`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.management import (
    Call,
    CallError,
    NotACallError,
    error_of_call,
    parse_call,
    result_of_call,
)


class ParsingTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.management.parse_call`."""

    def test_call(self) -> None:
        """A call has a method and parameters; the latter may be missing."""
        body = b' {"id": 7, "method": "banevent", "params": ["x", 1, null]}\n'
        self.assertEqual(parse_call(body), Call("banevent", ("x", 1, None)))
        self.assertEqual(parse_call(b'{"method":"list"}'), Call("list"))

    def test_no_call(self) -> None:
        """Anything else is refused."""
        for body in (
            b"",
            b"\xff",
            b"banevent",
            b"[]",
            b'"banevent"',
            b"{}",
            b'{"method":1}',
            b'{"method":"x","params":{}}',
            b'{"method":"x","params":"y"}',
            b'{"method":"x","params":null}',
            b'{"method":' + b"[" * 10_000,
        ):
            with self.assertRaises(NotACallError, msg=body[:30]):
                parse_call(body)


class ParameterTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.nostr.management.Call`."""

    def test_hex(self) -> None:
        """A key is 64 lower-case hexadecimal digits and nothing else."""
        self.assertEqual(Call("m", ("0f" * 32,)).hex_param(0, "it"), "0f" * 32)
        others: tuple[object, ...] = (
            None,
            5,
            True,
            [],
            "",
            "0F" * 32,
            "0f" * 31,
            "0f" * 33,
        )
        npub = "npub180cvv07tjdrrgpa0j7j7tmnyl2yr6yr7l8j4s3evf6u64th6gkwsyjh6w6"
        for other in (*others, " " + "0f" * 32, "0f" * 32 + "\n", npub):
            with self.assertRaises(CallError, msg=repr(other)) as refused:
                Call("m", (other,)).hex_param(0, "it")
            self.assertIn("it must be 64", str(refused.exception))
        self.assertRaises(CallError, Call("m").hex_param, 0, "it")

    def test_text(self) -> None:
        """A text loses the blanks around it, and must not be too long."""
        call = Call("m", (" Für alle 👩‍👩‍👧 \n", "x" * 5, "", 5, None, ["x"]))
        self.assertEqual(call.text_param(0, "it", 20), "Für alle 👩‍👩‍👧")
        self.assertEqual(call.text_param(1, "it", 5), "x" * 5)
        self.assertEqual(call.text_param(2, "it", 5), "")
        self.assertRaises(CallError, call.text_param, 1, "it", 4)
        for at in (3, 4, 5, 6):
            self.assertRaises(CallError, call.text_param, at, "it", 9)

    def test_control_characters(self) -> None:
        """A text has no control characters; only some texts have several lines."""
        lines = Call("m", ("one\r\ntwo\n\tthree",))
        text = lines.text_param(0, "it", 99, has_lines=True)
        self.assertEqual(text, "one\ntwo\n\tthree")
        self.assertRaises(CallError, lines.text_param, 0, "it", 99)
        for bad in ("a\0b", "a\x1bb", "a\rb", "a\x85b", "a\u2028b", "a\ud800b"):
            for has_lines in (False, True):
                with self.assertRaises(CallError, msg=repr(bad)):
                    Call("m", (bad,)).text_param(0, "it", 99, has_lines=has_lines)

    def test_reason(self) -> None:
        """A reason need not be given, but is a text."""
        self.assertEqual(Call("m", ("x", "spam")).reason_param(1), "spam")
        self.assertEqual(Call("m", ("x", None)).reason_param(1), "")
        self.assertEqual(Call("m", ("x",)).reason_param(1), "")
        self.assertRaises(CallError, Call("m", ("x", 5)).reason_param, 1)


class AnswerTests(SynchronousTestCase):
    """Tests for what a call is answered."""

    def test_result(self) -> None:
        """What went well has a result and no error."""
        self.assertEqual(json.loads(result_of_call(True)), {"result": True})
        self.assertEqual(json.loads(result_of_call([])), {"result": []})

    def test_error(self) -> None:
        """What did not has an error and no result."""
        self.assertEqual(json.loads(error_of_call("no")), {"error": "no"})
