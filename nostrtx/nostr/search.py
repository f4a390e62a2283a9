# -*- test-case-name: tests.nostr.test_search -*-
"""
The words of events and of searches (NIP-50): one way to cut text for any language.

Text is folded first: case, width, ligatures and accents make no difference. Then a
word is a run of letters and digits. Scripts that put no space between words
(Chinese, Japanese, Korean, Thai, Lao, Khmer, Burmese) are cut into pairs of
neighbouring characters, and emoji are words of their own.

An event is found by a search if all words of the search are among its own. What is
searched depends on the kind: what people wrote, never what is encrypted.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final
from unicodedata import category

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, loads
from nostrtx.nostr.text import LISTS, UNSPACED, folded, raw_content

#: The longest search, in characters; a sentence fits many times.
MAX_SEARCH_LENGTH: Final = 512

#: Longer words are known by their beginning: keys of 64 digits still fit.
_LONGEST_WORD: Final = 64

#: An extension such as ``language:en``, not a URL (NIP-50).
_EXTENSION: Final = re.compile(r"[a-z0-9_]+:(?!//)\S+")

_ASCII_WORDS: Final = re.compile(r"[a-z0-9]+")

#: Runs of letters of scripts without spaces between words, and of others.
_PIECES: Final = re.compile(f"([{UNSPACED}]+)|[^{UNSPACED}]+")

_EMOJI: Final = "\u2190-\u21ff\u2300-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"

#: Kinds of which nothing is searched: lists of people, encrypted messages, copies
#: of other events, reactions.
_NOT_SEARCHED: Final = frozenset({3, 4, 6, 7, 13, 16, 1059, 1060, 21059})

_PROFILE_FIELDS: Final = ("name", "display_name", "about", "nip05")
_SEARCHED_TAGS: Final = frozenset(
    {"title", "name", "summary", "subject", "description", "t"}
)

_RAW_KIND: Final = re.compile(rb',"kind":(\d+),')


def without_extensions(search: str) -> str:
    """The text of a search without its extensions, none of which is known here."""
    return " ".join(
        word for word in search.split() if _EXTENSION.fullmatch(word) is None
    )


def words(text: str) -> list[str]:
    """
    The words of a text, as often as they occur.

    Unspaced scripts give single characters as well as pairs, so that a search for
    one character finds it.
    """
    if text.isascii():
        return [word[:_LONGEST_WORD] for word in _ASCII_WORDS.findall(text.lower())]
    found: list[str] = []
    for run, is_unspaced in _runs(text):
        if is_unspaced:
            found += run
            found += _pairs(run)
        else:
            found.append(run[:_LONGEST_WORD])
    return found


@lru_cache(maxsize=1024)
def search_words(search: str) -> tuple[str, ...]:
    """The words that an event must have to be found, each once."""
    found: list[str] = []
    for run, is_unspaced in _runs(search):
        if is_unspaced and len(run) > 1:
            found += _pairs(run)
        else:
            found.append(run[:_LONGEST_WORD])
    return tuple(dict.fromkeys(found))


def searched_words(event: Event) -> list[str]:
    """The words under which an event is found, as often as they occur."""
    kind = event.kind
    if not is_searched(kind):
        return []
    parts = [tag[1] for tag in event.tags if tag[0] in _SEARCHED_TAGS and len(tag) > 1]
    if kind == 0:
        parts += _profile(raw_content(event.raw))
    elif not any(kind in kinds for kinds in LISTS):
        parts.append(raw_content(event.raw))
    return words("\n".join(parts))


def is_searched(kind: int) -> bool:
    """Whether events of this kind can be found by words at all."""
    return kind not in _NOT_SEARCHED


def raw_kind(raw: bytes) -> int:
    """The kind of the event with this :attr:`Event.raw`, without decoding it."""
    match = _RAW_KIND.search(raw, 147)
    assert match is not None
    return int(match[1])


def _profile(content: str) -> list[str]:
    try:
        profile = loads(content)
    except NotJSONError:
        return []
    if type(profile) is not dict:
        return []
    values = map(profile.get, _PROFILE_FIELDS)
    return [value for value in values if isinstance(value, str)]


def _pairs(run: str) -> list[str]:
    return [run[at : at + 2] for at in range(len(run) - 1)]


def _runs(text: str) -> list[tuple[str, bool]]:
    """
    The runs of word characters, each with whether its script is unspaced.

    In no particular order: what is ASCII, mostly nearly all, takes the quick way.
    """
    if text.isascii():
        return [(word, False) for word in _ASCII_WORDS.findall(text.lower())]
    chunks = text.split()
    ascii_ = " ".join([chunk for chunk in chunks if chunk.isascii()])
    rest = " ".join([chunk for chunk in chunks if not chunk.isascii()])
    runs = [(word, False) for word in _ASCII_WORDS.findall(ascii_.lower())]
    for run in _any_words().findall(folded(rest).replace("_", " ")):
        if run.isascii():
            runs.append((run, False))
        else:
            runs += [(m[0], m[1] is not None) for m in _PIECES.finditer(run)]
    return runs


@cache
def _any_words() -> re.Pattern[str]:
    r"""Runs of letters, digits and marks; ``\w`` alone would cut at vowel signs."""
    marks = [
        chr(code) for code in range(0x370, 0xFE00) if category(chr(code))[0] == "M"
    ]
    return re.compile(f"[\\w{''.join(marks)}]+|[{_EMOJI}]")
