# -*- test-case-name: tests.relay.policies.test_words -*-
"""
Finding any of many words in a text, in one go over it.

A word or phrase is found whole: no letter or digit stands before or after it. Where a
``*`` begins or ends the entry, anything may stand there. In scripts that put no space
between words, it is found anywhere. Case, width and accents make no difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from unicodedata import category

from ahocorasick_rs import AhoCorasick, Implementation

from nostrtx.nostr.text import UNSPACED, plain

#: So much of a text is looked at, in characters.
MAX_TEXT: Final = 100_000

#: So many words are made into the quickest machine, which takes the most memory.
_MOST_QUICK: Final = 20_000

_UNSPACED: Final = re.compile(f"[{UNSPACED}]")

_NOTHING: Final[frozenset[str]] = frozenset()


class WordSearch:
    """
    Words to look for.

    Args:
        entries: As operators write them; what is empty is left out.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        #: Of each text that is looked for, the entries, and where they must end.
        self._entries: list[list[tuple[str, bool, bool]]] = []
        places: dict[str, int] = {}
        for entry in entries:
            text = " ".join(plain(entry.strip("* ")).split())
            if not text:
                continue
            at = places.setdefault(text, len(places))
            if at == len(self._entries):
                self._entries.append([])
            stripped = entry.strip()
            whole = (not stripped.startswith("*"), not stripped.endswith("*"))
            self._entries[at].append((entry, *whole))
        self._has_phrases = any(" " in text for text in places)
        self._search: AhoCorasick | None = None
        if places:
            is_quick = len(places) <= _MOST_QUICK
            self._search = AhoCorasick(
                list(places), implementation=Implementation.DFA if is_quick else None
            )

    def found(self, text: str) -> frozenset[str]:
        """The entries that are in ``text``, as they were given."""
        if self._search is None:
            return _NOTHING
        text = plain(text[:MAX_TEXT])
        if self._has_phrases:
            text = _spaced(text)
        hits = self._search.find_matches_as_indexes(text, overlapping=True)
        if not hits:
            return _NOTHING
        found: set[str] = set()
        for at, start, end in hits:
            for entry, whole_start, whole_end in self._entries[at]:
                if (
                    entry not in found
                    and not (whole_start and start and _is_within(text, start))
                    and not (whole_end and end < len(text) and _is_within(text, end))
                ):
                    found.add(entry)
        return frozenset(found)


def _spaced(text: str) -> str:
    """A text with single spaces; quicker than to split and to join it."""
    for space in "\n\r\t":
        text = text.replace(space, " ")
    while "  " in text:
        text = text.replace("  ", " ")
    return text


def _is_within(text: str, at: int) -> bool:
    """Whether a word goes on from before ``at`` to there."""
    before, after = text[at - 1], text[at]
    if category(after)[0] == "M" or "\u1160" <= after <= "\u11ff":
        # A mark, or the rest of a Korean syllable, belongs to the letter before.
        return True
    return (
        _is_part(before)
        and _is_part(after)
        and _UNSPACED.match(before) is None
        and _UNSPACED.match(after) is None
    )


def _is_part(character: str) -> bool:
    """Whether words are made of it: a letter, a digit, a mark on one."""
    if character.isascii():
        return character.isalnum()
    return category(character)[0] in "LMN"
