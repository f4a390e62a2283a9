# -*- test-case-name: tests.relay.test_allowed -*-
"""
The keys that are allowed by name: what ``allowed`` stands for in rules.

On a relay with members these are they; else those that owners and moderators have
allowed (NIP-86), or the operator by command. Owners and moderators always belong to it,
so that nobody shuts out who could let in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from nostrtx.interfaces.store import BanChange
from nostrtx.nostr.bans import BanKind
from nostrtx.relay.bans import Bans
from nostrtx.relay.membership.access import Access
from nostrtx.settings.access import ManagementSettings
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings


def with_managers(
    pubkeys: Iterable[bytes], management: ManagementSettings
) -> frozenset[bytes]:
    """These keys, and those of owners and moderators."""
    managers = map(bytes.fromhex, (*management.owners, *management.moderators))
    return frozenset([*pubkeys, *managers])


class AllowedKeys:
    """
    Keeps up with the keys that are allowed.

    Args:
        settings: Name owners and moderators.
        bans: Tell what was allowed.
        access: Tells who is a member, if the relay has members.
    """

    def __init__(
        self, settings: LiveSettings, bans: Bans, access: Access | None
    ) -> None:
        self._settings = settings
        self._bans = bans
        self._access = access
        self._listeners: list[Callable[[], None]] = []
        settings.follow(self._managers_changed)
        if access is None:
            bans.follow(BanKind.ALLOWED_PUBKEY, self._keys_changed)
        else:
            access.on_change(self._tell)

    def now(self) -> frozenset[bytes]:
        """The keys that are allowed at this moment."""
        if self._access is None:
            pubkeys: Iterable[bytes] = self._bans.banned.allowed_pubkeys
        else:
            pubkeys = self._access.members
        return with_managers(pubkeys, self._settings.now.management)

    def on_change(self, call: Callable[[], None]) -> None:
        """Have ``call`` made whenever others may be allowed than before."""
        self._listeners.append(call)

    def _managers_changed(self, settings: Settings) -> None:
        self._tell()

    def _keys_changed(self, changes: Sequence[BanChange]) -> None:
        self._tell()

    def _tell(self) -> None:
        for call in self._listeners:
            call()
