"""Tests for :mod:`nostrtx.nostr.text`."""

from __future__ import annotations

import json
from unicodedata import normalize

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.text import (
    folded,
    glance,
    is_text,
    parts,
    plain,
    raw_content,
    readable_content,
    readable_tags,
)
from tests.storage.events import make_event

#: Letters large and small, signs, marks of several scripts, what is left out.
ALPHABET = (
    'aB ß\n"\\\u00a0éÉſKﬁ…ＡжЙ\u0301\u200b\ufe0f🏽🎰'
    "がカ가भ\u094d\u0651\u064e\u0345ᾳιأ位ก"
)


class FoldedTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.folded`."""

    def test_same(self) -> None:
        """Case, width, ligatures, accents and invisible characters do not count."""
        for text in ("CASINO", "ｃａｓｉｎｏ", "Cásinö", "ca\u200bsino", "𝓬𝓪𝓼𝓲𝓷𝓸"):
            self.assertEqual(folded(text), "casino")
        self.assertEqual(folded("Straße ﬁn"), "strasse fin")


class PlainTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.plain`."""

    def test_same(self) -> None:
        """Case, width, ligatures, accents and invisible characters do not count."""
        for text in ("CASINO", "ｃａｓｉｎｏ", "Cásinö", "ca\u200bsino", "𝓒𝓐𝓢𝓘𝓝𝓞"):
            self.assertEqual(plain(text), b"casino")
        self.assertEqual(plain("Straße ﬁn İ"), b"strasse fin i")

    def test_white_space(self) -> None:
        """All white space is blanks."""
        self.assertEqual(plain("a\tb\r\n\u00a0c\u3000é"), b"a b   c e")

    def test_many_marks(self) -> None:
        """However many different marks are on letters, none makes a difference."""
        marks = "".join(
            map(chr, (*range(0x300, 0x345), *range(0x346, 0x370), 0xAD, 0x200B))
        )
        self.assertEqual(plain("".join([f"a{mark}" for mark in marks])), b"a" * 113)

    @given(st.text(ALPHABET))
    def test_any_text(self, text: str) -> None:
        """A text becomes what its characters become, marks in their order."""
        expected = "".join(
            character
            for character in normalize("NFKD", text).casefold()
            if plain(character)
        )
        self.assertEqual(plain(text).split(), expected.encode().split())


class GlanceTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.glance`."""

    def test_ascii_alone(self) -> None:
        """What is ASCII is plain; of the rest, what makes no difference is left out."""
        self.assertEqual(
            glance('"A\\nÉ\u200bＢ"'.encode()), ('"a\\nÉＢ"'.encode(), "ÉＢ")
        )

    def test_parts(self) -> None:
        """What characters are made of is told however they are written."""
        self.assertEqual(parts("ＡÉ…"), "ae\u0301...".encode())


class RawContentTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.raw_content`."""

    def test_any(self) -> None:
        """The content is found whatever is in it, and in the tags before it."""
        for text in ("", "a", 'a"],"content":"b\\', "é\n\t\u2028😀"):
            event = make_event(content=text, tags=[["x", '],"content":"y']])
            self.assertEqual(raw_content(event.raw), text)


class ReadableTests(SynchronousTestCase):
    """Tests for what events say to people."""

    def test_content(self) -> None:
        """Content that is text is what it says, to be taken as it is."""
        self.assertEqual(readable_content(make_event(content="hello")), "hello")
        self.assertTrue(is_text(1))

    def test_tags(self) -> None:
        """Hashtags, titles and the like are text, too."""
        event = make_event(tags=[["t", "topic"], ["title", "T"], ["p", "k"], ["t"]])
        self.assertEqual(readable_tags(event), "topic\nT")
        self.assertEqual(readable_tags(make_event(tags=[["p", "k"]])), "")

    def test_encrypted(self) -> None:
        """What is encrypted says nothing."""
        for kind in (4, 1059, 10000, 30000):
            self.assertEqual(readable_content(make_event(kind=kind, content="ab")), "")
            self.assertFalse(is_text(kind))

    def test_objects(self) -> None:
        """Of a profile the values count, with their lines; broken ones as they are."""
        profile = make_event(
            kind=0, content=json.dumps({"name": "a", "about": "b\nc", "x": 1})
        )
        self.assertEqual(readable_content(profile), "a\nb\nc")
        for text in ("{", "[]", '"x"'):
            event = make_event(kind=0, content=text)
            self.assertEqual(readable_content(event), text)
        self.assertFalse(is_text(0))
