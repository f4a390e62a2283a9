"""Tests for :mod:`nostrtx.nostr.json`."""

from __future__ import annotations

import json
import sys

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import NotJSONError, dumps, loads

#: Every character that UTF-8 can encode.
EVERY_CHARACTER = "".join(
    chr(code) for code in range(sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF
)

_SHORT_ESCAPES = {
    "\n": "\\n",
    '"': '\\"',
    "\\": "\\\\",
    "\r": "\\r",
    "\t": "\\t",
    "\b": "\\b",
    "\f": "\\f",
}


class DumpsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.json.dumps`."""

    def test_every_character(self) -> None:
        """Seven short escapes, lower-case ``u00xx`` for controls, the rest verbatim."""
        expected = "".join(
            _SHORT_ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c)
            for c in EVERY_CHARACTER
        )
        self.assertEqual(dumps(EVERY_CHARACTER), b'"%b"' % expected.encode())

    def test_compact(self) -> None:
        """There are no blanks between values."""
        self.assertEqual(
            dumps([0, "a b", -1, [["t", "x"], []], {"a": 1, "b": [True, None]}]),
            b'[0,"a b",-1,[["t","x"],[]],{"a":1,"b":[true,null]}]',
        )

    def test_large_integers(self) -> None:
        """Integers are written with all their digits."""
        self.assertEqual(
            dumps([2**40 - 2, 2**63, 0]), b"[%d,%d,0]" % (2**40 - 2, 2**63)
        )

    def test_lone_surrogates(self) -> None:
        """A string that UTF-8 cannot encode is refused, in any depth."""
        for text in ("\ud800", "a\udfff", "\udc00\ud800"):
            self.assertRaises(UnicodeEncodeError, dumps, text)
            self.assertRaises(UnicodeEncodeError, dumps, [["t", text]])


class LoadsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.json.loads`."""

    def test_values(self) -> None:
        """JSON texts become Python's values, whitespace around them is nothing."""
        for text in (
            b'["REQ","x",{"kinds":[1],"since":null,"a":true}]',
            b' \n\t\r{"a" : [ 1 , 2.5 , -3 ] , "" : {} } \n',
            '"é\\u00e9\\ud83d\\ude00\\n\\/"'.encode(),
            b"18446744073709551616",
            b"-9223372036854775809",
        ):
            self.assertEqual(loads(text), json.loads(text))
            self.assertEqual(loads(text.decode()), json.loads(text))

    def test_integers_stay_integers(self) -> None:
        """Only what is written as an integer is one."""
        for text, kind in (
            (b"1", int),
            (b"1.0", float),
            (b"1e0", float),
            (b"true", bool),
        ):
            self.assertIs(type(loads(text)), kind)

    def test_reads_back(self) -> None:
        """What was written reads back equal, every character of it."""
        self.assertEqual(loads(dumps([EVERY_CHARACTER])), [EVERY_CHARACTER])

    def test_not_json(self) -> None:
        """What is not JSON, or not UTF-8, is refused with one kind of error."""
        for text in (
            b"",
            b" ",
            b"hello",
            b"nul",
            b"1 2",
            b"[1,]",
            b"[1",
            b'{"a":1,}',
            b"{1:2}",
            b"'a'",
            b'"\\x"',
            b'"a',
            b'"\xff"',
            b'"\xc0\x80"',
            b'"\xf4\x90\x80\x80"',
            b"\xef\xbb\xbf1",
            b"1\x00",
            b"/**/1",
            b"1" * 5000,
            b"[" * 100_000,
            b"[" * 5000 + b"]" * 5000,
            b'{"a":' * 5000 + b"1" + b"}" * 5000,
        ):
            self.assertRaises(NotJSONError, loads, text)
