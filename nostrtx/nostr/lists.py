# -*- test-case-name: tests.nostr.test_lists -*-
"""
Lists of people: how they are named in settings, and what is on them (NIP-02, NIP-51).

Pure: no I/O and no clock.
"""

from __future__ import annotations

import re
from typing import Final

from nostrtx.nostr.bech32 import Naddr, decode, parse_pubkey
from nostrtx.nostr.event import Address, Event
from nostrtx.nostr.kinds import FOLLOW_LIST, is_addressable

#: Lists of people: whom somebody follows, or does not hear; sets, starter packs.
LIST_KINDS: Final = frozenset({FOLLOW_LIST, 10000, 30000, 39089})

_P_TAGS: Final = re.compile(rb'\["p","([0-9a-fA-F]{64})"')


def parse_list_address(text: str) -> Address:
    """
    The address of a list of people.

    Args:
        text: ``naddr1...``; a kind, a key and perhaps a name with colons in between;
            or a key alone, for the list of whom its owner follows.

    Raises:
        ValueError: It is none; the message says why.
    """
    text = text.strip().removeprefix("nostr:")
    if text.startswith("naddr1"):
        entity = decode(text)
        assert isinstance(entity, Naddr)
        address = Address(entity.kind, entity.pubkey, entity.d)
    elif ":" not in text:
        address = Address(FOLLOW_LIST, parse_pubkey(text), "")
    else:
        kind, _, rest = text.partition(":")
        key, _, d = rest.partition(":")
        if not (kind.isascii() and kind.isdigit() and len(kind) <= 5):
            raise ValueError("an address begins with the number of a kind")
        address = Address(int(kind), parse_pubkey(key), d)
    if address.kind not in LIST_KINDS:
        known = ", ".join(map(str, sorted(LIST_KINDS)))
        raise ValueError(f"lists of people are of the kinds {known}")
    if not is_addressable(address.kind):
        return Address(address.kind, address.pubkey, "")
    return address


def listed_pubkeys(raw: bytes) -> list[bytes]:
    """
    The people on a list, in its order and as often; what is no key is left out.

    Args:
        raw: The event, as in :attr:`Event.raw`: lists are long, and to decode all of
            their tags takes longer.
    """
    # No string in JSON holds a bare quotation mark, so this is where tags begin.
    keys = bytes.fromhex(b"".join(_P_TAGS.findall(raw)).decode())
    return [keys[at : at + 32] for at in range(0, len(keys), 32)]


def listed_words(event: Event) -> list[str]:
    """The words and hashtags on a list of what somebody does not want to see."""
    return [tag[1] for tag in event.tags if tag[0] in ("word", "t") and len(tag) > 1]
