# -*- test-case-name: tests.nostr.test_addresses -*-
"""
Addresses of lists as people write them: whose list, of which kind (NIP-51).

For settings only; in messages an address is the value of an ``a`` tag.

Pure: no I/O and no clock.
"""

from __future__ import annotations

from typing import Final

from nostrtx.nostr.bech32 import Naddr, decode, parse_pubkey
from nostrtx.nostr.event import Address
from nostrtx.nostr.kinds import FOLLOW_LIST, is_addressable

#: Lists of people: whom somebody follows, or does not hear; sets, starter packs.
LIST_KINDS: Final = frozenset({FOLLOW_LIST, 10000, 30000, 39089})


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
