# -*- test-case-name: tests.relay.membership.test_access -*-
"""Who may read and write on a relay that has members: what is asked all the time."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from nostrtx.nostr.filters import Filter
from nostrtx.nostr.membership import INVITE, JOIN_REQUEST, LEAVE_REQUEST, Members
from nostrtx.settings.live import LiveSettings
from nostrtx.settings.tree import Settings

#: Kinds with which people who are no members become some, or ask how.
_REQUESTS = frozenset({JOIN_REQUEST, LEAVE_REQUEST})


class Access:
    """
    The doors, and who has a key.

    Args:
        settings: What is for members only.

    Attributes:
        guards_reading: Whether only members may read.
        guards_writing: Whether only members may write.
    """

    def __init__(self, settings: LiveSettings) -> None:
        self._members: Members = {}
        self._listeners: list[Callable[[], None]] = []
        settings.follow(self._apply)

    def _apply(self, settings: Settings) -> None:
        membership = settings.membership
        self.guards_reading = membership.required in ("read", "both")
        self.guards_writing = membership.required in ("write", "both")
        self._open_to_read = frozenset({*membership.open_kinds, INVITE})
        self._open_to_write = _REQUESTS.union(membership.open_kinds)

    @property
    def members(self) -> Members:
        """Those of this moment."""
        return self._members

    @members.setter
    def members(self, members: Members) -> None:
        have_changed = members != self._members
        self._members = members
        if have_changed:
            for call in self._listeners:
                call()

    def on_change(self, call: Callable[[], None]) -> None:
        """Have ``call`` made whenever there are other members than before."""
        self._listeners.append(call)

    def is_member(self, pubkeys: Collection[bytes]) -> bool:
        """Whether one of the keys, which a client has proved to own, is a member's."""
        members = self._members
        return any(pubkey in members for pubkey in pubkeys)

    def may_write(self, kind: int, pubkeys: Collection[bytes]) -> bool:
        """Whether the owner of these keys may publish an event of this kind."""
        return (
            not self.guards_writing
            or kind in self._open_to_write
            or self.is_member(pubkeys)
        )

    def may_read(self, kind: int, pubkeys: Collection[bytes]) -> bool:
        """Whether the owner of these keys may see an event of this kind."""
        return (
            not self.guards_reading
            or kind in self._open_to_read
            or self.is_member(pubkeys)
        )

    def may_ask(self, filters: Sequence[Filter], pubkeys: Collection[bytes]) -> bool:
        """Whether the owner of these keys may see all that the filters can match."""
        return (
            not self.guards_reading
            or self.is_member(pubkeys)
            or all(
                one.kinds and self._open_to_read.issuperset(one.kinds)
                for one in filters
            )
        )
