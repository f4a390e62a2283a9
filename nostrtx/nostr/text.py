# -*- test-case-name: tests.nostr.test_text -*-
"""
The text of events: where it stands, and how it is compared.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from typing import Final
from unicodedata import normalize

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, loads

#: Accents, skin tones, and what only shapes its neighbours.
_DROPPED: Final = re.compile(
    "[\u00ad\u0300-\u036f\u200b-\u200f\u2060\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]+"
)

#: Letters of scripts that are written without spaces between words.
UNSPACED: Final = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e50-\u0e59"  # Thai
    "\u0e81-\u0edf"  # Lao
    "\u1000-\u1049\u1050-\u109f"  # Burmese
    "\u1780-\u17d3\u17d7\u17dc-\u17dd\u17e0-\u17e9"  # Khmer
    "\u1100-\u11ff\ua960-\ua97f\uac00-\ud7ff"  # Korean
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"  # Japanese
    "\u3105-\u312f\u31a0-\u31bf"  # Bopomofo
    "\U0001b000-\U0001b16f\U00020000-\U000323af"
)

#: Around the content in :attr:`Event.raw`.
_BEFORE_CONTENT: Final = b'],"content":'
_SIG: Final = -len(',"sig":""}') - 128

#: Kinds whose content only their parties can read.
_ENCRYPTED: Final = frozenset({4, 13, 1059, 1060, 21059, 24133})

#: Replaceable kinds and sets keep private entries in their content, encrypted.
LISTS: Final = (range(10000, 20000), range(30000, 30016), range(30078, 30079))

#: Kinds whose content is an object: profiles, copies of other events, channels.
_OBJECTS: Final = frozenset({0, 6, 16, 40, 41})

#: Tags that hold text for people.
_TEXT_TAGS: Final = frozenset(
    {"t", "title", "name", "summary", "subject", "description", "alt"}
)


def folded(text: str) -> str:
    """A text in which case, width, ligatures and accents make no difference."""
    if text.isascii():
        return text.lower()
    parted = normalize("NFKD", text.casefold())
    return normalize("NFKC", _DROPPED.sub("", parted)).casefold()


def plain(text: str) -> str:
    """
    A text in which case, width, ligatures and accents make no difference, quickly.

    Unlike what is :func:`folded`, it may hold parts of letters by themselves, such as
    the voiced marks of Japanese: only to be compared with its like.
    """
    if text.isascii():
        return text.lower()
    text = normalize("NFKD", text).casefold()
    return text if _DROPPED.search(text) is None else _DROPPED.sub("", text)


def raw_content(raw: bytes) -> str:
    """The content of an event, of which nothing else is decoded."""
    # No string in JSON holds a bare quotation mark, so this is where it begins.
    content = loads(raw[raw.index(_BEFORE_CONTENT) + len(_BEFORE_CONTENT) : _SIG])
    assert isinstance(content, str)
    return content


def readable_text(event: Event) -> str:
    """
    What an event says to people: its content and some tags, a line each.

    What is encrypted is left out, and of content that is an object the names of its
    members.
    """
    kind = event.kind
    if kind in _ENCRYPTED or (kind >= 10000 and any(kind in some for some in LISTS)):
        content = ""
    else:
        content = raw_content(event.raw)
        if kind in _OBJECTS:
            content = _members(content)
    tags = [tag[1] for tag in event.tags if tag[0] in _TEXT_TAGS and len(tag) > 1]
    return "\n".join([content, *tags]) if tags else content


def _members(content: str) -> str:
    """The strings among the members of an object; other content as it is."""
    try:
        members = loads(content)
    except NotJSONError:
        return content
    if type(members) is not dict:
        return content
    return "\n".join([value for value in members.values() if type(value) is str])
