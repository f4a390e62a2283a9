# -*- test-case-name: tests.relay.test_visibility -*-
"""
Who may read an event: the one predicate that every way out asks.

Private events go to their parties only, once these have proved who they are
(NIP-42): direct messages to author and recipients (NIP-04), gift wraps to their
recipients (NIP-59), and what is in private groups to their members (NIP-29). It
holds for stored events, live ones, counts, reconciliation and search alike, and for
each event at the moment it would be sent.

Deleted and superseded events are not in the store, and the store leaves out what
has expired by the time of a query.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence, Set

from zope.interface import implementer

from nostrtx.interfaces.queries import IScreen
from nostrtx.nostr.event import Event, stored_event
from nostrtx.nostr.filters import Filter
from nostrtx.nostr.kinds import GIFT_WRAPS, NEVER_SERVED
from nostrtx.relay.groups.access import GroupAccess, kind_of
from nostrtx.relay.membership.access import Access


class Visibility:
    """
    The predicate, with what the operator has set.

    Args:
        private_kinds: Kinds that only the author and those named in ``p`` tags may
            read.
        access: Says who is a member, if only members may read.
        groups: Says who may read what is in groups, if there are any.

    Attributes:
        groups: As above.
        private_kinds: As above; another set may take its place at any time.
    """

    def __init__(
        self,
        private_kinds: Iterable[int],
        access: Access | None = None,
        groups: GroupAccess | None = None,
    ) -> None:
        self.groups = groups
        self.private_kinds = frozenset(private_kinds)
        self._access = access

    def may_read(self, event: Event, readers: Collection[bytes], now: float) -> bool:
        """
        Whether ``event`` may be sent to a client at the time ``now``.

        Authentication events (NIP-42, NIP-98) speak to one server and are never
        passed on; an expired event (NIP-40) is sent to nobody.

        Args:
            event: Any event.
            readers: The pubkeys that the client has proved to own.
            now: Seconds since 1970.
        """
        kind = event.kind
        if kind in NEVER_SERVED or event.is_expired(now):
            return False
        if self._access is not None and not self._access.may_read(kind, readers):
            return False
        if self.groups is not None and not self.groups.may_read(event, readers):
            return False
        return kind not in self.private_kinds or _is_party(event, readers)

    def is_restricted(self, event: Event) -> bool:
        """Whether :meth:`may_read` depends on the reader."""
        return (
            event.kind in self.private_kinds
            or (self._access is not None and self._access.guards_reading)
            or (self.groups is not None and not self.groups.may_read(event, ()))
        )

    def screen(self, readers: Collection[bytes]) -> IScreen | None:
        """What a store is to hide from a client that owns the keys ``readers``."""
        if self.groups is not None:
            return GroupScreen(self.private_kinds, self.groups, readers)
        if not self.private_kinds:
            return None
        return Screen(self.private_kinds, readers)

    def asks_only_private(self, filters: Sequence[Filter]) -> bool:
        """Whether the filters name kinds, and all of them private ones."""
        private = self.private_kinds
        return all(one.kinds and private.issuperset(one.kinds) for one in filters)

    def asks_for_private(self, filters: Sequence[Filter]) -> bool:
        """
        Whether a filter asks for private events among others.

        It does if it names such a kind, or somebody as recipient of any kind. That a
        filter without either could match one too is no sign that it is meant to.
        """
        private = self.private_kinds
        return bool(private) and any(
            _recipients(one) is not None
            if one.kinds is None
            else not private.isdisjoint(one.kinds)
            for one in filters
        )

    def asks_for_others(
        self, filters: Sequence[Filter], readers: Collection[bytes]
    ) -> bool:
        """
        Whether every filter asks for what is between others than ``readers``.

        Args:
            filters: They name private kinds only.
            readers: The pubkeys that the client has proved to own.
        """
        owned = {reader.hex() for reader in readers}
        return all(_is_between_others(one, readers, owned) for one in filters)


@implementer(IScreen)
class Screen:
    """Hides private events from whoever is not a party to them."""

    __slots__ = ("hides_all", "kinds", "parties")

    def __init__(self, kinds: frozenset[int], readers: Collection[bytes]) -> None:
        self.kinds = kinds
        self.hides_all = not readers
        self.parties = readers

    def may_read(self, raw: bytes) -> bool:
        """Whether one of the readers is a party to the event."""
        return _is_party(stored_event(raw), self.parties)


@implementer(IScreen)
class GroupScreen:
    """Hides what is in private groups, too, from whoever is no member just then."""

    __slots__ = ("_groups", "_private", "_readers", "hides_all", "kinds", "parties")

    def __init__(
        self, private: frozenset[int], groups: GroupAccess, readers: Collection[bytes]
    ) -> None:
        secretive = groups.secretive_kinds()
        self.kinds = None if secretive is None else private | secretive
        self.hides_all = False
        self.parties = None
        self._private = private
        self._groups = groups
        self._readers = readers

    def may_read(self, raw: bytes) -> bool:
        """Whether the readers may see the event."""
        if kind_of(raw) in self._private:
            event = stored_event(raw)
            return _is_party(event, self._readers) and self._groups.may_read(
                event, self._readers
            )
        return self._groups.may_read_raw(raw, self._readers)


def _is_party(event: Event, readers: Collection[bytes]) -> bool:
    """Whether one of ``readers`` wrote the event or is named in a ``p`` tag."""
    if not readers:
        return False
    if event.pubkey in readers:
        return True
    owned = {reader.hex() for reader in readers}
    return any(tag[0] == "p" and len(tag) > 1 and tag[1] in owned for tag in event.tags)


def _recipients(one: Filter) -> Collection[str] | None:
    """Whom the filter names in ``#p``; None if it does not ask for anyone."""
    return next((values for letter, values in one.tags if letter == "p"), None)


def _is_between_others(
    one: Filter, readers: Collection[bytes], owned: Set[str]
) -> bool:
    recipients = _recipients(one)
    if recipients is None or not owned.isdisjoint(recipients):
        return False
    if one.authors is not None:
        return not any(author in readers for author in one.authors)
    # The author of a wrap is a key that nobody authenticates with.
    return one.kinds is not None and GIFT_WRAPS.issuperset(one.kinds)
