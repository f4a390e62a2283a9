# -*- test-case-name: tests.relay.policies.test_words -*-
"""
Finding any of many words in a text, in one go over it.

A word or phrase is found whole: no letter or digit stands before or after it. Where a
``*`` begins or ends the entry, anything may stand there. In scripts that put no space
between words, it is found anywhere. Case, width and accents make no difference.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Set
from typing import Final
from unicodedata import category, combining

from ahocorasick_rs import BytesAhoCorasick, Implementation

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import dumps
from nostrtx.nostr.text import (
    UNSPACED,
    content_json,
    glance,
    is_text,
    parts,
    plain,
    readable_content,
    readable_tags,
)

#: So much of a text is looked at, in characters.
MAX_TEXT: Final = 100_000

#: Words of so many bytes are made into the quickest machine, which takes the most
#: memory: up to 256 bytes for each of theirs.
_MOST_QUICK: Final = 200_000

_UNSPACED: Final = re.compile(f"[{UNSPACED}]")

#: Which characters of ASCII words are made of.
_ALNUM: Final = tuple([chr(at).isalnum() for at in range(128)])

_NOTHING: Final[Set[str]] = frozenset()

#: If more different characters may be in entries, it is quicker not to try each.
_FEW: Final = 32

#: Of so many characters it is known what they become.
_MOST_KNOWN: Final = 4096

#: An entry, and whether a word must begin and end where it does.
_Wanted = tuple[str, bool, bool]

#: Found wherever the longest word of a phrase is: only there phrases are looked for.
_PHRASE: Final[_Wanted] = ("", False, False)


class WordSearch:
    """
    Words and phrases to look for.

    Args:
        entries: As operators write them; what is empty is left out.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        words: defaultdict[bytes, list[_Wanted]] = defaultdict(list)
        phrases: defaultdict[bytes, list[_Wanted]] = defaultdict(list)
        for entry in entries:
            text = plain(entry.strip("* ")).split()
            if not text:
                continue
            stripped = entry.strip()
            wanted = entry, not stripped.startswith("*"), not stripped.endswith("*")
            if len(text) == 1:
                words[text[0]].append(wanted)
            else:
                phrases[b" ".join(text)].append(wanted)
                words[max(text, key=len)].append(_PHRASE)
        self._words = _Texts(words)
        self._phrases = _Texts(phrases)
        escaped = {_escaped(word): [_PHRASE] for word in words}
        self._glance = (
            self._words if escaped.keys() == words.keys() else _Texts(escaped)
        )
        self._unused = bytes(set(range(256)).difference(*words))
        self._known: dict[str, bytes | None] = {}

    def found_in(self, event: Event) -> Set[str]:
        """The entries that are in what an event says to people, as they were given."""
        tags = readable_tags(event)
        found = self.found(tags) if tags else _NOTHING
        if is_text(event.kind) and self._is_without(content_json(event.raw)):
            return found
        return found | self.found(readable_content(event))

    def found(self, text: str) -> Set[str]:
        """The entries that are in ``text``, as they were given."""
        raw = plain(text[:MAX_TEXT])
        found = self._words.found(raw)
        if _PHRASE[0] in found:
            while b"  " in raw:
                raw = raw.replace(b"  ", b" ")
            found |= self._phrases.found(raw)
            found.discard(_PHRASE[0])
        return found

    def _is_without(self, content: bytes) -> bool:
        """Whether it shows at a glance that no entry is in a content."""
        raw, odd = glance(content)
        # Mostly, nothing beyond ASCII can become part of an entry.
        if odd and not self._are_unused(odd):
            different = set(odd)
            if len(different) > _FEW:
                return False
            for character in different:
                became = self._became(character)
                if became is None:
                    return False
                if became:
                    raw = raw.replace(character.encode(), became)
        return not self._glance.are_in(raw)

    def _are_unused(self, odd: str) -> bool:
        """Whether no entry holds anything that characters beyond ASCII become."""
        return not parts(odd).translate(None, self._unused)

    def _became(self, character: str) -> bytes | None:
        """
        What a character beyond ASCII is, made plain; empty if it is in no entry.

        Returns:
            None if its neighbours must be looked at.
        """
        if character not in self._known:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            became: bytes | None = plain(character)
            if self._are_unused(character):
                became = b""
            elif any(map(combining, plain(character).decode())):
                became = None
            self._known[character] = became
        return self._known[character]


class _Texts:
    """
    Texts to look for.

    Args:
        wanted: What each of them is looked for.
    """

    def __init__(self, wanted: Mapping[bytes, list[_Wanted]]) -> None:
        self._wanted = list(wanted.values())
        is_quick = sum(map(len, wanted)) <= _MOST_QUICK
        self._search = BytesAhoCorasick(
            list(wanted), implementation=Implementation.DFA if is_quick else None
        )

    def are_in(self, raw: bytes) -> bool:
        """Whether any of them is in ``raw``, be it within a word."""
        return bool(self._search.find_matches_as_indexes(raw))

    def found(self, raw: bytes) -> set[str]:
        """The entries that are in a plain text."""
        found: set[str] = set()
        for at, start, end in self._search.find_matches_as_indexes(raw, True):
            for entry, whole_start, whole_end in self._wanted[at]:
                if (
                    entry not in found
                    and not (whole_start and _is_within(raw, start))
                    and not (whole_end and _is_within(raw, end))
                ):
                    found.add(entry)
        return found


def _escaped(word: bytes) -> bytes:
    """How a plain word stands in JSON, as plain."""
    return glance(dumps(word.decode()))[0][1:-1]


def _is_within(raw: bytes, at: int) -> bool:
    """Whether a word goes on from before ``at`` to there."""
    if not 0 < at < len(raw):
        return False
    if raw[at - 1] < 128 and raw[at] < 128:
        return _ALNUM[raw[at - 1]] and _ALNUM[raw[at]]
    # No character takes more than four bytes; what is cut is left out.
    before = raw[max(0, at - 4) : at].decode(errors="ignore")[-1]
    after = raw[at : at + 4].decode(errors="ignore")[0]
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
    return category(character)[0] in "LMN"
