# -*- test-case-name: tests.relay.test_banned -*-
"""What is banned or allowed, to be asked for every event and every connection."""

from __future__ import annotations

from nostrtx.interfaces.store import BanChange
from nostrtx.nostr.bans import Ban, BanKind
from nostrtx.nostr.errors import ReasonPrefix, Rejected
from nostrtx.nostr.event import Event
from nostrtx.nostr.kinds import REQUEST_TO_VANISH
from nostrtx.relay.networks import Networks


class Banned:
    """
    The bans in force, as of the last reading, and what was allowed.

    Attributes:
        pubkeys: Bans of keys, by key.
        events: Bans of events, by id.
        allowed_pubkeys: Keys that were allowed by name.
        allowed_events: Events that moderators have nothing against, by id.
    """

    __slots__ = (
        *("_addresses", "_by_kind", "_networks"),
        *("allowed_events", "allowed_pubkeys", "events", "pubkeys"),
    )

    def __init__(self) -> None:
        self.pubkeys: dict[bytes, Ban] = {}
        self.events: dict[bytes, Ban] = {}
        self.allowed_pubkeys: dict[bytes, Ban] = {}
        self.allowed_events: dict[bytes, Ban] = {}
        self._by_kind = {
            BanKind.PUBKEY: self.pubkeys,
            BanKind.EVENT: self.events,
            BanKind.ALLOWED_PUBKEY: self.allowed_pubkeys,
            BanKind.ALLOWED_EVENT: self.allowed_events,
        }
        self._addresses: dict[str, Ban] = {}
        self._networks: Networks[Ban] = Networks()

    def __len__(self) -> int:
        """How many bans there are; what was allowed is none."""
        return len(self.pubkeys) + len(self.events) + len(self._addresses)

    def take(self, change: BanChange) -> None:
        """
        Take up one change.

        Raises:
            ValueError: It is not understood, and nothing has changed.
        """
        kind, subject = change.ban.kind, change.ban.subject
        if kind is BanKind.ADDRESS:
            self._take_address(subject, change)
            return
        of_kind, key = self._by_kind[kind], bytes.fromhex(subject)
        of_kind.pop(key, None)
        if not change.is_lifted:
            of_kind[key] = change.ban

    def bans(self, kind: BanKind) -> list[Ban]:
        """The bans of a kind, in the order in which they were made or made again."""
        if kind is BanKind.ADDRESS:
            return list(self._addresses.values())
        return list(self._by_kind[kind].values())

    def hides(self, event: Event) -> bool:
        """Whether ``event`` is not delivered."""
        return event.pubkey in self.pubkeys or event.id in self.events

    def check_event(self, event: Event) -> None:
        """
        Refuse an event that is banned, or whose author is.

        A request to vanish is taken from anybody (NIP-62).

        Raises:
            Rejected: ``blocked:`` with the reason.
        """
        if event.pubkey in self.pubkeys or event.id in self.events:
            ban = self.events.get(event.id)
            if ban is None and event.kind != REQUEST_TO_VANISH:
                ban = self.pubkeys[event.pubkey]
            if ban is not None:
                raise Rejected(ReasonPrefix.BLOCKED, ban.because)

    def check_key(self, pubkey: bytes) -> None:
        """
        Refuse to let the owner of a banned key authenticate (NIP-42).

        Raises:
            Rejected: ``restricted:`` with the reason.
        """
        ban = self.pubkeys.get(pubkey)
        if ban is not None:
            raise Rejected(ReasonPrefix.RESTRICTED, ban.because)

    def of_address(self, address: str) -> Ban | None:
        """The ban of an address, or of a network that it is in, if there is one."""
        return self._networks.find(address) if self._addresses else None

    def _take_address(self, subject: str, change: BanChange) -> None:
        if change.is_lifted:
            self._networks.remove(subject)
        else:
            self._networks.put(subject, change.ban)
        self._addresses.pop(subject, None)
        if not change.is_lifted:
            self._addresses[subject] = change.ban
