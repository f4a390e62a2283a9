"""Tests for :mod:`nostrtx.relay.policies.words`."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from nostrtx.relay.policies.words import MAX_TEXT, WordSearch
from tests.nostr.test_text import ALPHABET
from tests.storage.events import make_event


class WordSearchTests(SynchronousTestCase):
    """Tests for :class:`nostrtx.relay.policies.words.WordSearch`."""

    def assert_found(self, text: str, *entries: str, among: tuple[str, ...]) -> None:
        """Assert that exactly these of the entries are in a text."""
        search = WordSearch(among)
        self.assertEqual(search.found(text), set(entries))
        self.assertEqual(search.found_in(make_event(content=text)), set(entries))

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

    def test_phrase_of_a_word(self) -> None:
        """A phrase is found beside its words, and these without it."""
        among = ("sats", "free sats", "free", "sats sats")
        self.assert_found("free  sats", "free", "sats", "free sats", among=among)
        self.assert_found("sats free", "free", "sats", among=among)

    def test_quoted(self) -> None:
        """A word is found though JSON writes it in another way."""
        among = ('say"so', "back\\slash", "ü")
        self.assert_found('say"so back\\slash\nü', *among, among=among)
        self.assert_found("n", among=("nn", '"n', "\\n"))
        self.assert_found("a\nb", among=("nb", "\\nb"))

    def test_events(self) -> None:
        """Of an event, text, some tags, and the values of a profile are looked at."""
        search = WordSearch(("casino", "free sats"))
        for event in (
            make_event(content="Càsino"),
            make_event(tags=[["t", "CASINO"]]),
            make_event(kind=0, content='{"about":"the casino"}'),
        ):
            self.assertEqual(search.found_in(event), {"casino"})
        for event in (
            make_event(kind=4, content="casino"),
            make_event(kind=0, content='{"casino":"no"}'),
            make_event(content="free", tags=[["t", "sats"]]),
            make_event(content="fine", tags=[["t", "x"], ["p", "casino"]]),
        ):
            self.assertEqual(search.found_in(event), set())

    def test_very_many(self) -> None:
        """Words are found as well if there are more than the quickest way can take."""
        among = [f"number{number}" for number in range(30_000)]
        search = WordSearch(among)
        self.assertEqual(search.found("number7 Number29999!"), {among[7], among[-1]})

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

    @given(
        st.lists(st.text(ALPHABET, min_size=1, max_size=4), max_size=5),
        st.text(ALPHABET, max_size=20),
    )
    def test_glance(self, entries: list[str], text: str) -> None:
        """Looking at events quickly finds what looking at their text does."""
        search = WordSearch([f"*{entry}*" for entry in entries])
        event = make_event(content=text)
        self.assertEqual(search.found_in(event), search.found(text))

    def test_all_of_unicode(self) -> None:
        """However many different characters come, each is looked at rightly."""
        search = WordSearch(("*a*", "*位*"))
        for start in range(0x100, 0x20000, 0x100):
            if not 0xD800 <= start < 0xE000:
                text = " ".join(map(chr, range(start, start + 0x100)))
                found = search.found_in(make_event(content=text))
                self.assertEqual(found, search.found(text), hex(start))
