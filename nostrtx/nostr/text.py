# -*- test-case-name: tests.nostr.test_text -*-
"""
The text of events: where it stands, and how it is compared.

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from string import ascii_lowercase, ascii_uppercase
from typing import Final
from unicodedata import is_normalized, normalize

from nostrtx.nostr.event import Event
from nostrtx.nostr.json import NotJSONError, loads

#: Accents, skin tones, and what only shapes its neighbours; U+0345 is an iota.
_DROPPED: Final = re.compile(
    "[\u00ad\u0300-\u0344\u0346-\u036f\u200b-\u200f\u2060\ufe00-\ufe0f\U0001f3fb-\U0001f3ff]+"
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

#: So many different characters are dropped one by one: mostly, that is quicker.
_FEW: Final = 8

_ASCII: Final = bytes(range(128))

#: Makes letters small, and white space blanks.
_SMALL: Final = bytes.maketrans(
    ascii_uppercase.encode() + b"\t\n\v\f\r\x1c\x1d\x1e\x1f",
    ascii_lowercase.encode() + b" " * 9,
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


def plain(text: str) -> bytes:
    """
    A text in which case, width, ligatures and accents make no difference, quickly.

    All white space is blanks, as many as there were. Unlike what is :func:`folded`, it
    may hold parts of letters by themselves, such as the voiced marks of Japanese: only
    to be compared with its like.

    Returns:
        The text in UTF-8.
    """
    raw = text.encode().translate(_SMALL)
    if raw.isascii():
        return raw
    # Of most texts little is beyond ASCII, and that tells what has to be done.
    odd = _beyond_ascii(raw)
    if not is_normalized("NFKD", odd):
        raw = normalize("NFKD", text).encode().translate(_SMALL)
        odd = _beyond_ascii(raw)
    if (small := odd.casefold()) != odd:
        raw, odd = raw.decode().casefold().encode(), small
    return _without_dropped(raw, odd)[0]


def glance(text: bytes) -> tuple[bytes, str]:
    """
    A string of JSON, as :func:`plain` as it gets at a glance.

    Args:
        text: Compact JSON in UTF-8.

    Returns:
        The string, still escaped: what is ASCII in it is plain, and some of the rest
        left out; and what is left of the rest.
    """
    raw = text.translate(_SMALL)
    if raw.isascii():
        return raw, ""
    return _without_dropped(raw, _beyond_ascii(raw))


def parts(text: str) -> bytes:
    """What characters beyond ASCII are made of when they are plain, in UTF-8."""
    return normalize("NFKD", text).casefold().encode()


def _without_dropped(raw: bytes, odd: str) -> tuple[bytes, str]:
    """A text, and what of it is beyond ASCII, without what makes no difference."""
    for _ in range(_FEW):
        dropped = _DROPPED.search(odd)
        if dropped is None:
            return raw, odd
        character = dropped[0][0]
        odd = odd.replace(character, "")
        raw = raw.replace(character.encode(), b"")
    return _DROPPED.sub("", raw.decode()).encode(), _DROPPED.sub("", odd)


def _beyond_ascii(raw: bytes) -> str:
    return raw.translate(None, _ASCII).decode()


def content_json(raw: bytes) -> bytes:
    """The content of the event that is ``raw``, a string of JSON."""
    # No such string holds a bare quotation mark, so this is where it begins.
    return raw[raw.index(_BEFORE_CONTENT) + len(_BEFORE_CONTENT) : _SIG]


def raw_content(raw: bytes) -> str:
    """The content of an event, of which nothing else is decoded."""
    content = loads(content_json(raw))
    assert isinstance(content, str)
    return content


def is_text(kind: int) -> bool:
    """Whether the content of such events is what they say to people, as it is."""
    return kind not in _OBJECTS and not _is_encrypted(kind)


def readable_content(event: Event) -> str:
    """
    What the content of an event says to people.

    That is nothing if it is encrypted, and of an object the values of its members, a
    line each.
    """
    if _is_encrypted(event.kind):
        return ""
    content = raw_content(event.raw)
    return _members(content) if event.kind in _OBJECTS else content


def readable_tags(event: Event) -> str:
    """What the tags of an event say to people, a line each."""
    return "\n".join(
        [tag[1] for tag in event.tags if tag[0] in _TEXT_TAGS and len(tag) > 1]
    )


def _is_encrypted(kind: int) -> bool:
    """Whether only its parties can read the content, or some of it."""
    return kind in _ENCRYPTED or (kind >= 10000 and any(kind in some for some in LISTS))


def _members(content: str) -> str:
    """The strings among the members of an object; other content as it is."""
    try:
        members = loads(content)
    except NotJSONError:
        return content
    if type(members) is not dict:
        return content
    return "\n".join([value for value in members.values() if type(value) is str])
