"""Tests for :mod:`nostrtx.nostr.text`."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.text import folded, plain, raw_content, readable_text
from tests.storage.events import make_event


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
            self.assertEqual(plain(text), "casino")
        self.assertEqual(plain("Straße ﬁn İ"), "strasse fin i")


class RawContentTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.raw_content`."""

    def test_any(self) -> None:
        """The content is found whatever is in it, and in the tags before it."""
        for text in ("", "a", 'a"],"content":"b\\', "é\n\t\u2028😀"):
            event = make_event(content=text, tags=[["x", '],"content":"y']])
            self.assertEqual(raw_content(event.raw), text)


class ReadableTextTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.text.readable_text`."""

    def test_content_and_tags(self) -> None:
        """The text is the content, then hashtags, titles and the like."""
        event = make_event(
            content="hello", tags=[["t", "topic"], ["title", "T"], ["p", "k"], ["t"]]
        )
        self.assertEqual(readable_text(event), "hello\ntopic\nT")

    def test_encrypted(self) -> None:
        """What is encrypted says nothing."""
        for kind in (4, 1059, 10000, 30000):
            self.assertEqual(readable_text(make_event(kind=kind, content="ab")), "")

    def test_objects(self) -> None:
        """Of a profile the values count, with their lines; broken ones as they are."""
        profile = make_event(
            kind=0, content=json.dumps({"name": "a", "about": "b\nc", "x": 1})
        )
        self.assertEqual(readable_text(profile), "a\nb\nc")
        for text in ("{", "[]", '"x"'):
            self.assertEqual(readable_text(make_event(kind=0, content=text)), text)
