"""Tests for :mod:`nostrtx.relay.policies.words`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.words import MAX_TEXT, WordSearch


class WordSearchTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.words.WordSearch`."""

    def assert_found(self, text: str, *entries: str, among: tuple[str, ...]) -> None:
        """Assert that exactly these of the entries are in a text."""
        self.assertEqual(WordSearch(among).found(text), set(entries))

    def test_whole_words(self) -> None:
        """A word is not found in another one."""
        for text in ("win", "To WIN!", "(win)", "#win", "a\nwin", "win2.win"):
            self.assert_found(text, "win", among=("win",))
        for text in ("", "wins", "window", "twin", "win2", "2win", "wi n"):
            self.assert_found(text, among=("win",))

    def test_parts_of_words(self) -> None:
        """With a star at an end, anything may go on there."""
        among = ("coin*", "*coin", "*coin*", "coin")
        self.assert_found("coin", *among, among=among)
        self.assert_found("coins", "coin*", "*coin*", among=among)
        self.assert_found("bitcoin", "*coin", "*coin*", among=among)
        self.assert_found("bitcoins", "*coin*", among=among)

    def test_phrases(self) -> None:
        """A phrase is found over any white space, and as a whole."""
        for text in ("Free sats", "get free\n sats now"):
            self.assert_found(text, "free sats", among=("free sats",))
        for text in ("freesats", "free satsuma", "carefree sats"):
            self.assert_found(text, among=("free sats",))

    def test_disguises(self) -> None:
        """Accents, other alphabets' look, and invisible characters hide no word."""
        for text in ("ＣＡＳＩＮＯ", "cásinó", "ca\u200bsi\u00adno", "𝐜𝐚𝐬𝐢𝐧𝐨"):
            self.assert_found(text, "Casino", among=("Casino",))

    def test_unspaced_scripts(self) -> None:
        """Where no spaces part words, a word is found anywhere."""
        self.assert_found("在线赌场游戏", "赌场", among=("赌场",))
        self.assert_found("खेलना", among=("खेल",))
        self.assert_found("ばか", "ばか", among=("ばか", "は", "はか"))
        self.assert_found("가방", "가방", "방", among=("가방", "방", "바"))

    def test_signs(self) -> None:
        """An entry need not consist of letters."""
        self.assert_found("pay$100", "$100", among=("$100",))
        self.assert_found("🎰🎰", "🎰", among=("🎰",))

    def test_word_within_a_longer_one(self) -> None:
        """A word that does not end there does not hide another one."""
        self.assert_found("foobar", "foobar", among=("foo", "foobar", "bar"))
        self.assert_found("ab bc", "ab", "bc", among=("ab", "bc"))

    def test_nothing(self) -> None:
        """Without words nothing is found; empty ones are none."""
        self.assert_found("a", among=())
        self.assert_found("a *", among=("", " ", "*", "**"))

    def test_long_texts(self) -> None:
        """So much is looked at, and no more."""
        word = WordSearch(("x",))
        self.assertTrue(word.found("a " * (MAX_TEXT // 2 - 1) + "x"))
        self.assertFalse(word.found("a " * (MAX_TEXT // 2) + "x"))

    @given(
        st.lists(st.text("ab ", min_size=1, max_size=4), max_size=5),
        st.text("ab -", max_size=20),
    )
    def test_as_one_by_one(self, entries: list[str], text: str) -> None:
        """It finds what looking for each word by itself would find."""
        entries = [" ".join(entry.split()) for entry in entries]
        text = " ".join(text.split())
        expected = {
            entry
            for entry in entries
            if entry and re.search(rf"(?<!\w){re.escape(entry)}(?!\w)", text)
        }
        self.assertEqual(WordSearch(entries).found(text), expected)
