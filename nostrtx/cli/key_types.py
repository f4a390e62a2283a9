# -*- test-case-name: tests.cli.test_key_types -*-
"""Keys and ids as operators write them: hexadecimal, or NIP-19's texts."""

from __future__ import annotations

from typing import Any

import click

from nostrtx.nostr.bech32 import Bech32Error, parse_event_id, parse_pubkey


class PubkeyType(click.ParamType[bytes]):
    """A public key: hexadecimal, npub or nprofile; never a secret one."""

    name = "KEY"

    def convert(self, value: Any, param: Any, ctx: Any) -> bytes:
        """The 32 bytes of the key that ``value`` spells."""
        if isinstance(value, bytes):
            return value
        try:
            return parse_pubkey(value)
        except Bech32Error as error:
            self.fail(str(error), param, ctx)


class EventIdType(click.ParamType[bytes]):
    """An event's id: hexadecimal, note or nevent."""

    name = "ID"

    def convert(self, value: Any, param: Any, ctx: Any) -> bytes:
        """The 32 bytes of the id that ``value`` spells."""
        if isinstance(value, bytes):
            return value
        try:
            return parse_event_id(value)
        except Bech32Error as error:
            self.fail(str(error), param, ctx)
