# -*- test-case-name: tests.web.test_well_known -*-
"""The names that this domain vouches for, at ``/.well-known/nostr.json`` (NIP-05)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from nostrtx.nostr.bech32 import parse_pubkey
from nostrtx.nostr.identifiers import well_known_document
from nostrtx.nostr.json import dumps

WELL_KNOWN_PATH: Final = "/.well-known/nostr.json"


class Names:
    """
    The names of the settings.

    Args:
        names: Each with its key, as an operator writes it.
        relay_url: Where clients find events of these keys; may be empty.
    """

    def __init__(self, names: Mapping[str, str], relay_url: str) -> None:
        self._keys = {name: parse_pubkey(key).hex() for name, key in names.items()}
        self._relay_url = relay_url

    def __bool__(self) -> bool:
        return bool(self._keys)

    def answer(self, uri: str) -> bytes:
        """
        The document for the name that a request's URI asks for.

        All names are told only one by one: who asks for none is told none.
        """
        try:
            asked = parse_qs(urlsplit(uri).query, max_num_fields=20).get("name")
        except ValueError:
            asked = None
        name = asked[0] if asked else ""
        return dumps(well_known_document(self._keys, name, self._relay_url))
