"""Tests for :mod:`nostrtx.nostr.search`."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.nostr.json import dumps
from nostrtx.nostr.search import (
    raw_kind,
    search_words,
    searched_words,
    without_extensions,
    words,
)
from tests.storage.events import make_event


def found(search: str, text: str) -> bool:
    """Whether a search finds a text."""
    return set(search_words(search)) <= set(words(text))


class WordTests(SynchronousTestCase):
    """What a word is, in any language."""

    def test_ascii(self) -> None:
        """Letters and digits make words; everything else ends them."""
        self.assertEqual(
            words("Hello, World! foo_bar x2 https://a.example/b"),
            ["hello", "world", "foo", "bar", "x2", "https", "a", "example", "b"],
        )
        self.assertEqual(words(" \t\x00-*"), [])

    def test_repetition(self) -> None:
        """A text's words stand as often as they occur, a search's once."""
        self.assertEqual(words("gm gm GM"), ["gm", "gm", "gm"])
        self.assertEqual(search_words("gm x gm"), ("gm", "x"))

    def test_folding(self) -> None:
        """Case, accents, width and ligatures make no difference, either way round."""
        for one, other in (
            ("CAFÉ", "cafe"),
            ("Straße", "STRASSE"),
            ("ΟΔΥΣΣΕΎΣ", "οδυσσεύς"),
            ("ＦＵＬＬ", "full"),
            ("ﬁne", "fine"),
            ("ﾋﾞｯﾄｺｲﾝ", "ビットコイン"),
            ("é", "e\u0301"),
            ("한국", "\u1112\u1161\u11ab\u1100\u116e\u11a8"),
            ("\u2764\ufe0f", "\u2764"),
        ):
            self.assertTrue(found(one, other), (one, other))
            self.assertTrue(found(other, one), (one, other))

    def test_vowel_signs(self) -> None:
        """Words of scripts with vowel signs stay whole."""
        for text in ("हिन्दी भाषा", "العَرَبِيَّة لغة", "עִבְרִית שפה", "தமிழ் மொழி"):
            self.assertEqual(len(words(text)), 2, text)

    def test_unspaced(self) -> None:
        """In scripts without spaces a search finds what it is a part of."""
        for search, text in (
            ("東京", "私は東京に住んでいます"),
            ("猫", "黒猫が好き"),
            ("比特币", "我喜欢比特币和闪电网络"),
            ("한국어", "한국어를 배워요"),
            ("ภาษาไทย", "เรียนภาษาไทยออนไลน์"),
            ("ភាសា", "ខ្ញុំរៀនភាសាខ្មែរ"),
            ("nostr", "Nostrは楽しい"),
        ):
            self.assertTrue(found(search, text), (search, text))
        self.assertFalse(found("京東", "東京"))
        self.assertFalse(found("大阪", "東京"))

    def test_emoji(self) -> None:
        """An emoji is a word, of whatever skin tone."""
        self.assertTrue(found("🤙", "gm🤙🏽🤙"))
        self.assertFalse(found("🤙", "gm 🫂"))

    def test_long_words(self) -> None:
        """Of a very long word the beginning counts; a key fits in full."""
        key = "0123456789abcdef" * 4
        self.assertEqual(words(key), [key])
        self.assertTrue(found("x" * 100, "x" * 90))

    @settings(max_examples=200, deadline=None)
    @given(st.text(max_size=40))
    def test_found_by_itself(self, text: str) -> None:
        """Any text is found by itself, and by its folded words."""
        self.assertTrue(found(text, text))
        for word in words(text):
            self.assertEqual(word.split(), [word])
            self.assertTrue(set(search_words(word)) <= set(words(text)), word)


class ExtensionTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.search.without_extensions`."""

    def test_left_out(self) -> None:
        """``key:value`` words are no text; URLs and bare colons are."""
        self.assertEqual(
            without_extensions("a language:en b nsfw:false x: :y wss://r.example A:b"),
            "a b x: :y wss://r.example A:b",
        )


class SearchedWordsTests(SynchronousTestCase):
    """Tests for :func:`nostrtx.nostr.search.searched_words`."""

    def test_note(self) -> None:
        """Of most kinds, content and descriptive tags are searched."""
        article = make_event(
            kind=30023,
            content="Body",
            tags=[
                ["title", "Big Title"],
                ["summary", "short"],
                ["subject", "matter"],
                ["t", "topic"],
                ["t"],
                ["d", "slug"],
                ["e", "ab"],
            ],
        )
        self.assertEqual(
            sorted(searched_words(article)),
            ["big", "body", "matter", "short", "title", "topic"],
        )

    def test_profile(self) -> None:
        """Of a profile, what people see is searched, not its URLs."""
        profile = {
            "name": "jack",
            "display_name": "Jack D",
            "about": "builds",
            "nip05": "j@example.com",
            "picture": "https://pictures.example/jack.png",
            "lud16": 5,
        }
        event = make_event(kind=0, content=dumps(profile).decode())
        self.assertEqual(
            searched_words(event),
            ["jack", "jack", "d", "builds", "j", "example", "com"],
        )
        for content in ("", "no json", "[]", '"x"', "1", '{"name":[1]}'):
            self.assertEqual(searched_words(make_event(kind=0, content=content)), [])

    def test_private(self) -> None:
        """Encrypted content has no words, nor have copies and reactions."""
        for kind in (3, 4, 6, 7, 13, 16, 1059, 21059, 10000, 10003, 30003, 30078):
            event = make_event(kind=kind, content="aGVsbG8 words")
            self.assertEqual(searched_words(event), [], kind)
        mutes = make_event(kind=30003, content="secret", tags=[["title", "Books"]])
        self.assertEqual(searched_words(mutes), ["books"])

    def test_content(self) -> None:
        """The content is what it is, whatever the tags and the content look like."""
        event = make_event(
            tags=[["x", '],"content":"no'], ["],", "content"]],
            content='],"content":"yes\n\\',
        )
        self.assertEqual(searched_words(event), ["content", "yes"])

    def test_raw_kind(self) -> None:
        """The kind is read from an event's bytes, whatever its content says."""
        for kind in (0, 1, 65535):
            event = make_event(kind=kind, content=',"kind":7,', created_at=2**40 - 2)
            self.assertEqual(raw_kind(event.raw), kind)
